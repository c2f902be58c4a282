"""Attacks that want "confirmed" for a file which no rebuilder confirmed; each test is named after its attack."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.consumer.answer import Outcome, Vote, Voter
from rebuilder.consumer.auditor import verify
from rebuilder.consumer.bundle import write_bundle
from rebuilder.consumer.check import Panel, check
from rebuilder.consumer.lock_files import dependencies
from rebuilder.consumer.platform_files import Target
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.rebuilder import Rebuilder, Trusted, listed_statements
from rebuilder.consumer.statement import read_vote
from rebuilder.log.audit import LogError
from rebuilder.log.entry import LogEntry
from rebuilder.log.note import NoteKey
from rebuilder.network.site_reader import SiteReader
from rebuilder.signing.envelope import statement_of
from rebuilder.signing.key_draft import KeyDraft, sign_list
from rebuilder.signing.key_list import KEY_LIST, KeyPeriod, Use
from rebuilder.signing.keys import Algorithm, FileKey
from rebuilder.signing.vocabulary import VSA_TYPE
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.key_drills import Operator
from tests.fakes.key_lists import ROOTS
from tests.fakes.published import PublishedRebuilder, identical, requirement

GOOD, EVIL = identical("alpha"), identical("omega")
FAILED = reports.build_failed(MemoryBlobs())


def asked(site: Path, digest: str, memory: Path, **trusted: object) -> Vote | None:
    """What a site says about a file, to somebody who remembers it."""
    with SiteReader(str(site)) as files:
        found = Rebuilder.open(Trusted(str(site), **trusted), files, memory, datetime.now(UTC))  # type: ignore[arg-type]
        vote = found.vote(digest)  # type: ignore[arg-type]
        found.remember(memory)
        return vote


def checked(lock: str, directory: Path, *sites: Path, need: int = 1) -> Outcome:
    """What `rebuilder check` answers about a lock file, to somebody who remembers it."""
    file = directory / "requirements.txt"
    file.write_text(lock)
    target = Target()
    with Panel([Trusted(str(each)) for each in sites], directory / "seen", datetime.now(UTC)) as panel:
        found = check(dependencies(file, target), panel, Policy(need=need), target, None)
        panel.remember()
        return found


def standings(outcome: Outcome) -> list[str]:
    """Of each answer, in words."""
    return [each.standing.value for each in outcome.answers]


class Thief:
    """Serves a site in the place of a genuine one, and has none of its keys."""

    def __init__(self, root: Path, genuine: PublishedRebuilder) -> None:
        self.genuine = genuine
        self.log_key = NoteKey.read((genuine.site / "log/key").read_text().strip())
        self.own = PublishedRebuilder(root / "thief")
        self.own.config = self.own.config.replace(site_url=f"https://{self.log_key.name[:-4]}")
        self.own.publish(GOOD, EVIL)

    def swap_key_list(self, site: Path) -> None:
        """A list of keys that the thief signed: with the genuine log's key, and keys of the thief."""
        draft = KeyDraft.first([ROOTS[0].public_pem], 1, datetime.now(UTC) + timedelta(days=30))
        for of in (self.genuine, self.own):
            keys = of.config.keys
            draft.set_key(FileKey.read(keys / "log.pem", Algorithm.ED25519, None).public_pem, period(Use.CHECKPOINTS))
            draft.set_key(FileKey.read(keys / "signing.pem", Algorithm.P256, None).public_pem, period(Use.STATEMENTS))
        (site / KEY_LIST).write_bytes(sign_list(draft.document(), ROOTS[:1]))


def period(use: Use) -> KeyPeriod:
    """From the beginning."""
    return KeyPeriod(use=use)


@pytest.fixture
def genuine(tmp_path: Path) -> PublishedRebuilder:
    """A rebuilder that confirmed one file, with a name for its log that anybody can claim."""
    found = PublishedRebuilder(tmp_path / "genuine")
    found.config = found.config.replace(site_url="https://rebuilds.example.org")
    found.publish(GOOD)
    return found


def test_a_swapped_key_list_beside_a_pinned_log_key(genuine: PublishedRebuilder, tmp_path: Path) -> None:
    """A list that nobody signed but the thief does not let the thief's key speak for a log whose key is pinned."""
    thief = Thief(tmp_path, genuine)
    thief.swap_key_list(thief.own.site)
    with pytest.raises(LogError, match="not signed by the key"):
        asked(thief.own.site, EVIL.artifact.sha256, tmp_path / "seen", log_key=thief.log_key)


def test_a_swapped_key_list_beside_the_genuine_log(genuine: PublishedRebuilder, tmp_path: Path) -> None:
    """Put beside the genuine log first, to be remembered, it opens nothing later."""
    thief, memory = Thief(tmp_path, genuine), tmp_path / "seen"
    site = shutil.copytree(genuine.site, tmp_path / "mirror")
    thief.swap_key_list(site)
    with pytest.raises(LogError, match="list of keys"):
        asked(site, GOOD.artifact.sha256, memory, log_key=thief.log_key)
    shutil.rmtree(site)
    shutil.copytree(thief.own.site, site)
    with pytest.raises(LogError):
        asked(site, EVIL.artifact.sha256, memory, log_key=thief.log_key)


