"""``rebuilder keys``: who may sign, from when until when; root keys that are kept offline sign the list of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.options import with_settings
from rebuilder.errors import CorruptError, SigningError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tuf.api.dsse import Root  # type: ignore[attr-defined]

    from rebuilder.config import Config
    from rebuilder.signing.key_directory import KeyDirectory
    from rebuilder.signing.key_draft import KeyDraft
    from rebuilder.signing.key_list import KeyList, KeyPeriod
    from rebuilder.signing.protocol import SigningKey

_LARGEST = 1 << 20
_YEAR = 365

keys = typer.Typer(
    help="Make, list, replace, revoke or hand on the keys of this rebuilder.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Root = Annotated[
    list[str],
    typer.Option(
        "--root", help="File of a root key, or hsm:NUMBER?label=TOKEN; as often as there are some.", show_default=False
    ),
]
_Days = Annotated[int, typer.Option("--days", min=1, max=3660, help="After so long the list expires.")]


@with_settings(keys.command("init"), "store", "keys", "site")
def init(
    settings: Config,
    *,
    root: _Root,
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, help="So many root keys must sign a list; else most of them.")
    ] = None,
    days: _Days = _YEAR,
) -> None:
    """Make root keys and the first list, which names the keys in use: what they signed so far stays good.

    A root key that is not there yet is made, and encrypted with a passphrase; keep each somewhere else, offline. A file
    with the public half of one stands for somebody who signs with `rebuilder keys sign`.
    """
    from rebuilder.signing.key_draft import KeyDraft

    directory = _directory(settings)
    if directory.newest() is not None or directory.draft() is not None:
        raise UsageError("There is a list of keys already.", hint="See `rebuilder keys list`.")
    _refuse_threshold(threshold, len(root))
    with _sentences():
        public, private = _roots(root, settings, make=True)
        now = _now()
        draft = KeyDraft.first(public, threshold or len(root) // 2 + 1, now + timedelta(days=days))
        for pem, period in _in_use(settings, now):
            draft.set_key(pem, period)
        _finish(settings, directory, draft, private)


@with_settings(keys.command("list"), "store", "keys")
def show(settings: Config) -> None:
    """List the keys: what for, since when, until when, what was revoked, and which are used here."""
    from rebuilder.signing.key_directory import NAMES, refuse_missing_list
    from rebuilder.signing.key_list import read_envelope

    directory = _directory(settings)
    with _sentences():
        listed, draft = refuse_missing_list(directory), directory.draft()
        used = {each.read_bytes() for name in NAMES.values() for each in settings.keys.glob(f"{name}.public.pem")}
        for line in _lines(listed.root, used):
            typer.echo(line)
        if draft is not None:
            signed = len(read_envelope(draft).signatures)
            typer.echo(f"The next version waits in {directory.path / 'next.root.json'}: signed by {signed} root keys.")


@with_settings(keys.command("rotate"), "store", "keys", "site")
def rotate(
    settings: Config,
    what: Annotated[
        str, typer.Argument(metavar="USE", help="statements, checkpoints, links or roots.", show_default=False)
    ],
    *,
    root: _Root = [],  # noqa: B006 - typer copies it
    key: Annotated[
        str | None,
        typer.Option("--key", help="Address of the next key; else a file is made.", show_default=False),
    ] = None,
    overlap: Annotated[
        int, typer.Option("--overlap", min=0, max=365, help="So many days the one before is good still.")
    ] = 7,
    next_root: Annotated[
        list[str],
        typer.Option("--next", help="For roots: file of each root key of the next set.", show_default=False),
    ] = [],  # noqa: B006
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, help="For roots: so many of the next set must sign.")
    ] = None,
    days: _Days = _YEAR,
) -> None:
    """Replace a key by the next one, in a new version of the list.

    Restart the service afterwards. The next root keys need the signatures of those before, as many as their threshold
    says.
    """
    from rebuilder.signing.external_key import ExternalKey
    from rebuilder.signing.key_directory import ALGORITHMS, NAMES
    from rebuilder.signing.key_list import Use

    directory = _directory(settings)
    with _sentences():
        draft, private = _next(directory, days), _roots(root, settings)[1]
        if what == "roots":
            if not next_root:
                raise UsageError("The next root keys are not named.", hint="Name each: --next FILE")
            _refuse_threshold(threshold, len(next_root))
            public, more = _roots(next_root, settings, make=True)
            draft.set_roots(public, threshold or len(public) // 2 + 1)
            private = [*private, *more]
        elif what not in set(Use):
            raise UsageError(f"There is no key for {what[:40]!r}.", hint="Name one as `rebuilder keys list` does.")
        else:
            use = Use(what)
            public_half = settings.keys / f"{NAMES[use]}.next.public.pem"
            next_key: SigningKey = (
                directory.make_next(use) if key is None else ExternalKey(key, ALGORITHMS[use], public_half)
            )
            draft.succeed(use, next_key.public_pem, _now(), timedelta(days=overlap))
        _finish(settings, directory, draft, private)
    if key is not None:
        typer.echo(f'Say where it is in the settings, [signing] {what} = "{key}", and restart the service.')


@with_settings(keys.command("revoke"), "store", "keys", "site")
def revoke(
    settings: Config,
    key: Annotated[str, typer.Argument(metavar="KEY", help="How its identifier begins.", show_default=False)],
    *,
    since: Annotated[
        datetime,
        typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="UTC: somebody may have had it."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="For whoever reads the list.")],
    root: _Root = [],  # noqa: B006
    days: _Days = _YEAR,
) -> None:
    """Say that a key was stolen or lost: what was logged from then on counts for nothing, and pages say so."""
    directory = _directory(settings)
    moment, said = since.replace(tzinfo=UTC), reason.strip()
    if not said or len(said) > 300:
        raise UsageError("The reason is one sentence, of at most 300 characters.")
    if moment > _now():
        raise UsageError(f"{moment:%Y-%m-%d %H:%M} UTC is still to come.", hint="Replace a key with `keys rotate`.")
    with _sentences():
        draft = _next(directory, days)
        draft.revoke(key.lower(), moment, said)
        _finish(settings, directory, draft, _roots(root, settings)[1])


@with_settings(keys.command("sign"), "store", "keys", "site")
def sign(
    settings: Config,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A list elsewhere, as on the machine of a root key.")
    ] = None,
    *,
    root: _Root = [],  # noqa: B006
    days: _Days = _YEAR,
) -> None:
    """Sign the list that waits, with root keys; where none waits, a new one that expires later.

    A file is signed where it lies, and nothing else is looked at. Without a root key, a list that came back signed is
    taken.
    """
    directory = _directory(settings)
    with _sentences():
        if file is not None:
            _sign_file(file, _roots(root, settings)[1])
            return
        waiting = directory.draft()
        document = waiting if waiting is not None else _next(directory, days).document()
        _finish(settings, directory, document, _roots(root, settings)[1])


@with_settings(keys.command("export"), "store", "keys")
def export(
    settings: Config,
    *,
    pem: Annotated[bool, typer.Option("--pem", help="The keys for statements that are good now, for openssl.")] = False,
) -> None:
    """Print the list for those who check what is published here, to be handed on by another way than the site."""
    from rebuilder.signing.key_directory import refuse_missing_list
    from rebuilder.signing.key_list import KeyListError

    directory = _directory(settings)
    listed = refuse_missing_list(directory)
    if not pem:
        typer.echo(listed.document.decode(), nl=False)
        return
    for name, key in listed.keys.items():
        try:
            typer.echo(listed.judge(name, _now()).pem.decode(), nl=False)
        except KeyListError:
            continue  # of another use, or not good now
        typer.echo(f"{key.key_id}", err=True)


def _now() -> datetime:
    """To the second, as the log writes times: what a new key signs at once is not from before its time."""
    return datetime.now(UTC).replace(microsecond=0)


def _directory(settings: Config) -> KeyDirectory:
    from rebuilder.signing.key_directory import KeyDirectory
    from rebuilder.store_layout import check_places

    check_places(store=settings.store, keys=settings.keys, site=settings.site_directory)
    return KeyDirectory(settings.keys)


@contextmanager
def _sentences() -> Iterator[None]:
    """What is wrong with a list is our user's to mend here."""
    from rebuilder.signing.key_list import KeyListError

    try:
        yield
    except KeyListError as error:
        raise UsageError(str(error)) from None


