"""Names, versions and lists of Debian packages, by dpkg's own rules."""

from __future__ import annotations

import gzip
import itertools
import lzma
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder import deb822
from rebuilder.consumer.lock_files import dependencies
from rebuilder.consumer.lock_files.debian import read_packages
from rebuilder.consumer.platform_files import Target
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.conventions import NamedPackages
from rebuilder.ecosystems.debian.conventions import DebianConventions
from rebuilder.ecosystems.debian.ecosystem import dsc_findings
from rebuilder.ecosystems.debian.index import SourceName, binary_package, listed, source_package
from rebuilder.ecosystems.debian.installed import is_package_list, packages_in
from rebuilder.ecosystems.debian.subject import parse_subject
from rebuilder.ecosystems.debian.version import is_version, order
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import UsageError
from rebuilder.toml_files import FileError

VERSIONS = (
    *(
        "0",
        "00",
        "1",
        "1~",
        "1~~",
        "1~~a",
        "1~rc1-1",
        "1-0",
        "1-0~",
        "1-~",
        "1-00a",
        "1-1",
        "1-1+b1",
        "1-1+b10",
        "1-1+deb13u1",
        "1.0",
        "1.0.0",
    ),
    *("1a", "1+", "1.", "1-1~bpo1", "0:1-1", "1:0~", "1:0-1", "2:0", "10", "9z", "1a-b-1", "1.18446744073709551617"),
)


def test_order_is_dpkgs() -> None:
    """Each pair, asked of dpkg itself."""
    dpkg = shutil.which("dpkg")
    assert dpkg, "apt-get install dpkg"
    pairs = list(itertools.combinations(VERSIONS, 2))
    assert pairs
    for left, right in pairs:
        older = subprocess.run([dpkg, "--compare-versions", left, "lt", right], check=False).returncode == 0
        same = subprocess.run([dpkg, "--compare-versions", left, "eq", right], check=False).returncode == 0
        assert (older, same) == (order(left) < order(right), order(left) == order(right)), (left, right)


@settings(max_examples=200)
@given(st.lists(st.text(alphabet="019az.+~-:", min_size=0, max_size=8), min_size=2, max_size=3))
def test_any_text_has_a_place(texts: list[str]) -> None:
    """Comparing never fails, whatever the texts are."""
    assert sorted(texts, key=order)


def test_versions() -> None:
    """What dpkg takes, and what it does not."""
    assert all(map(is_version, VERSIONS))
    for text in ("", "a", "1 2", "1-", "1:", "x:1", "1\n", "-1", "1_2", "1/2", "1" * 300):
        assert not is_version(text), text
    conventions = DebianConventions()
    assert conventions.older("1~rc1-1", "1-1")
    assert conventions.older("x", "1") is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gzip", ("gzip", None, None, None)),
        ("gzip==1.13-1+deb13u1", ("gzip", "1.13-1+deb13u1", None, None)),
        ("libc6==1:2.41-12/amd64@trixie", ("libc6", "1:2.41-12", "amd64", "trixie")),
        ("gzip@trixie-security", ("gzip", None, None, "trixie-security")),
        ("gzip/arm64", ("gzip", None, "arm64", None)),
        ("pkg:deb/debian/gzip@1.13-1?arch=amd64&distro=debian-trixie", ("gzip", "1.13-1", "amd64", "trixie")),
        ("pkg:deb/debian/libstdc%2B%2B6@14.2.0-19", ("libstdc++6", "14.2.0-19", None, None)),
        ("gzip_1.13-1_amd64.deb", ("gzip", "1.13-1", "amd64", None)),
        ("libc6_1%3a2.41-12_amd64.deb", ("libc6", "1:2.41-12", "amd64", None)),
    ],
)
def test_subjects(text: str, parts: tuple[str, str | None, str | None, str | None]) -> None:
    """Each way to name a package."""
    found = parse_subject(text)
    assert parts == (found.name, found.version, found.architecture, found.suite)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Gzip", "g", "gzip==", "gzip==x", "gzip==1 2", "gzip/", "gzip@", "gzip@../x", "gzip==1/../x", "../gzip"),
        *("pkg:deb/ubuntu/gzip@1", "pkg:deb/debian/gzip@1?vendor=x", "pkg:npm/gzip@1", "gzip==1/source", "x" * 999),
        *("gzip==1\x1b[31m", "gzip_1_amd64_x.deb"),
    ],
)
def test_subjects_that_are_none(text: str) -> None:
    """A sentence with what to write instead."""
    with pytest.raises(UsageError) as caught:
        parse_subject(text)
    assert "deb:gzip==1.13-1" in (caught.value.hint or "")
    assert "\x1b" not in str(caught.value)


