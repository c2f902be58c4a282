"""What a Debian package is built with: the definition, and the changelog entry of a binary-only upload."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from rebuilder.ecosystems.debian.binary_only import parsed
from rebuilder.ecosystems.debian.build import ENTRY, DebianBuild, definition
from rebuilder.ecosystems.debian.hypotheses import Case, Way, _replayed
from rebuilder.ecosystems.debian.index import SourceName
from rebuilder.ecosystems.debian.pinned_packages import Pin
from rebuilder.model.definition import EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.replayed import MOST_BITS, MOST_TEXT_BITS, Replayed, When, bits_before, text_bits, too_much
from rebuilder.sandbox.bubblewrap.arguments import check

TINY = SourceName("tiny", "1:2.0-1")
TEXT = """tiny (1:2.0-1+b1) sid; urgency=low, binary-only=yes

  * Binary-only non-maintainer upload for amd64; no source changes.
  * Rebuild against libtiny2.
    It has another name.

 -- amd64 / i386 Build Daemon (a-host-01) <buildd_amd64-a-host-01@builds.example.org>  Fri, 01 Aug 2025 10:11:12 +0000

"""


def file(name: str) -> Input:
    """A file of the source."""
    return Input(role=Role.SOURCE, name=name, sha256="ab" * 32, path=f"/inputs/source/{name}")


def build(**fields: object) -> DebianBuild:
    """A build of two packages for one architecture."""
    given: dict[str, object] = {
        "targets": ("libtiny2_2.0-1_amd64.deb", "tiny_2.0-1_amd64.deb"),
        "source": TINY,
        "described": Source(kind=SourceKind.DSC, uri="https://example.org/tiny.dsc", digest={"sha256": "a" * 64}),
        "files": (file("tiny_2.0-1.dsc"), file("tiny_2.0.orig.tar.xz")),
        "kind": "any",
        "version": "1:2.0-1",
        "architecture": "amd64",
        "environment": EnvironmentRef(name="own", sha256="cd" * 32),
        "limits": Limits(),
        "sandbox": "bubblewrap",
    }
    return DebianBuild(**(given | fields))  # type: ignore[arg-type]


def test_definition_is_what_a_builder_does() -> None:
    """Unpacked where Debian's builders unpack, built for one architecture, every target and the .buildinfo taken."""
    made = definition(build())
    check(made)
    unpack, run = made.commands
    assert ("-x", "/inputs/source/tiny_2.0-1.dsc") == unpack[-2:]
    assert ("--source", "tiny-2.0", "-B", *made.targets, "tiny_2.0-1_amd64.buildinfo") == run[4:]
    assert ("/build/reproducible-path", "0022", "C.UTF-8") == (made.directory, made.umask, made.environment["LC_ALL"])
    assert "-A" == definition(build(kind="all", architecture="all")).commands[1][6]


def test_definition_of_a_binary_only_upload() -> None:
    """The entry is an input, and is put in front of the changelog before anything is built."""
    entry = Input(role=Role.SOURCE, name="entry", sha256="ef" * 32, path=ENTRY)
    made = definition(build(entry=entry, version="1:2.0-1+b1", options=("notrimdch",), directory="/build/x-AbCdEf/x"))
    check(made)
    assert ["dpkg-source", "mv", "sh", "sh"] == [each[0].rpartition("/")[2] for each in made.commands]
    assert "tiny_2.0-1+b1_amd64.buildinfo" == made.commands[-1][-1]
    assert made.environment["DEB_BUILD_OPTIONS"].endswith(" notrimdch")
    assert "/build/x-AbCdEf" == made.directory
    assert entry in made.inputs


def test_entry_is_written_as_it_was() -> None:
    """It comes out the same, and all of it is listed with its size; the words are counted apart."""
    entry = parsed(TEXT, TINY, "1:2.0-1+b1", "amd64")
    assert entry is not None
    assert TEXT == entry.text == entry.written
    bare = parsed(TEXT.removesuffix("\n"), TINY, "1:2.0-1+b1", "amd64")
    assert bare is not None
    assert TEXT == bare.written
    assert ("Rebuild against libtiny2. It has another name.", 1) == (entry.replayed[-1].value, entry.blank)
    assert 0 < bits_before(entry.replayed) <= MOST_BITS // 2
    assert 500 < text_bits(entry.replayed) <= MOST_TEXT_BITS
    assert too_much(entry.replayed) is None
    long = Replayed(name="binary-only-reason", when=When.BEFORE_BUILD, value="x", bits=MOST_TEXT_BITS + 1)
    assert "a text of 4,097 bits" in (too_much([long]) or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tiny (", "tony ("),
        ("2.0-1+b1", "2.0-1+b2"),
        ("amd64;", "arm64;"),
        ("binary-only=yes", "binary-only=no"),
        ("sid;", "SID;"),
        ("Fri, 01 Aug", "Mon, 01 Aug"),
        ("10:11:12 +0000", "10:11:12"),
        ("Fri, 01 Aug 2025 10:11:12 +0000", "Fri, 01 Aug 2025 10:11:12 +0000 $"),
        ("Fri, 01 Aug 2025", "Fri, 01 Aug 99999999999"),
        ("Fri, 01 Aug 2025", "Fri, 01 Aug 1969"),
        ("Fri, 01 Aug 2025", "Wed, 01 Aug 9999"),
        ("\n    It has", "\nIt has"),
        ("libtiny2.", "libtiny2.\x01"),
        ("libtiny2.", "libtiny2ä."),
        ("libtiny2.", "x" * 500),
        ("+0000\n\n", "+0000\n\n\n\n\n\n"),
        ("+0000\n\n", "+0000\n\ntiny (1) sid; urgency=low\n"),
        ("<buildd", "<<buildd"),
    ],
)
def test_entry_of_another_form_is_none(before: str, after: str) -> None:
    """Another package's, another version's, more than an entry, what would not be written so."""
    assert before in TEXT
    assert parsed(TEXT.replace(before, after), TINY, "1:2.0-1+b1", "amd64") is None


def test_no_part_of_an_entry_is_counted_for_less_than_it_can_say() -> None:
    """A suite that is none is free text, and a zone of its own says more than UTC."""

    def bits(before: str, after: str) -> int:
        entry = parsed(TEXT.replace(before, after), TINY, "1:2.0-1+b1", "amd64")
        assert entry is not None
        return bits_before(entry.replayed)

    usual = bits(" sid;", " sid;")
    assert bits(" sid;", " trixie-proposed-updates;") == usual
    assert bits(" sid;", f" {'q' * 60};") > MOST_BITS
    assert bits("+0000", "+0137") == usual + 12


def test_no_set_of_packages_is_counted_for_less_than_it_can_say() -> None:
    """Packages of one version are chosen one by one, and of all that the archive has where a build would have none."""
    case = cast("Case", SimpleNamespace(candidate=SimpleNamespace(suite="trixie")))

    def bits(*pins: Pin) -> int:
        return bits_before(_replayed(case, Way("trixie", pins=pins)))

    own = [Pin(name=f"own{number}", version="1.0-1") for number in range(5)]
    added = [Pin(name=f"other{number}", version="1.0-1", added=True) for number in range(6)]
    assert 15 == bits(*own)
    assert bits(*added) > MOST_BITS
    assert 4 * 3 == bits_before(_replayed(case, Way("trixie", options=("nodoc", "noopt", "terse"))))
