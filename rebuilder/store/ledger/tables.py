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
    false,
    text,
    true,
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
    Index("artifact_purl", "purl"),
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
    Column("cause", String, nullable=False, server_default=""),  # what belongs together; empty: kind and purl
    Column("severity", String(16), nullable=False, server_default="ticket"),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("last_seen", UtcDateTime),  # null in rows from before this was kept: as raised
    Column("acknowledged", UtcDateTime),
    Column("acknowledged_by", String),
    Column("note", Text),
    Column("cleared", UtcDateTime),
    Column("known_sha256", String(64)),
    Column("found_sha256", String(64)),
    Index("alarm_purl", "purl"),
)

notification = Table(
    "notification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alarm_id", ForeignKey("alarm.id"), nullable=False),
    Column("target", String, nullable=False),  # its name in the settings: addresses may hold passwords
    Column("event", String(16), nullable=False),  # raised, escalated, cleared
    Column("state", String(16), nullable=False),  # waiting, sent, dead
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("not_before", UtcDateTime, nullable=False),
    Column("trouble", Text),
    UniqueConstraint("alarm_id", "target", "event", "not_before", name="notification_once"),
    Index("notification_due", "state", "not_before"),
)

verification = Table(
    "verification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("artifact_id", ForeignKey("artifact.id"), nullable=False),
    Column("state", String(16), nullable=False),  # running, examined, done, abandoned
    Column("started", UtcDateTime, nullable=False),
    Column("finished", UtcDateTime),
    Column("verdict", String(32)),
    Column("kind", String(32)),
    Column("sentence", Text),
    Column("reason", String(16)),  # of the task; null when it was verified without the queue
    Column("tier", String(16)),
    Column("check", String(16)),
    Column("watch", String),
    Column("report", LargeBinary),  # unsigned, between examined and done: JSON, zlib
    Column("provenance", String(16)),  # status of what upstream signed; null when it was not checked
    Column("published", UtcDateTime),  # when its page was written
    Column("cause", String(64)),  # of what is not confirmed: the diagnosed cause that explains most
    Column("written", Boolean, nullable=False, server_default=false()),  # recorded metadata, into the finished archive
    Column("program_version", String(64)),  # of this program when it was begun; null where it was not kept yet
    Column("fetched_bytes", BigInteger),  # over the network; null where it was not counted yet
    Column("written_bytes", BigInteger),  # into the store
    Index("verification_artifact", "artifact_id", "state", "id"),
    Index("verification_unpublished", "state", "published", "id"),
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

not_tried = Table(
    "not_tried",  # hypotheses that this machine could not try
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),  # JSON, zlib
)

signed = Table(
    "signed",
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("report", LargeBinary, nullable=False),  # JSON, zlib
    Column("vsa", Text, nullable=False),  # envelopes exactly as they were signed
    Column("provenance", Text),
    Column("key_id", String(64), nullable=False),
    Column("logged", BigInteger),  # number of the first of its entries in the log; null: not there yet
    Index("signed_logged", "logged"),
    Index("signed_key", "key_id"),
)

issued = Table(
    "issued",  # signed statements that are of no verification: what several rebuilders say together
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key_id", String(64), nullable=False),
    Column("envelope", Text, nullable=False),  # exactly as it was signed
    Column("logged", BigInteger),  # number of its entry in the log; null: not there yet
    Index("issued_logged", "logged"),
    sqlite_autoincrement=True,
)

rebuild_link = Table(
    "rebuild_link",  # what was reproduced, once more as in-toto link metadata, for rebuilderd's clients
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("key_id", String(64), nullable=False),
    Column("document", Text, nullable=False),  # exactly as it was signed
)

log_entry = Table(
    "log_entry",  # the append-only log: a row is never changed
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # from 0, without gaps
    Column("verification_id", ForeignKey("verification.id")),  # null: taken back from what was published
    Column("entry", LargeBinary, nullable=False),
)