LIST = b"""Package: a
Version: 1
Description: x
 Package: b

Package: b
Version: 2

Package: b
Version: 3
"""


def test_stanzas_of_a_large_list() -> None:
    """Found by a whole line: not within a longer name, not within the text of another stanza."""
    assert ["2", "3"] == [deb822.fields(each)["version"] for each in deb822.found(LIST, b"Package", b"b")]
    assert ["1"] == [deb822.fields(each)["version"] for each in deb822.found(LIST, b"Package", b"a")]
    assert [] == list(deb822.found(LIST + b"\nPackage: bb\n", b"Package", b"")) + list(
        deb822.found(b"", b"Package", b"a")
    )
    singly = [(name, each) for name in ("a", "b") for each in deb822.found(LIST, b"Package", name.encode())]
    assert singly == list(deb822.found_any(LIST, b"Package", {"a", "b", "c"}))
    assert 3 == len(list(deb822.stanzas(LIST)))
    assert 3 == len(list(deb822.stanzas(LIST.replace(b"\n\n", b"\n \t\n\n"))))
    assert ["a", "b", "b"] == list(deb822.values(LIST, b"Package"))


def test_field_of_a_million_lines() -> None:
    """Takes time in proportion to its length, and not to the square of that: 4 MB took hours."""
    begun = time.process_time()
    found = deb822.fields(b"A: 1\nB:\n" + b" a\n" * 1_000_000 + b"C: 2\n")
    assert ("1", 2_000_000, "2") == (found["a"], len(found["b"]), found["c"])
    assert time.process_time() - begun < 300
    assert "x\nPackage: b" == deb822.fields(next(deb822.stanzas(LIST)))["description"]


