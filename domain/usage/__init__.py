"""The usage step: events in, hourly window deltas out."""
