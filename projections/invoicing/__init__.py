"""Invoices: built from one snapshot, replayed from the log, traced to their events."""
