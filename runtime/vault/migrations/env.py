"""What alembic runs for a step of the vault; runtime.vault.migrate hands over the connection."""

from __future__ import annotations

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    version_table_schema=config.attributes["schema"],
    transactional_ddl=True,
)
context.run_migrations()