def entry(**fields: str) -> bytes:
    """An entry of a list of binary packages."""
    given = {
        "Package": "tiny",
        "Version": "1-1+b2",
        "Architecture": "amd64",
        "Filename": "pool/main/t/tiny/tiny_1-1+b2_amd64.deb",
        "Size": "5",
        "SHA256": "0" * 64,
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    return "".join(f"{name}: {value}\n" for name, value in given.items()).encode()


def test_entry_of_a_binary_package() -> None:
    """Its source, what it was built with, and that it is another build."""
    found = binary_package(
        entry(Source="tiny-src (1-1)", Built_Using="aa (= 1), bb (= 2:3-4)", Static_Built_Using="cc (= 1)")
    )
    assert (SourceName("tiny-src", "1-1"), "+b2") == (found.source, found.rebuild)
    assert [SourceName("aa", "1"), SourceName("bb", "2:3-4"), SourceName("cc", "1")] == list(found.built_using)
    assert SourceName("tiny", "1-1+b2") == binary_package(entry()).source
    assert binary_package(entry(Version="1-1")).rebuild is None


@pytest.mark.parametrize(
    "fields",
    [
        {"Filename": "../x.deb"},
        {"Filename": "pool//x.deb"},
        {"Filename": "/x.deb"},
        {"Filename": "pool/.x.deb"},
        {"Filename": "pool/x.deb?y"},
        {"Size": "-1"},
        {"Size": "9" * 40},
        {"SHA256": "0" * 63},
        {"Version": "1 2"},
        {"Architecture": "../x"},
        {"Source": "x (1"},
        {"Built_Using": "x"},
        {"Package": "-x"},
    ],
)
def test_entries_that_cannot_be_used(fields: dict[str, str]) -> None:
    """Whoever signed them."""
    with pytest.raises(MalformedStanzaError):
        binary_package(entry(**fields))


@pytest.mark.parametrize(
    "lines",
    [
        f"{'0' * 64} 1 ../x",
        f"{'0' * 64} 1 a/b",
        f"{'0' * 64} 1 .x",
        "x",
        f"{'0' * 64} 1 x\n{'0' * 64} 2 x",
        "a 1 x\n" * 1001,
    ],
)
def test_source_that_names_files_outside(lines: str) -> None:
    """A file of a source package is a plain name, once."""
    with pytest.raises(MalformedStanzaError):
        list(listed(lines))


def test_source_without_digests() -> None:
    """MD5 alone binds nothing."""
    data = b"Package: tiny\nVersion: 1\nDirectory: pool\nFiles:\n 0 1 x.dsc\n"
    with pytest.raises(MalformedStanzaError, match="no files with SHA-256"):
        source_package(data, SourceName("tiny", "1"))
    assert source_package(data, SourceName("tiny", "2")) is None


STATUS = """Package: gzip
Status: install ok installed
Version: 1.13-1
Architecture: amd64

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64

Package: held
Status: hold ok installed
Version: 2
Architecture: all
"""
TABLE = """Desired=Unknown/Install/Remove/Purge/Hold
| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend
|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)
||/ Name           Version      Architecture Description
+++-==============-============-============-=================================
ii  gzip           1.13-1       amd64        GNU compression utilities
rc  gone           1            amd64        not there any more
hi  held           2            all          kept
"""
APT = """Listing... Done
gzip/stable,now 1.13-1 amd64 [installed,automatic]
held/now 2 all [installed,local]
other/stable 1 amd64
"""
PAIRS = "gzip\t1.13-1\nheld:all\t2\n"


@pytest.mark.parametrize("text", [STATUS, TABLE, APT, PAIRS], ids=["status", "dpkg -l", "apt list", "dpkg-query"])
def test_lists_of_what_is_installed(text: str) -> None:
    """Whatever program wrote them, what is not installed is left out."""
    assert is_package_list(text)
    found = list(packages_in(Path("list"), text))
    assert [("gzip", "1.13-1"), ("held", "2")] == [(each.name, each.version) for each in found]
    named = NamedPackages(ECOSYSTEMS["deb"])
    named.rules.collect(Path("list"), text, named)
    assert {"gzip": {"1.13-1"}, "held": {"2"}} == named.pins


def test_list_of_names() -> None:
    """One a line, with patterns; nothing is pinned."""
    named = NamedPackages(ECOSYSTEMS["deb"])
    named.rules.collect(Path("list"), "gzip  # a remark\nlibc6\npython3-*\n", named)
    assert ({"gzip", "libc6"}, {"python3-*"}, {}) == (named.packages, named.patterns, named.pins)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{TABLE}nonsense\n", 9),
        ("Package: gzip\nnonsense\n", None),
        ("Package: gzip\nVersion: 1 2\nArchitecture: all\n", 1),
        ("gzip\t1.13-1\nheld\t2_3\n", 2),
    ],
)
def test_lists_with_a_mistake(text: str, line: int | None) -> None:
    """The file, the line, and what is wrong."""
    with pytest.raises(FileError) as caught:
        list(packages_in(Path("list"), text))
    assert line == caught.value.remark.line


@pytest.mark.parametrize("text", ["", "requests==2.0\n", "gzip\n", "# Package: x\n", "iisomething 1\n"])
def test_other_lists_are_none(text: str) -> None:
    """Requirements and names stay what they are."""
    assert not is_package_list(text)


LISTS = f"""Package: gzip
Version: 1.13-1
Architecture: amd64
SHA256: {"1" * 64}

Package: held
Version: 2
Architecture: all
SHA256: {"2" * 64}

Package: held
Version: 3
Architecture: all
SHA256: {"3" * 64}
"""


