"""The database's steps from empty to now; alembic runs them in order, each once."""
