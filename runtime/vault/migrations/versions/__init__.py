"""One step of the vault per file."""
