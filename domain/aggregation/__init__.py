"""Aggregations, one per file: how a meter turns the hours of a period into one quantity."""
