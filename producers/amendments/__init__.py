"""Amendments of counted events: what replaces one, and the control record that says so."""