def test_a_swapped_key_list_for_an_auditor(
    genuine: PublishedRebuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`log verify --key` does not call the thief's log the one whose key it was given."""
    thief = Thief(tmp_path, genuine)
    thief.swap_key_list(thief.own.site)
    code = verify(str(thief.own.site), key=thief.log_key.vkey, statements=True, seen=tmp_path / "seen")
    assert (code, "not signed by the key" in capsys.readouterr().out) == (1, True)


def test_a_pinned_key_list_after_another_one_was_seen(tmp_path: Path) -> None:
    """What was believed at first sight does not go before the list that came by another way."""
    seen = tmp_path / "seen"
    operators = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        operators.append(Operator(tmp_path / name))
        operators[-1].publish(FAILED, timedelta(days=1))
        operators[-1].keys("init", roots=(0, 1))
    first, second = operators
    asked(first.site, FAILED.artifact.sha256, seen)
    with pytest.raises(LogError, match="root keys"):
        asked(first.site, FAILED.artifact.sha256, seen, key_list=(second.site / KEY_LIST).read_bytes())


def test_a_hidden_key_list_for_an_auditor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A site that shows no list of keys, and has one in its log, hides what was revoked."""
    operator = Operator(tmp_path)
    operator.publish(FAILED, timedelta(days=1))
    operator.keys("init", roots=(0, 1))
    operator.publish(reports.unsupported(MemoryBlobs()), timedelta(0))
    (operator.site / KEY_LIST).unlink()
    code = verify(str(operator.site), key=None, statements=False, seen=tmp_path / "seen")
    assert (code, "list of keys" in capsys.readouterr().out) == (1, True)


def test_a_genuine_key_list_beside_a_pinned_log_key(tmp_path: Path) -> None:
    """The log vouches for it: from the site, and from a bundle; and a key that it revokes does not count."""
    operator = Operator(tmp_path)
    operator.publish(FAILED, timedelta(days=1))
    operator.keys("init", roots=(0, 1))
    log_key = NoteKey.read((operator.site / "log/key").read_text().strip())
    bundle = tmp_path / "bundle.zip"
    with SiteReader(str(operator.site)) as files:
        write_bundle(files, [FAILED.artifact.sha256], bundle)
    for number, place in enumerate((operator.site, bundle)):
        seen = tmp_path / f"seen{number}"
        assert asked(place, FAILED.artifact.sha256, seen, log_key=log_key) is not None
    (key,) = (each for each in operator.key_list.keys.values() if each.use is Use.CHECKPOINTS)
    operator.keys("revoke", key.key_id, "--since", f"{operator.today:%Y-%m-%d}", "--reason", "copied")
    with pytest.raises(LogError, match=r"revokes|not logged"):
        asked(operator.site, FAILED.artifact.sha256, tmp_path / "seen", log_key=log_key)


def test_the_digest_of_another_release_on_a_line(genuine: PublishedRebuilder, tmp_path: Path) -> None:
    """A genuine, confirmed file does not pass for another project, for another version, or under another name."""
    genuine.publish(EVIL)
    digest = EVIL.artifact.sha256
    assert standings(checked(f"Omega==1.0.0 --hash=sha256:{digest}\n", tmp_path, genuine.site)) == ["passed"]
    for line in ("requests==1.0", "omega==2.0", "omega==1.0+more"):
        outcome = checked(f"{line} --hash=sha256:{digest}\n", tmp_path, genuine.site)
        assert standings(outcome) == ["undecided"], line
        assert "knows these bytes as omega-1.0-" in outcome.answers[0].sentence
    address = "https://files.example.org/omega-1.0-cp39-cp39-manylinux1_x86_64.whl"
    assert standings(checked(f"omega @ {address}#sha256={digest}\n", tmp_path, genuine.site)) == ["undecided"]


def test_a_renamed_file(genuine: PublishedRebuilder, tmp_path: Path) -> None:
    """Confirmed bytes under the name of something else are told by the name they are known by."""
    target, data = Target(), GOOD.artifact.filename.encode()
    for name, standing in (
        (GOOD.artifact.filename, "passed"),
        ("download", "passed"),
        ("requests-2.0-py3-none-any.whl", "undecided"),
        (GOOD.artifact.filename.replace("1.0-", "1.0-7-"), "undecided"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        with Panel([Trusted(str(genuine.site))], tmp_path / "seen", datetime.now(UTC)) as panel:
            outcome = check(dependencies(file, target), panel, Policy(), target, None)
        assert standings(outcome) == [standing], name


def test_an_older_verdict_put_back(tmp_path: Path) -> None:
    """Who saw the newer, worse one does not believe the older one again, nor silence."""
    rebuilder, worse = PublishedRebuilder(tmp_path / "one"), reports.differs(MemoryBlobs())
    rebuilder.publish(identical("almanac", "2.0"))
    old, lock = shutil.copytree(rebuilder.site, tmp_path / "old"), requirement([worse])
    rebuilder.publish(worse)
    assert standings(checked(lock, tmp_path, rebuilder.site)) == ["differs"]
    (listing,) = rebuilder.site.glob(f"sha256/*/{worse.artifact.sha256}/index.json")
    rows = json.loads(listing.read_text())["statements"]
    oldest = min(each["number"] for each in rows)
    for kept in ([each for each in rows if each["number"] == oldest], []):
        listing.write_text(json.dumps({"statements": kept}))
        outcome = checked(lock, tmp_path, rebuilder.site)
        assert standings(outcome) == ["refused"]
        assert "holds back the statement" in outcome.answers[0].sentence
    assert standings(checked(lock, tmp_path, old)) == ["unanswered"]


def test_an_older_copy_beside_the_newer_one(tmp_path: Path) -> None:
    """Copies of one log are one operator, who said last what the newer copy says."""
    rebuilder, worse = PublishedRebuilder(tmp_path / "one"), reports.build_failed(MemoryBlobs())
    rebuilder.publish(identical(worse.artifact.name, worse.artifact.version))
    old, lock = shutil.copytree(rebuilder.site, tmp_path / "old"), requirement([worse])
    rebuilder.publish(worse)
    assert standings(checked(lock, tmp_path, old)) == ["passed"]
    for places in ((old, rebuilder.site), (rebuilder.site, old)):
        (tmp_path / "other").mkdir(exist_ok=True)
        outcome = checked(lock, tmp_path / "other", *places)
        assert not any(each.standing.passes for each in outcome.answers)
        shutil.rmtree(tmp_path / "other")


def test_an_operator_with_new_keys_is_not_two(tmp_path: Path) -> None:
    """A copy from before all keys were replaced, and one from after it, are one vote."""
    operator = Operator(tmp_path)
    operator.publish(FAILED, timedelta(days=2))
    operator.keys("init", roots=(0, 1))
    old = shutil.copytree(operator.site, tmp_path / "old")
    (key,) = (each for each in operator.key_list.keys.values() if each.use is Use.CHECKPOINTS)
    operator.keys("rotate", "checkpoints", roots=())
    operator.keys("rotate", "statements", roots=())
    since = f"{operator.today:%Y-%m-%d}"
    operator.keys("revoke", key.key_id, "--since", since, "--reason", "copied")
    places = [Trusted(str(each)) for each in (old, operator.site)]
    with Panel(places, tmp_path / "seen", datetime.now(UTC)) as panel:
        assert len(panel.rebuilders) == 2
        assert len({each.operator for each in panel.rebuilders}) == 1


def test_a_listing_that_lies_about_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A verdict that its list calls something else is passed over by who asks, and found by the auditor."""
    rebuilder, worse = PublishedRebuilder(tmp_path / "one"), reports.differs(MemoryBlobs())
    rebuilder.publish(identical("almanac", "2.0"))
    rebuilder.publish(worse)
    (listing,) = rebuilder.site.glob(f"sha256/*/{worse.artifact.sha256}/index.json")
    rows = json.loads(listing.read_text())
    max(rows["statements"], key=lambda each: each["number"] * (each["predicate_type"].find("summary") > 0))[
        "predicate_type"
    ] = "https://slsa.dev/provenance/v1"
    listing.write_text(json.dumps(rows))
    code = verify(str(rebuilder.site), key=None, statements=True, seen=tmp_path / "seen")
    assert (code, "is not listed" in capsys.readouterr().out) == (1, True)


def test_a_verdict_about_one_file_with_another_beside_it(genuine: PublishedRebuilder) -> None:
    """Signed or not, one verdict confirms one file."""
    digests = (GOOD.artifact.sha256, EVIL.artifact.sha256)
    (folder,) = genuine.site.glob(f"sha256/*/{digests[0]}")
    ((number, _),) = listed_statements((folder / "index.json").read_bytes(), {VSA_TYPE})
    envelope = (folder / f"{number}.dsse.json").read_text()
    statement = statement_of(envelope)
    entry = LogEntry.of(envelope, datetime.now(UTC))
    voter = Voter(operator="one", name="one", key_id=entry.key_id)
    assert read_vote(statement, digests[0], entry, voter, "one").level is not None
    statement["subject"] += [{"name": EVIL.artifact.filename, "digest": {"sha256": digests[1]}}]
    for digest in digests:
        with pytest.raises(LogError, match="several files"):
            read_vote(statement, digest, entry.replace(subjects=digests), voter, "one")
