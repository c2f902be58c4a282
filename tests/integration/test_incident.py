"""``rebuilder incident`` on a real store: what is known about something under suspicion, signed and on a page."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from rebuilder.cli.main import app
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.errors import CorruptError
from rebuilder.model.environment import Package, Specification
from rebuilder.model.incident import Incident, What
from rebuilder.model.report import Report, page_path
from rebuilder.network.site_reader import SiteReader
from rebuilder.signing.vocabulary import INCIDENT_TYPE
from rebuilder.site.documents import read_incidents
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.component_book import Component
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.published import PublishedRebuilder, differing, identical

GOOD, BAD = identical("spindle", "3.1.6"), differing("lathe", "1.0", b"evil", "lathe/__init__.py")
OTHER = identical("lantern", "1.4.0")
FLIT = reports.sha("flit-core-3.12.0-py3-none-any.whl")
TREE = reports.sha("trixie")


@pytest.fixture(scope="module")
def rebuilder(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """Three files that were built with the same two packages in one environment; one of them differs."""
    found = PublishedRebuilder(tmp_path_factory.mktemp("rebuilder"))
    found.publish(GOOD, BAD, OTHER, contents=[b"evil"])
    package = Package(name="libc6", version="2.41-12", architecture="amd64", sha256=reports.sha("libc6"))
    specification = Specification(method="extracted", suite="trixie", packages=(package,), recipe=1)
    with publishing(found.config) as signer:
        known = {TREE: specification}
        object.__setattr__(signer, "specification", known.get)
        signer.publish_all()
    return found


def run(rebuilder: PublishedRebuilder, *words: str) -> Result:
    """The command, as it ended."""
    places = {"STORE": rebuilder.config.store, "KEYS": rebuilder.config.keys, "SITE": rebuilder.site}
    environment = {f"REBUILDER_{name}": str(place) for name, place in places.items()}
    return CliRunner().invoke(app, ["incident", *words], env=environment)


def looked(rebuilder: PublishedRebuilder, *words: str, code: int) -> Incident:
    """What it finds, as data."""
    done = run(rebuilder, *words, "--json")
    assert code == done.exit_code, done.output
    return Incident.model_validate_json(done.stdout.splitlines()[0])


def totals(found: Incident) -> dict[tuple[What, str], int]:
    """How many files share what."""
    return {(each.what, each.name): each.total for each in found.shared}


def test_a_file_that_comes_from_its_source(rebuilder: PublishedRebuilder) -> None:
    """That is said, and what it shares with the other two: environment, key, build dependencies, not its source."""
    found = looked(rebuilder, GOOD.artifact.sha256, code=0)
    assert [("yes", GOOD.artifact.filename)] == [(each.from_source, each.file.filename) for each in found.answers]
    shared = totals(found)
    assert 3 == shared[What.ENVIRONMENT, "trixie"]
    assert 3 == shared[What.DEPENDENCY, "pkg:pypi/flit-core@3.12.0"]
    assert 1 == shared[What.DEPENDENCY, "spindle-3.1.6.tar.gz"]
    assert [3] == [each.total for each in found.shared if each.what is What.KEY]
    assert found == looked(rebuilder, GOOD.artifact.purl, code=0).replace(asked=found.asked, looked=found.looked)


def test_a_file_that_does_not(rebuilder: PublishedRebuilder, tmp_path: Path) -> None:
    """By its digest, its release, and as a file on disk: exit code 1, and it is to be explained before all else."""
    (tmp_path / "file.whl").write_bytes(b"evil")
    for asked in (BAD.artifact.sha256, "pypi:lathe==1.0", str(tmp_path / "file.whl")):
        found = looked(rebuilder, asked, code=1)
        assert ["no"] == [each.from_source for each in found.answers]
        assert f"rebuilder explain {BAD.artifact.purl}" in [each.command for each in found.proposals]


@pytest.mark.parametrize("asked", [FLIT, "pkg:pypi/flit_core@3.12.0", "pypi:flit-core==3.12.0"])
def test_a_build_dependency(rebuilder: PublishedRebuilder, asked: str) -> None:
    """All files that were built with it, by its digest and by its name."""
    found = looked(rebuilder, asked, code=0)
    (shared,) = found.shared
    assert (What.DEPENDENCY, 3, FLIT) == (shared.what, shared.total, shared.digest)
    assert {"spindle", "lathe", "lantern"} == {each.name for each in shared.files}


def test_an_environment_and_a_package_of_it(rebuilder: PublishedRebuilder) -> None:
    """By the digest of the tree; and a Debian package that no report names, but its environment has."""
    (shared,) = looked(rebuilder, TREE, code=0).shared
    assert (What.ENVIRONMENT, 3) == (shared.what, shared.total)
    (shared,) = looked(rebuilder, "pkg:deb/debian/libc6@2.41-12?arch=amd64", code=0).shared
    assert (What.DEPENDENCY, 3, reports.sha("libc6")) == (shared.what, shared.total, shared.digest)


def test_what_lies_over_an_environment(rebuilder: PublishedRebuilder) -> None:
    """A package of the lower one is in what was built in the upper one, too."""
    with Ledger.open(rebuilder.config.ledger_place) as ledger:
        below, package = reports.sha("below"), reports.sha("libfoo")
        rows = [Component("pkg:deb/debian/libfoo@1", package, below), Component("", below, TREE)]
        ledger.component_book.note([*rows, *rows])
    assert 3 == looked(rebuilder, "pkg:deb/debian/libfoo@1", code=0).shared[0].total


def test_a_key(rebuilder: PublishedRebuilder) -> None:
    """What it signed, and the command that would revoke it, from its first statement on; nothing is revoked."""
    with publishing(rebuilder.config) as signer:
        key_id = signer.signer.key_id
    found = looked(rebuilder, key_id, code=0)
    assert [(What.KEY, 3)] == [(each.what, each.total) for each in found.shared]
    assert f"rebuilder keys revoke {key_id[:16]} --since 2026-11-20T14:03:12" in found.proposals[0].command
    assert 0 == looked(rebuilder, key_id, "--since", "2026-11-21", code=0).shared[0].total


def test_again(rebuilder: PublishedRebuilder) -> None:
    """Where nothing is stored that it could be built with, that is said, with what is missing."""
    (answer,) = looked(rebuilder, GOOD.artifact.sha256, "--again", code=0).answers
    assert answer.again is not None
    assert "not-replayed" == answer.again.outcome.value
    assert "cannot be had" in answer.again.sentence


def test_all_of_it_is_put_into_the_queue(rebuilder: PublishedRebuilder) -> None:
    """Each file once."""
    done = run(rebuilder, "pkg:pypi/flit-core@3.12.0", "--recheck")
    assert "3 files are in the queue." in done.stderr
    with Ledger.open(rebuilder.config.ledger_place) as ledger:
        assert 3 == ledger.component_book.count(select(tables.task.c.id))


def test_it_is_signed_and_published(rebuilder: PublishedRebuilder, tmp_path: Path) -> None:
    """The page says what the statement says, is logged, hides no verdict, and is written again from the ledger."""
    done = run(rebuilder, BAD.artifact.sha256, "--publish")
    assert 1 == done.exit_code
    (page,) = rebuilder.site.glob("incidents/*/index.html")
    assert str(page) in done.stderr
    leads = f"incidents/{page.parent.name}/index.html"
    suspect = page_path("pypi", "lathe", "1.0", BAD.artifact.filename, BAD.artifact.sha256)
    for where in ("index.html", "incidents/index.html", f"{suspect}/index.html"):
        assert leads in (rebuilder.site / where).read_text()
    (listed,) = read_incidents(rebuilder.site)
    assert (page.parent.name, (BAD.artifact.sha256,)) == (Path(listed.page).name, listed.files)
    envelope = json.loads((page.parent / "incident.dsse.json").read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert INCIDENT_TYPE == statement["predicateType"]
    assert [BAD.artifact.sha256] == [each["digest"]["sha256"] for each in statement["subject"]]
    assert "tone-bad" in page.read_text()
    digest = BAD.artifact.sha256
    listing = json.loads((rebuilder.site / "sha256" / digest[:2] / digest / "index.json").read_text())
    assert INCIDENT_TYPE in {each["predicate_type"] for each in listing["statements"]}
    with SiteReader(str(rebuilder.site)) as site:
        vote = Rebuilder.open(Trusted(str(rebuilder.site)), site, tmp_path / "seen", datetime.now(UTC)).vote(digest)
    assert vote is not None
    assert "differs" == vote.verdict.value
    before = page.read_bytes()
    page.unlink()
    with publishing(rebuilder.config) as signer:
        signer.publish_all()
    assert before == page.read_bytes()
    page.unlink()
    with Ledger.open(rebuilder.config.ledger_place) as ledger, ledger._database.writing() as connection:
        forged = (page.parent / "incident.dsse.json").read_text().replace("A", "B", 1)
        connection.execute(tables.issued.update().values(envelope=forged))
    with publishing(rebuilder.config) as signer, pytest.raises(CorruptError, match="not the one that was logged"):
        signer.publish_all()
    assert not page.exists()
    assert leads not in (rebuilder.site / "index.html").read_text()


@pytest.mark.parametrize(
    "asked",
    [
        "",
        " ",
        "nonsense",
        "pkg:",
        "pkg:pypi/idna",
        "pypi:==",
        "pypi:idna==not a version",
        "abcdef12",
        "\x00",
        "x" * 3000,
    ],
)
def test_nonsense(rebuilder: PublishedRebuilder, asked: str) -> None:
    """One sentence, and the exit code of wrong use."""
    done = run(rebuilder, asked)
    assert done.exception is not None
    assert 2 == getattr(done.exception, "exit_code", None)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize("asked", ["ab" * 32, "pkg:pypi/never-heard-of@1.0"])
def test_what_is_not_known(rebuilder: PublishedRebuilder, asked: str) -> None:
    """It is said; there is nothing to sign."""
    done = run(rebuilder, asked)
    assert (3, True) == (done.exit_code, "has to do with it" in done.stdout)
    assert "nothing to sign" in str(run(rebuilder, asked, "--publish").exception)


def test_hostile_names(tmp_path: Path) -> None:
    """Nothing of them reaches a terminal or a browser as it is."""
    report: Report = identical("spindle", "3.1.6")
    attempt = report.attempts[0]
    inputs = tuple(each.replace(name=reports.HOSTILE) for each in attempt.hypothesis.definition.inputs)
    definition = attempt.hypothesis.definition.replace(inputs=inputs)
    changed = attempt.replace(hypothesis=attempt.hypothesis.replace(definition=definition))
    rebuilder = PublishedRebuilder(tmp_path)
    rebuilder.publish(report.replace(attempts=(changed,)))
    done = run(rebuilder, report.artifact.sha256, "--publish")
    assert 0 == done.exit_code
    assert not {"\x1b", "\u202e", "\u200b", "\x00"} & set(done.output)
    (page,) = rebuilder.site.glob("incidents/*/index.html")
    assert "<script" not in page.read_text()
    assert "\u202e" not in page.read_text()
