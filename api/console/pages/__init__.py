"""The console's pages; each module is one place of the navigation."""