@pytest.mark.parametrize("text", [STATUS, TABLE, APT, PAIRS], ids=["status", "dpkg -l", "apt list", "dpkg-query"])
def test_installed_packages_have_the_digests_of_apts_lists(text: str, tmp_path: Path) -> None:
    """By name, version and architecture; without a list nobody can be asked."""
    lists = tmp_path / "lists"
    lists.mkdir()
    assert all(each.problem and not each.files for each in read_packages(Path("status"), text, lists))
    (lists / "mirror_dists_trixie_main_binary-amd64_Packages").write_text(LISTS)
    found = read_packages(Path("status"), text, lists)
    assert ["deb:gzip==1.13-1", "deb:held==2"] == [f"{each.ecosystem}:{each.label}" for each in found]
    files = [(file.filename, file.sha256) for each in found for file in each.files]
    assert [("gzip_1.13-1_amd64.deb", "1" * 64), ("held_2_all.deb", "2" * 64)] == files
    assert [None, None] == [each.problem for each in found]


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_lists_that_apt_keeps_compressed(ending: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Are read by apt itself; one that is damaged has nothing."""
    file = tmp_path / f"mirror_dists_trixie_main_binary-amd64_Packages{ending}"
    file.write_bytes(pack(LISTS.encode()))
    first, _ = read_packages(Path("status"), STATUS, tmp_path)
    assert ["1" * 64] == [each.sha256 for each in first.files]
    file.write_bytes(b"rubbish")
    first, _ = read_packages(Path("status"), STATUS, tmp_path)
    assert first.problem


def test_one_version_with_two_files(tmp_path: Path) -> None:
    """Where two archives have it, nobody knows which it was; the list of an archive says it itself."""
    for number, digest in enumerate("45"):
        text = LISTS.replace("1" * 64, digest * 64)
        (tmp_path / f"mirror{number}_dists_trixie_main_binary-amd64_Packages").write_text(text)
    first, second = read_packages(Path("status"), STATUS, tmp_path)
    assert "Two archives" in (first.problem or "")
    assert not first.files
    assert second.problem is None
    listed_there = read_packages(Path("Packages"), LISTS, tmp_path)
    assert ["1" * 64, "2" * 64, "3" * 64] == [file.sha256 for each in listed_there for file in each.files]


@pytest.mark.parametrize("name", ["status", "packages.txt", "installed.list"])
def test_lists_are_known_by_what_is_in_them(name: str, tmp_path: Path) -> None:
    """Whatever they are called."""
    (tmp_path / name).write_text(TABLE)
    assert ["gzip", "held"] == [each.name for each in dependencies(tmp_path / name, Target(every=False))]


SOURCES = f"""Package: tiny
Version: 1-1
Directory: pool/main/t/tiny
Checksums-Sha256:
 {"1" * 64} 10 tiny_1.orig.tar.gz
 {"2" * 64} 20 tiny_1-1.dsc
""".encode()
DSC = f"""Format: 3.0 (quilt)
Source: tiny
Version: 1-1
Checksums-Sha256:
 {"1" * 64} 10 tiny_1.orig.tar.gz
"""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("", "", "it is not signed"),
        ("Source: tiny", "Source: tony", "says something else"),
        ("Version: 1-1", "Version: 1-2", "says something else"),
        ("1" * 64, "3" * 64, "says something else"),
        (" 10 ", " 11 ", "says something else"),
        ("tiny_1.orig", "../tiny_1.orig", "is not used"),
        ("tiny_1.orig.tar.gz", "/etc/passwd", "is not used"),
        (" 10 ", " x ", "is not used"),
        ("Source: tiny", "Source: tiny\nSource: tiny", "is not used"),
        ("Source: tiny", "nonsense", "is not used"),
    ],
)
def test_description_of_a_source_that_says_something_else(before: str, after: str, words: str, tmp_path: Path) -> None:
    """The list counts, and what is wrong with the file is said; nothing of it is used."""
    source = source_package(SOURCES, SourceName("tiny", "1-1"))
    assert source is not None
    assert source.dsc is not None
    found = list(dsc_findings(DSC.replace(before, after, 1).encode(), source, tmp_path))
    assert words in " ".join(found)
    assert bool(before) == (len(found) > 1)
