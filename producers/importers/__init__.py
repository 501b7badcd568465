"""Importers: files and Prometheus counters become usage events, each row counted once."""
