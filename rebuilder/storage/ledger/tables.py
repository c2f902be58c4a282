"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no time zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a time without a zone: it would be somebody's guess."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Put the zone back."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


metadata = MetaData()

artifact = Table(
    "artifact",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ecosystem", String, nullable=False),
    Column("purl", String, nullable=False),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("size", BigInteger),
    Column("uploaded", UtcDateTime),
    Column("first_seen", UtcDateTime, nullable=False),
    # Two projects of one ecosystem may use one file name (npm scopes), so the purl is part of the name.
    UniqueConstraint("ecosystem", "purl", "filename", "sha256", name="artifact_bytes"),
    Index("artifact_project", "ecosystem", "name"),
    Index("artifact_sha256", "sha256"),
)

alarm = Table(
    "alarm",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),  # digest over all that follows but the time
    Column("kind", String(32), nullable=False),
    Column("purl", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("raised", UtcDateTime, nullable=False),
    Index("alarm_purl", "purl"),
)

verification = Table(
    "verification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("artifact_id", ForeignKey("artifact.id"), nullable=False),
    Column("state", String(16), nullable=False),  # running, done, abandoned
    Column("started", UtcDateTime, nullable=False),
    Column("finished", UtcDateTime),
    Column("verdict", String(32)),
    Column("kind", String(32)),
    Column("sentence", Text),
    Index("verification_artifact", "artifact_id", "state", "id"),
    Index("verification_finished", "state", "finished"),
    sqlite_autoincrement=True,  # an id is never used again: locks and log lines refer to it
)

attempt = Table(
    "attempt",
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("hypothesis", String, nullable=False),
    Column("definition_sha256", String(64), nullable=False),
    Column("repeat", Boolean, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("limit_reached", String(32)),
    Column("exit_code", Integer),
    Column("level", String(32)),
    Column("rebuilt_sha256", String(64)),
    Column("log_sha256", String(64), nullable=False),
    Column("wall_seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("peak_memory_bytes", BigInteger, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("document", LargeBinary, nullable=False),  # the whole attempt: JSON, zlib
    Index("attempt_definition", "definition_sha256"),
)

signed = Table(
    "signed",
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("report", LargeBinary, nullable=False),  # JSON, zlib
    Column("vsa", Text, nullable=False),  # envelopes exactly as they were signed
    Column("provenance", Text),
    Column("key_id", String(64), nullable=False),
)

cache = Table(
    "cache",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

publisher = Table(
    "publisher",
    metadata,
    Column("ecosystem", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("forge", String(32), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("account", Text),
    Column("repository", Text),
    Column("repository_id", Text),
    Column("workflow", Text),
    Column("environment", Text),
    # The file it was seen with first; no reference to its row: this outlives what is forgotten about artifacts.
    Column("purl", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("uploaded", UtcDateTime),
    Column("remembered", UtcDateTime, nullable=False),
)