def _next(directory: KeyDirectory, days: int) -> KeyDraft:
    """The version after the newest one; more is changed in one that waits, and its signatures are void."""
    from rebuilder.signing.key_directory import refuse_missing_list
    from rebuilder.signing.key_draft import KeyDraft

    if (waiting := directory.draft()) is not None:
        return KeyDraft.again(waiting)
    return KeyDraft.after(refuse_missing_list(directory), _now() + timedelta(days=days))


def _in_use(settings: Config, now: datetime) -> list[tuple[bytes, KeyPeriod]]:
    """The keys that sign here, and those that did before there was a list; made when there are none."""
    from rebuilder.signing.external_key import open_key
    from rebuilder.signing.key_directory import ALGORITHMS, NAMES
    from rebuilder.signing.key_list import KeyPeriod, Use
    from rebuilder.signing.keys import public_keys

    found = {}
    addresses = {
        Use.STATEMENTS: settings.signing.statements,
        Use.CHECKPOINTS: settings.signing.checkpoints,
        Use.LINKS: None,
    }
    for use, uri in addresses.items():
        key = open_key(uri, settings.keys / f"{NAMES[use]}.pem", ALGORITHMS[use], store=settings.store)
        found[key.key_id] = (key.public_pem, KeyPeriod(use=use))
    former = public_keys(settings.keys)
    for name in former.keys() - found.keys():
        found[name] = (former[name], KeyPeriod(use=Use.STATEMENTS, valid_until=now))
    return list(found.values())


