"""What the books' facts become in tables, one file per book."""
