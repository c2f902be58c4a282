"""What Alembic runs to get at the database: the connection is handed over by whoever migrates."""

from __future__ import annotations

from alembic import context

from rebuilder.store.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, once the transaction is begun by us and not by its driver
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