def _roots(named: Sequence[str], settings: Config, *, make: bool = False) -> tuple[list[bytes], list[SigningKey]]:
    """Public halves of root keys, and those of them that can sign here."""
    from rebuilder.signing.external_key import ExternalKey
    from rebuilder.signing.keys import Algorithm

    public: list[bytes] = []
    private: list[SigningKey] = []
    for each in named:
        if each.startswith("hsm:"):
            key: SigningKey = ExternalKey(each, Algorithm.P256, settings.keys)
        else:
            file = Path(each)
            if (pem := _public_half(file)) is not None:
                public.append(pem)
                continue
            key = _root_key(file, settings, make=make)
        public.append(key.public_pem)
        private.append(key)
    return public, private


def _refuse_threshold(threshold: int | None, count: int) -> None:
    """Before a key is made."""
    if threshold is not None and threshold > count:
        raise UsageError(f"Of {count} root keys, {threshold} cannot sign.", hint="Name a smaller --threshold.")


def _public_half(file: Path) -> bytes | None:
    try:
        with file.open("rb") as opened:
            pem = opened.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"The root key {file} cannot be read: {error.strerror}.") from None
    return pem if b"BEGIN PUBLIC KEY" in pem else None


def _root_key(file: Path, settings: Config, *, make: bool) -> SigningKey:
    from rebuilder.signing.keys import ROOT_PASSPHRASE, Algorithm, FileKey, passphrase, write_private

    for directory, what in ((settings.store, "store"), (settings.site_directory, "site"), (settings.keys, "keys")):
        if file.resolve().is_relative_to(directory.resolve()):
            raise UsageError(
                f"The root key {file} would lie in the directory of the {what}.",
                hint="Root keys are kept offline: name a place on another disk.",
            )
    made = not file.exists()
    if made and not make:
        raise UsageError(f"There is no root key {file}.")
    secret = passphrase(ROOT_PASSPHRASE)
    if secret is None and not sys.stdin.isatty():
        raise UsageError(
            f"The root key {file} needs its passphrase, and there is no terminal to ask for it.",
            hint=f"Set {ROOT_PASSPHRASE}_FILE.",
        )
    if secret is None:
        secret = typer.prompt(
            f"Passphrase of the root key {file}", hide_input=True, confirmation_prompt=made, err=True
        ).encode()
    if made:
        try:
            write_private(file, Algorithm.ED25519.make(), secret)
        except OSError as error:
            raise SigningError(f"The root key {file} cannot be made: {error.strerror}.") from error
    return FileKey.read(file, Algorithm.ED25519, secret)


