"""``.buildinfo`` files: what dpkg writes is read, and only values of closed sets enter a build."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.buildinfo import BuildInfo, InstalledPackage, build_info
from rebuilder.ecosystems.debian.index import SourceName
from rebuilder.ecosystems.debian.signature import signed_text
from tests.fakes.debian_archive import need

_CHANGES = """tiny (1:1.0-1+b1) sid; urgency=low, binary-only=yes

  * Binary-only non-maintainer upload for amd64; no source changes.

 -- A Build Daemon <buildd@example.org>  Sun, 01 Jan 2023 00:00:00 +0000
"""
_DIGEST = "0" * 64
_PLAIN = f"""Format: 1.0
Source: tiny
Binary: tiny
Architecture: all
Version: 1:2.0-1
Checksums-Sha256:
 {_DIGEST} 3 tiny_2.0-1_all.deb
Build-Architecture: amd64
Build-Path: /build/reproducible-path/tiny-2.0
Installed-Build-Depends:
 base-files (= 13),
 libc6:i386 (= 2.41-12),
 bash (= 5.2-1+b8)
Environment:
 DEB_BUILD_OPTIONS="nocheck parallel=4"
 LC_ALL="C.UTF-8"
"""


def read(**fields: str) -> BuildInfo:
    """The plain one with some fields changed."""
    stanza = {name: f"{name}:{value}" for name, value in re.findall(r"(?m)^([\w-]+):(.*\n(?: .*\n)*)", _PLAIN)}
    stanza |= {name.replace("_", "-"): f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items()}
    return build_info("".join(stanza.values()).encode())


def test_what_dpkg_writes(tmp_path: Path) -> None:
    """A binNMU described by dpkg of this machine."""
    need("dpkg-genbuildinfo", "dpkg-dev")
    tree = tmp_path / "tiny-1.0/debian"
    tree.mkdir(parents=True)
    fields = "Source: tiny\nMaintainer: a <a@example.org>\nStandards-Version: 4.6.0\n\nPackage: tiny\n"
    (tree / "control").write_text(f"{fields}Architecture: any\nDescription: x\n x\n")
    older = _CHANGES.replace("+b1", "").replace(", binary-only=yes", "")
    (tree / "changelog").write_text(f"{_CHANGES}\n{older}")
    (tmp_path / "tiny_1.0-1+b1_amd64.deb").write_text("x")
    (tree / "files").write_text("tiny_1.0-1+b1_amd64.deb misc optional\n")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "CFLAGS": '-DA="x"', "DEB_BUILD_OPTIONS": "nocheck"}
    command = ["dpkg-genbuildinfo", "--build=any", "--admindir=/var/lib/dpkg", "-O"]
    said = subprocess.run(command, cwd=tree.parent, env=environment, check=True, capture_output=True, timeout=300)
    found = build_info(said.stdout)
    assert (SourceName("tiny", "1:1.0-1"), "1:1.0-1+b1") == (found.source, found.version)
    assert ["tiny_1.0-1+b1_amd64.deb"] == [each.name for each in found.files]
    assert {"LC_ALL": "C.UTF-8", "DEB_BUILD_OPTIONS": "nocheck"} == found.environment
    assert ["CFLAGS"] == [word for each in found.left_out for word in each.split() if word.isupper()]
    assert "bash" in {each.name for each in found.installed}


def test_plain_one() -> None:
    """All that a build may follow."""
    found = build_info(_PLAIN.encode())
    assert ("/build/reproducible-path/tiny-2.0", "amd64", ()) == (
        found.build_path,
        found.build_architecture,
        found.left_out,
    )
    assert InstalledPackage("libc6", "i386", "2.41-12") == found.installed[1]


@pytest.mark.parametrize(
    "path",
    [
        "/build/../etc/tiny-2.0",
        "/home/someone/tiny-2.0",
        "/build/tiny-2.0/x",
        "/build/0badc0de0badc0de/tiny-2.0",
        "build/tiny-2.0",
        "/build/tiny-2.0\t",
        "/build/tiny-3.0",
    ],
)
def test_build_paths_of_other_forms_are_not_followed(path: str) -> None:
    """A path stands in what is built: it could carry anything there."""
    found = read(Build_Path=path)
    assert (found.build_path is None) == bool(found.left_out)
    assert found.build_path in {None, "/build/tiny-2.0"}


def test_build_paths_of_builders() -> None:
    """Of the archive's builders, of sbuild, and the plain one."""
    for path in ("/build/tiny-2.0", "/build/tiny-Xy12Zz/tiny-2.0", "/build/reproducible-path/tiny-2.0"):
        assert path == read(Build_Path=path).build_path


