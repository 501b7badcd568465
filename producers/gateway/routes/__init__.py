"""The gateway's addresses, one file per subject."""
