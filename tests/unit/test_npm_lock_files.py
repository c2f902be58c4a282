"""Lock files of npm, pnpm and yarn: what they name, and what is refused with one sentence."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from rebuilder.ecosystems.npm.integrity import Digest
from rebuilder.ecosystems.npm.lock_files import LockedPackage, LockFileError, Origin, read_lock
from rebuilder.foreign_yaml import UnreadableYaml, read_yaml

SHA512 = hashlib.sha512(b"tarball").hexdigest()
INTEGRITY = "sha512-" + base64.b64encode(bytes.fromhex(SHA512)).decode()
SHA1 = hashlib.sha1(b"tarball").hexdigest()  # noqa: S324 - what old lock files have
BOUND = (Digest("sha512", SHA512),)
ROW = {"version": "1.0.0", "resolved": "https://registry.example.org/alpha/-/alpha-1.0.0.tgz", "integrity": INTEGRITY}


def listed(packages: dict[str, Any], **more: Any) -> tuple[LockedPackage, ...]:
    """A package-lock.json of version 3."""
    document = {"lockfileVersion": 3, "packages": {"": {"name": "own"}, **packages}, **more}
    return read_lock("package-lock.json", json.dumps(document).encode())


def test_package_lock() -> None:
    """Names, aliases, optional packages and those for other machines, links and workspaces."""
    found = listed(
        {
            "node_modules/alpha": ROW,
            "node_modules/other": {**ROW, "name": "@scope/real", "version": "2.0.0"},
            "node_modules/@scope/beta/node_modules/alpha": {"version": "1.0.0", "inBundle": True},
            "node_modules/ours": {**ROW, "inBundle": True},
            "node_modules/mac": {**ROW, "os": ["darwin"], "cpu": "arm64", "optional": True},
            "node_modules/own-part": {"resolved": "packages/part", "link": True},
            "packages/part": {"version": "1.0.0"},
            "../beside": {"version": "1.0.0"},
        }
    )
    assert [each.name for each in found] == ["alpha", "@scope/real", "alpha", "ours", "mac"]
    alpha, real, bundled, ours, mac = found
    assert not ours.bundled, "what the project bundles comes from the registry"
    assert alpha == LockedPackage("node_modules/alpha", "alpha", "1.0.0", Origin.REGISTRY, ROW["resolved"], BOUND)
    assert (real.version, bundled.bundled, alpha.bundled) == ("2.0.0", True, False)
    assert (mac.optional, mac.runs_on("darwin", "arm64"), mac.runs_on("linux", "x64")) == (True, True, False)


def test_package_lock_of_version_1() -> None:
    """Packages below packages; a version that is an address, or another package."""
    rows = {
        "alpha": {**ROW, "dependencies": {"beta": {**ROW, "bundled": True}}},
        "gamma": {"version": "npm:@scope/real@3.0.0", "resolved": ROW["resolved"], "integrity": f"sha1-{_sha1()}"},
        "delta": {"version": "git+ssh://git@git.example.org/delta.git#0123"},
        "local": {"version": "file:packages/local"},
    }
    found = read_lock("npm-shrinkwrap.json", json.dumps({"lockfileVersion": 1, "dependencies": rows}).encode())
    assert {each.name: (each.version, each.origin.name) for each in found} == {
        "alpha": ("1.0.0", "REGISTRY"),
        "@scope/real": ("3.0.0", "REGISTRY"),
        "delta": (None, "GIT"),
        "local": (None, "DIRECTORY"),
        "beta": ("1.0.0", "REGISTRY"),
    }
    assert next(each for each in found if each.name == "@scope/real").digests == (Digest("sha1", SHA1),)
    assert read_lock("package-lock.json", b'{"lockfileVersion": 1}') == ()


def _sha1() -> str:
    return base64.b64encode(bytes.fromhex(SHA1)).decode()


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://registry.example.org/a/-/a-1.0.0.tgz", Origin.REGISTRY),
        ("http://registry.example.org/@s/a/-/a-1.0.0.tgz?x=y", Origin.REGISTRY),
        ("https://git.example.org/owner/name/archive/0123.tar.gz", Origin.ADDRESS),
        ("git+ssh://git@git.example.org/owner/name.git#0123", Origin.GIT),
        ("git@git.example.org:owner/name.git", Origin.GIT),
        ("https://git.example.org/owner/name.git#0123", Origin.GIT),
        ("github:owner/name", Origin.GIT),
        ("owner/name#0123", Origin.GIT),
        ("file:packages/a", Origin.DIRECTORY),
        ("ftp://example.org/a.tgz", Origin.ADDRESS),
        ("javascript:alert(1)", Origin.ADDRESS),
    ],
)
def test_where_packages_come_from(address: str, origin: Origin) -> None:
    """Addresses of registries, other addresses, repositories, directories."""
    (found,) = listed({"node_modules/a": {"version": "1.0.0", "resolved": address}})
    assert found.origin is origin


@pytest.mark.parametrize(
    "key",
    [
        "node_modules/__proto__",
        "node_modules/../../etc",
        "node_modules/a/../../../b",
        "/node_modules/a",
        "node_modules/",
        "node_modules/a\\b",
        "xnode_modules/a",
        "node_modules/.bin",
        "node_modules/a/node_modules/@scope",
        "packages/../../other",
        "node_modules//a",
    ],
)
def test_keys_that_are_no_places(key: str) -> None:
    """Whatever climbs, and what no registry has as a name."""
    with pytest.raises(LockFileError):
        listed({key: ROW})


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"packages": []}',
        b'{"packages": {"node_modules/a": []}}',
        b'{"packages": {"node_modules/a": {"version": 1}}}',
        b'{"packages": {"node_modules/a": {"version": "1.0.0", "os": {"x": 1}}}}',
        b'{"packages": {"node_modules/a": {"version": "1.0.0", "name": "../b"}}}',
        b'{"packages": {"node_modules/a": {"link": true, "resolved": "/etc"}}}',
        b'{"packages": {"node_modules/a": {}, "node_modules/a": {}}}',
        b'{"dependencies": {"__proto__": {"version": "1.0.0"}}}',
        b'{"name": "a package.json"}',
        b'{"packages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_package_locks_that_are_none(text: bytes) -> None:
    """One sentence each, that shows nothing which a terminal obeys."""
    with pytest.raises(LockFileError) as refused:
        read_lock("package-lock.json", text)
    assert str(refused.value).isprintable()


def test_too_many_packages() -> None:
    """A hundred thousand are read, and one more is not."""
    rows = {f"node_modules/p{number}": {"version": "1.0.0"} for number in range(100_000)}
    assert len(listed(rows)) == 100_000
    with pytest.raises(LockFileError, match="more than 100,000"):
        listed({**rows, "node_modules/more": {"version": "1.0.0"}})


def test_two_halves_that_disagree() -> None:
    """Npm 6 reads the one, npm 7 the other."""
    with pytest.raises(LockFileError, match="two things of node_modules/alpha"):
        listed({"node_modules/alpha": ROW}, dependencies={"alpha": {**ROW, "integrity": f"sha1-{_sha1()}"}})


@pytest.mark.parametrize(
    ("integrity", "kinds"),
    [
        (f"sha1-{_sha1()} {INTEGRITY}", ["sha512", "sha1"]),
        (f"{INTEGRITY}?option", ["sha512"]),
        (f"{INTEGRITY}\u00a0sha512-AAAA", []),
        ("sha512-AAAA", []),
        ("md5-AAAA", []),
        (None, []),
        (7, []),
    ],
)
def test_digests(integrity: Any, kinds: list[str]) -> None:
    """The strongest first; nothing where readers may differ about what is a word."""
    (found,) = listed({"node_modules/a": {"version": "1.0.0", "integrity": integrity}})
    assert [each.algorithm for each in found.digests] == kinds


PNPM_9 = f"""
lockfileVersion: '9.0'
settings: {{autoInstallPeers: true}}
importers:
  .:
    devDependencies:
      alpha: {{specifier: ^1.0.0, version: 1.0.0}}
