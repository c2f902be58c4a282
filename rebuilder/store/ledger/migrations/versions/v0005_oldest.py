"""The oldest version whose ledgers are brought up to date: there is nothing to do to become it."""

from __future__ import annotations

revision = "0005"
down_revision = None


def upgrade() -> None:
    """A new ledger is made as ``tables.py`` says, and never passes through here."""