def _sign_file(file: Path, private: Sequence[SigningKey]) -> None:
    from rebuilder.atomic_file import write_whole
    from rebuilder.signing.key_draft import KeyDraft, sign_list
    from rebuilder.signing.key_list import read_envelope

    try:
        with file.open("rb") as opened:
            document = opened.read(_LARGEST + 1)
        draft = KeyDraft.again(document)
        for line in _lines(draft.root, set()):
            typer.echo(line)
        draft.refuse_others(private)
        signed = sign_list(document, private)
        write_whole(file, signed, durable=True)
    except OSError as error:
        raise StoreError(f"{file} cannot be used: {error.strerror}.") from None
    typer.echo(f"Signed by {len(read_envelope(signed).signatures)} root keys.")


def _finish(settings: Config, directory: KeyDirectory, draft: KeyDraft | bytes, private: Sequence[SigningKey]) -> None:
    """Sign; have the list count when enough root keys have signed, else have it wait. Then publish it."""
    from rebuilder.signing.key_draft import KeyDraft, sign_list
    from rebuilder.signing.key_list import TooFewSignaturesError

    unsigned = draft if isinstance(draft, bytes) else draft.document()
    KeyDraft.again(unsigned).refuse_others(private)
    document = sign_list(unsigned, private)
    directory.keep_draft(document)
    try:
        listed = directory.accept(document)
    except TooFewSignaturesError as error:
        typer.echo(f"{error} It waits in {directory.path / 'next.root.json'}.")
        typer.echo("Have it signed there: rebuilder keys sign FILE --root KEY; put it back, then: rebuilder keys sign")
        return
    typer.echo(f"Version {listed.version} of the key list counts from now on, until {listed.expires:%Y-%m-%d}.")
    if (settings.store / "ledger.sqlite").exists() or settings.ledger is not None:
        _publish(settings, listed)


def _publish(settings: Config, listed: KeyList) -> None:
    from rebuilder.wiring import publishing

    with publishing(settings) as signer:
        try:
            if listed.revoked:
                signer.publish_all()
            else:
                signer.write_index()
        except CorruptError as error:
            typer.echo(str(error), err=True)
            return
    typer.echo(f"It is published in {settings.site_directory}.")


def _lines(root: Root, used: set[bytes]) -> Iterator[str]:
    from rebuilder.model.text import visible
    from rebuilder.signing.key_list import ROOT, listed_keys

    role = root.roles[ROOT]
    yield f"Version {root.version}, expires {root.expires:%Y-%m-%d}."
    for name in role.keyids:
        yield f"{name[:16]}  root         one of {len(role.keyids)}, {role.threshold} must sign"
    for key in listed_keys(root).values():
        period = key.period
        begin = f"from {period.valid_from:%Y-%m-%d %H:%M}" if period.valid_from else "from the beginning"
        end = f" until {period.valid_until:%Y-%m-%d %H:%M}" if period.valid_until else ""
        revoked = f"  REVOKED from {period.revoked_from:%Y-%m-%d %H:%M} on: " if period.revoked_from else ""
        reason = visible(period.reason) if period.reason else ""
        here = "  in use" if key.pem in used else ""
        yield f"{key.key_id[:16]}  {period.use:<12} {begin}{end}{revoked}{reason}{here}"