packages:
  alpha@1.0.0:
    resolution: {{integrity: {INTEGRITY}}}
    engines: {{node: '>=10'}}
    deprecated: |-
      Two lines:
      of text
  '@scope/mac@2.0.0':
    resolution: {{integrity: {INTEGRITY}, tarball: https://registry.example.org/@scope/mac/-/mac-2.0.0.tgz}}
    cpu: [arm64]
    os: [darwin]
  fetched@https://git.example.org/owner/name/tar.gz/0123:
    resolution: {{tarball: https://git.example.org/owner/name/tar.gz/0123}}
    version: 3.0.0
  cloned@git+https://git.example.org/owner/name.git#0123:
    resolution: {{commit: '0123', repo: https://git.example.org/owner/name.git, type: git}}
    version: 3.0.0
  part@file:packages/part:
    resolution: {{directory: packages/part, type: directory}}
snapshots:
  alpha@1.0.0(peer@1.0.0): {{}}
  '@scope/mac@2.0.0':
    optional: true
"""


def test_pnpm_lock() -> None:
    """Version 9: what is optional stands elsewhere."""
    found = {each.name: each for each in read_lock("pnpm-lock.yaml", PNPM_9.encode())}
    assert {name: each.origin.name for name, each in found.items()} == {
        "alpha": "REGISTRY",
        "@scope/mac": "REGISTRY",
        "fetched": "ADDRESS",
        "cloned": "GIT",
        "part": "DIRECTORY",
    }
    assert (found["alpha"].version, found["alpha"].digests) == ("1.0.0", BOUND)
    mac = found["@scope/mac"]
    assert (mac.version, mac.os, mac.cpu, mac.optional) == ("2.0.0", ("darwin",), ("arm64",), True)


@pytest.mark.parametrize(
    ("version", "key", "expected"),
    [
        ("5.4", "/@scope/alpha/1.0.0_peer@2.0.0", ("@scope/alpha", "1.0.0")),
        ("5.3", "/alpha/1.0.0-beta.1", ("alpha", "1.0.0-beta.1")),
        ("'6.0'", "/@scope/alpha@1.0.0(peer@2.0.0)(@s/p@1.0.0)", ("@scope/alpha", "1.0.0")),
        ("'6.1'", "/alpha@1.0.0", ("alpha", "1.0.0")),
        ("'9.0'", "alpha@1.0.0", ("alpha", "1.0.0")),
    ],
)
def test_keys_of_pnpm(version: str, key: str, expected: tuple[str, str]) -> None:
    """Each version writes them in its own way."""
    text = f"lockfileVersion: {version}\npackages:\n  '{key}':\n    resolution: {{integrity: {INTEGRITY}}}\n"
    (found,) = read_lock("pnpm-lock.yaml", text.encode())
    assert (found.name, found.version, found.origin, found.digests) == (*expected, Origin.REGISTRY, BOUND)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "packages: {}",
        "lockfileVersion: '4'\npackages: {}",
        "lockfileVersion: '10'\npackages: {}",
        "lockfileVersion: '9.0'\npackages: []",
        "lockfileVersion: '9.0'\npackages: {alpha@1.0.0: x}",
        "lockfileVersion: '9.0'\npackages: {__proto__@1.0.0: {}}",
        "lockfileVersion: '9.0'\npackages: {alpha@1.0.0: {}, alpha@1.0.0: {}}",
        "lockfileVersion: '9.0'\npackages: {a@file:x: {resolution: {directory: a/../../x, type: directory}}}",
        "lockfileVersion: &a '9.0'\npackages: {}",
        "lockfileVersion: !!python/object:os.system '9.0'",
    ],
)
def test_pnpm_locks_that_are_none(text: str) -> None:
    """One sentence each."""
    if not text:
        assert read_lock("pnpm-lock.yaml", b"") == ()
        return
    with pytest.raises(LockFileError):
        read_lock("pnpm-lock.yaml", text.encode())


YARN_1 = f"""# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.
# yarn lockfile v1


"@scope/beta@^2.0.0", "@scope/beta@^2.1.0":
  version "2.1.0"
  resolved "https://registry.example.org/@scope/beta/-/beta-2.1.0.tgz#{SHA1}"
  integrity {INTEGRITY}
  dependencies:
    alpha "^1.0.0"
    "@scope/gamma" "1 || 2"

alpha@^1.0.0:
  version "1.0.0"
  resolved "https://registry.example.org/alpha/-/alpha-1.0.0.tgz#{SHA1}"

"other@npm:@scope/real@^3.0.0":
  version "3.0.0"
  resolved "https://registry.example.org/@scope/real/-/real-3.0.0.tgz"
  integrity {INTEGRITY}

"cloned@git+https://git.example.org/owner/name.git":
  version "4.0.0"
  resolved "git+https://git.example.org/owner/name.git#0123"

"part@file:packages/part":
  version "0.0.0"
"""


def test_yarn_lock() -> None:
    """Yarn 1: several ranges of one package, an alias, a SHA-1 behind the address, a repository, a directory."""
    found = {each.name: each for each in read_lock("yarn.lock", YARN_1.replace("\n", "\r\n").encode())}
    assert {name: (each.version, each.origin.name) for name, each in found.items()} == {
        "@scope/beta": ("2.1.0", "REGISTRY"),
        "alpha": ("1.0.0", "REGISTRY"),
        "@scope/real": ("3.0.0", "REGISTRY"),
        "cloned": ("4.0.0", "GIT"),
        "part": ("0.0.0", "DIRECTORY"),
    }
    assert found["@scope/beta"].digests == BOUND
    assert found["alpha"].digests == (Digest("sha1", SHA1),)
    assert found["part"].address == "packages/part"


@pytest.mark.parametrize(
    "text",
    [
        "# yarn lockfile v1\n  version 1",
        "# yarn lockfile v1\na@1, b@1:\n  version 1.0.0",
        '# yarn lockfile v1\na@1:\n  version "1.0.0"\n  version "2.0.0"',
        "# yarn lockfile v1\na@1:\n  version 1.0.0\na@1:\n  version 1.0.0",
        "# yarn lockfile v1\na@1:\n   strange",
        "# yarn lockfile v1\n__proto__@1:\n  version 1.0.0",
        "# yarn lockfile v1\n" + "x" * 200_000,
        "# yarn lockfile v1\n" + "a:" * 40_000,
        "#\r\n" * 100_000,
        "a: b",
        "- a",
        "",
        "__metadata: {version: 8}\na@npm:1: {version: 1.0.0}",
        "__metadata: {version: 8}\na@npm:1: {resolution: '__proto__@npm:1.0.0'}",
    ],
)
def test_yarn_locks_that_are_none(text: str) -> None:
    """One sentence each."""
    with pytest.raises(LockFileError):
        read_lock("yarn.lock", text.encode())


def test_later_yarn_lock() -> None:
    """Its checksum is of another file than the tarball, so nothing is bound by it."""
    text = """
__metadata:
  version: 8
  cacheKey: 10c0

"alpha@npm:^1.0.0, alpha@npm:^1.1.0":
  version: 1.1.0
  resolution: "alpha@npm:1.1.0"
  checksum: 10c0/abc
  languageName: node
  linkType: hard

"mac@npm:1.0.0":
  version: 1.0.0
  resolution: "mac@npm:1.0.0"
  conditions: os=darwin & cpu=arm64

"alpha@patch:alpha@npm%3A1.1.0#~builtin<compat/alpha>":
  version: 1.1.0
  resolution: "alpha@patch:alpha@npm%3A1.1.0#~builtin<compat/alpha>::version=1.1.0&hash=abc"

"own@workspace:.":
  version: 0.0.0-use.local
  resolution: "own@workspace:."

"cloned@https://git.example.org/owner/name.git#commit=0123":
  version: 1.0.0
  resolution: "cloned@https://git.example.org/owner/name.git#commit=0123"
"""
    found = read_lock("yarn.lock", text.encode())
    assert [(each.name, each.origin.name, each.digests) for each in found] == [
        ("alpha", "REGISTRY", ()),
        ("mac", "REGISTRY", ()),
        ("alpha", "DIRECTORY", ()),
        ("cloned", "GIT", ()),
    ]
    assert (found[1].os, found[1].cpu, found[1].optional) == (("darwin",), ("arm64",), True)


def test_yaml() -> None:
    """Mappings, lists, texts of every style, several documents; nothing is anything but a text."""
    text = "a: 1.10\nb: [no, ~, '2']\nc: {d: \"x\\n\"}\n'<<': e\nf: |-\n  g\n---\n- h\n"
    expected = {"a": "1.10", "b": ["no", "~", "2"], "c": {"d": "x\n"}, "<<": "e", "f": "g"}
    assert read_yaml(text.encode()) == [expected, ["h"]]


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"a: b: c",
        b"a: &x 1",
        b"a: *x",
        b"a: &x [1]\nb: *x",
        b"a: !!str 1",
        b"<<: {a: 1}",
        b"a: 1\na: 2",
        b"? [a]\n: 1",
        b"[" * 100_000,
        b"{a: " * 1000,
        b"a: " + b"x" * (2 << 20),
        b"%YAML 9.9\n---\na: 1",
        b"\x00",
    ],
)
def test_yaml_that_is_not_read(text: bytes) -> None:
    """One kind of error, whatever it is."""
    with pytest.raises(UnreadableYaml):
        read_yaml(text)
