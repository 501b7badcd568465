"""The vault: keys of customers' personal data, apart from all that the log can bring back."""
