"""Prometheus counters: what they rose by becomes usage events."""