log_tile = Table(
    "log_tile",  # its tree; only the last tile of a level grows
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

replay = Table(
    "replay",  # published reports that were run again, and what came of it
    metadata,
    Column("id", Integer, primary_key=True),
    Column("verification_id", ForeignKey("verification.id"), nullable=False),
    Column("replayed", UtcDateTime, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("sentence", Text, nullable=False),
    Index("replay_verification", "verification_id"),
    sqlite_autoincrement=True,
)

task = Table(
    "task",  # what is to be done; what was done is a verification
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ecosystem", String, nullable=False),
    Column("purl", String, nullable=False),  # one release is worked on by one worker at a time
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("sha256", String(64)),  # as listed; null where the registry lists another digest
    Column("reason", String(16), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("check", String(16), nullable=False),
    Column("watch", String),
    Column("limits", Text),  # JSON
    Column("double_runs", Boolean, nullable=False, server_default=false()),
    Column("priority", Integer, nullable=False),  # smaller goes first
    Column("turn", BigInteger, nullable=False),  # place in the round among the watches of one priority
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("created", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("ready", Boolean, nullable=False, server_default=true()),  # false: perhaps it waits for not_before
    Column("lease_owner", String),
    Column("lease_until", UtcDateTime),
    UniqueConstraint("purl", "filename", name="task_artifact"),  # nothing is queued twice
    # One for what is ready and one for what rests: a planner cannot take the wrong one.
    Index("task_next", "priority", "turn", "id", sqlite_where=text("ready = 1"), postgresql_where=text("ready")),
    Index("task_resting", "not_before", sqlite_where=text("ready = 0"), postgresql_where=text("NOT ready")),
    Index("task_oldest", "reason", "not_before"),
    Index("task_turn", "priority", "watch", "turn"),
    Index("task_lease", "lease_until"),
    Index("task_project", "ecosystem", "name"),
    Index("task_sha256", "sha256"),
    sqlite_autoincrement=True,
)

task_count = Table(
    "task_count",  # how many tasks there are, kept with each change: counting a million takes a second
    metadata,
    Column("kind", String(16), primary_key=True),  # reason, watch, resting (reason), unseen (ecosystem)
    Column("name", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

watch = Table(
    "watch",  # what each watch found last
    metadata,
    Column("name", String, primary_key=True),
    Column("checked", UtcDateTime, nullable=False),
    Column("projects", Integer, nullable=False),
    Column("queued", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("trouble", Text),
    Column("planned", UtcDateTime),  # when it looks next; null: in no schedule
    Column("seen", LargeBinary, nullable=False),  # JSON, zlib: project to what tells whether its page changed
)

stage = Table(
    "stage",  # how long each stage of a verification took
    metadata,
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("seconds", Float, nullable=False),
)

tally = Table(
    "tally",  # things that are only counted: cache hits, for example
    metadata,
    Column("name", String(64), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

blob_reference = Table(
    "blob_reference",  # which verification keeps which blob
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),  # its 32 bytes
    Column("verification_id", ForeignKey("verification.id"), primary_key=True),
    Index("blob_reference_verification", "verification_id"),
)

component = Table(
    "component",  # what builds were made with, and what reports name for it
    metadata,
    Column("purl", String, primary_key=True),  # without qualifiers; empty: an environment below another one
    Column("sha256", String(64), primary_key=True),
    Column("reached", String(64), primary_key=True),  # its own digest, or that of the environment it is in
    Index("component_sha256", "sha256"),
    Index("component_reached", "reached"),
)

leader = Table(
    "leader",  # which of several processes does what only one should do
    metadata,
    Column("role", String(64), primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

cache = Table(
    "cache",  # what was worked out and may be forgotten
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

runner = Table(
    "runner",  # machines of the fleet
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the public key
    Column("name", String(64), nullable=False, unique=True),
    Column("public_key", Text, nullable=False),  # PEM
    Column("state", String(16), nullable=False),  # active, quarantined, revoked
    Column("enrolled", UtcDateTime, nullable=False),
    Column("changed", UtcDateTime, nullable=False),
    Column("reason", Text),
    Column("seen", UtcDateTime),
    Column("runs", BigInteger, nullable=False, server_default="0"),  # answers that were ever accepted
    Index("runner_state", "state", "id"),
)

run_order = Table(
    "run_order",  # runs that were asked of the fleet: open, or accepted with what the runner signed
    metadata,
    Column("id", Integer, primary_key=True),
    Column("nonce", String(32), nullable=False, unique=True),
    Column("definition_sha256", String(64), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("asked_of", ForeignKey("runner.id")),
    Column("owner", String, nullable=False),  # the process that waits for it
    Column("ordered", UtcDateTime, nullable=False),
    Column("runner_id", ForeignKey("runner.id")),  # whose answer was accepted; null: it is open
    Column("answered", UtcDateTime),
    Column("log_sha256", String(64)),
    Column("envelope", Text),
    Index("run_order_definition", "definition_sha256"),
    Index("run_order_runner", "runner_id", "queue", "answered"),  # open ones, too: they have neither
    sqlite_autoincrement=True,
)
