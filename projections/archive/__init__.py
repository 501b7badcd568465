"""The archive: usage.events as Parquet files, so that the log itself may be short."""
