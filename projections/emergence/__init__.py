"""Tables of the emergence fold, one kind per file."""
