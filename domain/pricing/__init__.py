"""Price forms, one per file; each turns a quantity into an exact amount and says how."""
