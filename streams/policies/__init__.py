"""Policies: facts of one book turned into wishes for another; see the README of streams."""