@pytest.mark.parametrize(
    "line",
    [
        'LD_PRELOAD="/tmp/evil.so"',
        'LC_ALL="../../x"',
        'DEB_BUILD_OPTIONS="nocheck payload=c0de"',
        'DEB_BUILD_OPTIONS="nocheck nocheck"',
        'SOURCE_DATE_EPOCH="$(date)"',
        'DEB_BUILD_PROFILES="pkg.tiny.payload"',
        'PATH="/tmp"',
        'LC_x="C"',
        'LANG="C\\"; reboot"',
    ],
)
def test_other_variables_are_not_followed(line: str) -> None:
    """Neither other names nor values that have no end."""
    found = read(Environment=f"\n {line}")
    assert {} == found.environment
    assert found.left_out[0].startswith(f"Its variables {line.partition('=')[0]} ")


@pytest.mark.parametrize(
    "fields",
    [
        {"Source": "../x"},
        {"Source": "tiny (1)"},
        {"Version": "x"},
        {"Architecture": "../all"},
        {"Build_Architecture": ""},
        {"Installed_Build_Depends": "a b"},
        {"Installed_Build_Depends": "aa (>= 1)"},
        {"Installed_Build_Depends": "aa (= 1), aa (= 2)"},
        {"Installed_Build_Depends": ", ".join(f"a{number} (= 1)" for number in range(100_000))},
        {"Checksums_Sha256": f"\n {_DIGEST} 3 ../../etc/passwd"},
        {"Checksums_Sha256": f"\n {_DIGEST} 3 /etc/passwd"},
        {"Checksums_Sha256": f"\n {_DIGEST} 3 a.deb\n {_DIGEST} 3 a.deb"},
        {"Checksums_Sha256": f"\n {_DIGEST[1:]} 3 a.deb"},
        {"Checksums_Sha256": f"\n {_DIGEST} -3 a.deb"},
        {"Checksums_Sha256": ""},
        {"Environment": "\n x"},
        {"Environment": "\n" + "\n".join(f' A{number}="1"' for number in range(500))},
        {"Format": "1.0\nSource: other"},
        {"Format": "1.0\n\nMore: of it"},
    ],
)
def test_refused(fields: dict[str, str]) -> None:
    """One sentence, and short."""
    with pytest.raises(MalformedStanzaError) as error:
        read(**fields)
    assert len(str(error.value)) < 200


def test_more_than_is_read() -> None:
    """Size is looked at first."""
    with pytest.raises(MalformedStanzaError, match="bytes"):
        build_info(_PLAIN.encode() + b"X: " + b"x" * (5 << 20))


_SOME = [*_PLAIN.splitlines(), "", " ", " .", "#", "Source: a", "Version: 1+b1", ' A="']


@given(st.lists(st.sampled_from(_SOME) | st.text(max_size=30)))
def test_any_text(lines: list[str]) -> None:
    """Anything is read or refused in a sentence, and what is read is harmless."""
    try:
        found = build_info("\n".join(lines).encode("utf-8", "surrogatepass"))
    except MalformedStanzaError:
        return
    assert found.build_path is None or re.fullmatch(r"/build/[A-Za-z0-9+.~/-]+", found.build_path)
    assert set(found.environment) <= {"LC_ALL", "DEB_BUILD_OPTIONS"}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """No bytes at all lead to another error."""
    with pytest.raises((MalformedStanzaError, ValueError)):
        build_info(signed_text(data))


def test_text_of_a_signed_document() -> None:
    """Only the whole of it, with what was escaped as it was."""
    text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nA: 1\n- - x\n{}\n-----BEGIN PGP SIGNATURE-----\n\nx\n"
    signed = (text + "-----END PGP SIGNATURE-----\n").format("B: 2").encode()
    assert b"A: 1\n- x\nB: 2\n" == signed_text(signed)
    assert b"A: 1\n" == signed_text(b"A: 1\r\n")
    for other in (b"A: 0\n" + signed, signed + b"A: 0\n", signed + signed, signed[:-20]):
        with pytest.raises(ValueError, match="outside"):
            signed_text(other)
