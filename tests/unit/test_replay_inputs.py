"""Where inputs and environments of somebody else's builds come from, and what is said of those that cannot be had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError, UnavailableError, UsageError
from rebuilder.model.definition import Input, Role
from rebuilder.model.environment import Made, Manifest
from rebuilder.model.git import CommitHistory, SourceProblem, SourceTree
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.replay.capsule import Capsule, CapsuleWriter
from rebuilder.replay.from_settings import BroughtEnvironments
from rebuilder.replay.inputs import FromCapsule, FromDirectory, FromOrigin, FromProgram, FromSite, Inputs, Place
from rebuilder.replay.page import PublishedPage
from rebuilder.replay.published import Documents
from rebuilder.sandbox.program_runner import program_archive
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.environments import TinyMaker
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.sources import FakeSources

DATA = b"a source archive"
MOST = 1 << 20


def wanted(name: str = "one-1.0.tar.gz", data: bytes = DATA, role: Role = Role.SOURCE, **fields: str) -> Input:
    """An input."""
    known = {"role": role, "name": name, "sha256": sha256_hex(data), "path": f"/inputs/{name}"}
    return Input.model_validate(known | fields)


def reason(place: Place, each: Input, blobs: MemoryBlobs | None = None) -> str | None:
    """Why an input cannot be had from a place; None when it can."""
    missing = Inputs(blobs or MemoryBlobs(), [place]).bring([each])
    return missing[0].reason if missing else None


def directory(root: Path, files: Mapping[str, bytes]) -> FromDirectory:
    """A mirror."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return FromDirectory(root, MOST)


def test_what_is_here_is_not_asked_for(tmp_path: Path) -> None:
    """Nobody is asked about bytes that are among the blobs."""
    blobs = MemoryBlobs()
    blobs.put(DATA)
    assert None is reason(FromDirectory(tmp_path / "nowhere", MOST), wanted(), blobs)
    assert "none of the places" in str(reason(FromDirectory(tmp_path, MOST), wanted()))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("deep/er/one-1.0.tar.gz", {}),
        (sha256_hex(DATA), {}),
        ("renamed-1.0.tar.gz", {"uri": "https://files.example.org/a/renamed-1.0.tar.gz#sha256=0"}),
        ("a b.tar.gz", {"uri": "https://files.example.org/a%20b.tar.gz"}),
    ],
)
def test_a_directory_has_files_by_name_or_digest(tmp_path: Path, name: str, fields: dict[str, str]) -> None:
    """At any depth; by the name of the input, its digest, or the end of its address."""
    assert None is reason(directory(tmp_path, {name: DATA}), wanted().replace(**fields))


def test_a_directory_with_other_bytes(tmp_path: Path) -> None:
    """A file of that name with other bytes is told; one that is too large, or no file, is not taken."""
    found = reason(directory(tmp_path / "other", {"one-1.0.tar.gz": b"other bytes"}), wanted())
    assert sha256_hex(b"other bytes") in str(found)
    assert reason(directory(tmp_path / "large", {"one-1.0.tar.gz": bytes(MOST + 1)}), wanted())
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "one-1.0.tar.gz").symlink_to("/dev/zero")
    assert reason(FromDirectory(tmp_path / "link", MOST), wanted())


def capsule(root: Path, *blobs: bytes, environments: Mapping[str, bytes] | None = None) -> Path:
    """A capsule of one report."""
    writer = CapsuleWriter(root)
    layers = writer.documents(Documents(provenance=b"p", verdict=b"v", key=b"k"))
    layers += [writer.put(f"inputs/{sha256_hex(each)}", iter([each])) for each in blobs]
    layers += [writer.put(f"environments/{tree}.tar", iter([each])) for tree, each in (environments or {}).items()]
    writer.add(layers)
    writer.finish()
    return root


def test_a_capsule_that_was_changed_ends_it(tmp_path: Path) -> None:
    """Nothing is looked for elsewhere when a capsule lies."""
    with Capsule.open(capsule(tmp_path / "good", DATA)) as opened:
        assert None is reason(FromCapsule(opened), wanted())
        assert reason(FromCapsule(opened), wanted(data=b"not in it"))
    blob = capsule(tmp_path / "bad", DATA) / "blobs" / "sha256" / sha256_hex(DATA)
    blob.chmod(0o644)
    blob.write_bytes(DATA[::-1])
    blobs = MemoryBlobs()
    with Capsule.open(tmp_path / "bad") as opened, pytest.raises(UsageError, match="another digest"):
        reason(FromCapsule(opened), wanted(), blobs)
    assert {} == blobs.content


def test_what_comes_with_this_program(tmp_path: Path) -> None:
    """Its own sandbox programs, where they are those of the report; else the answer says what has them."""
    place = FromProgram(tmp_path)
    program = wanted("pypi.pyz", program_archive("pypi"), Role.PROGRAM)
    assert None is reason(place, program)
    assert "a capsule has the one" in str(reason(place, wanted("pypi.pyz", b"older", Role.PROGRAM)))
    assert "no such program" in str(reason(place, wanted("nothing.pyz", b"older", Role.PROGRAM)))
    assert "none of the places" in str(reason(place, wanted("../pypi.pyz", b"older", Role.PROGRAM)))
    uv = wanted("uv", b"an older uv", Role.BUILD_TOOL, version="0.0.1")
    assert "`pip install uv==0.0.1`" in str(reason(place, uv))


class ClonedSources(FakeSources):
    """Repositories whose commits are only here once somebody asked for them."""

    def __init__(self, here: MemoryBlobs) -> None:
        self.there, self.here, self.asked = MemoryBlobs(), here, 0
        super().__init__(self.there)

    def commit(self, repository_url: str, sha: str, tag_hint: str | None = None) -> SourceTree | SourceProblem:
        """Bring it."""
        self.asked += 1
        found = super().commit(repository_url, sha, tag_hint)
        if isinstance(found, SourceTree):
            for each in (found.archive_sha256, found.commit.object_sha256):
                self.here.put(self.there.read(each))
        return found

    def with_history(self, tree: SourceTree) -> SourceTree:
        """Bring what was before it, too."""
        objects, tags = self.here.put(b"objects"), self.here.put(b"tags")
        return tree.replace(history=CommitHistory(objects_sha256=objects, tags_sha256=tags, commits=1, tags=1))


def origin(blobs: MemoryBlobs) -> tuple[FromOrigin, FakeFetcher, ClonedSources]:
    """The network."""
    fetcher, sources = FakeFetcher(blobs), ClonedSources(blobs)
    return FromOrigin(fetcher, sources, MOST, lambda _: None), fetcher, sources


def test_a_file_from_its_address() -> None:
    """With the digest it had, or with what happened to it."""
    blobs = MemoryBlobs()
    place, fetcher, _ = origin(blobs)
    address = fetcher.serve("https://files.example.org/one.tar.gz", DATA)
    assert None is reason(place, wanted(uri=address), blobs)
    changed = fetcher.serve("https://files.example.org/two.tar.gz", b"other bytes")
    assert "has another sha256" in str(reason(place, wanted(data=b"two", uri=changed), blobs))
    gone = "https://files.example.org/gone.tar.gz"
    assert "no longer there" in str(reason(place, wanted(data=b"three", uri=gone), blobs))
    fetcher.break_down(gone, UnavailableError("files.example.org does not answer."))
    assert "does not answer" in str(reason(place, wanted(data=b"three", uri=gone), blobs))


def test_a_login_in_an_address_is_not_used() -> None:
    """Whoever wrote the report would have us send it, and go on sending it to that server."""
    blobs = MemoryBlobs()
    place, fetcher, _ = origin(blobs)
    address = fetcher.serve("https://files.example.org/one.tar.gz", DATA)
    assert None is reason(place, wanted(uri=address.replace("//", "//mallory:secret@")), blobs)
    assert [address] == fetcher.asked


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "ftp://example.org/a", "git+ssh://h/r@" + "a" * 40, "pkg:pypi/a"]
)
def test_other_addresses_are_not_asked(uri: str) -> None:
    """Only files by http(s), and commits by https."""
    blobs = MemoryBlobs()
    place, fetcher, sources = origin(blobs)
    assert reason(place, wanted(uri=uri), blobs)
    assert ([], 0) == (fetcher.asked, sources.asked)


def test_a_commit_is_made_into_the_same_archive() -> None:
    """The archive names the commit; the objects beside it come along, and the history where it is wanted."""
    blobs = MemoryBlobs()
    place, _, sources = origin(blobs)
    sha = sources.add("https://example.org/one", {"a.py": b"a"}, moment=1_700_000_000)
    tree = FakeSources.commit(sources, "https://example.org/one", sha)
    assert isinstance(tree, SourceTree)
    archive = wanted(f"{sha}.tar", uri=f"git+https://example.org/one@{sha}", sha256=tree.archive_sha256)
    commit = wanted(sha, sha256=tree.commit.object_sha256)
    history = wanted(f"{sha} history objects", b"objects")
    assert [] == Inputs(blobs, [place]).bring([archive, commit, history])
    assert 2 == sources.asked
    other = archive.replace(sha256=Sha256("ab" * 32))
    assert "other bytes for this commit" in str(reason(place, other, blobs))
    sources.down = True
    lost = wanted("lost.tar", b"lost", uri=f"git+https://example.org/two@{sha}")
    assert reason(place, lost, blobs)


class Trees:
    """A site whose environments were made once, and a machine that has none."""

    def __init__(self, root: Path) -> None:
        there = EnvironmentStore(root / "there", FixedClock(), maker=TinyMaker())
        self.tree = there.get("trixie").sha256
        there.export(self.tree, root / f"{self.tree}.tar")
        self.export = root / f"{self.tree}.tar"
        self.site = root / "site"
        page = self.site / "pypi" / "one" / "1.0" / "one.whl" / "0123456789abcdef"
        page.mkdir(parents=True)
        (self.site / "keys").mkdir()
        (self.site / "environments").mkdir()
        self.specification = self.site / "environments" / f"{self.tree}.json"
        self.specification.write_bytes(canonical_json(there.record(self.tree).public.document()))
        self.page = page

    def brought(self, root: Path, maker: object, **places: object) -> tuple[str | None, EnvironmentStore]:
        """Why the tree cannot be had on another machine, and what that has then."""
        here = EnvironmentStore(root, FixedClock(), maker=maker)  # type: ignore[arg-type]
        blobs = MemoryBlobs()
        with PublishedPage(str(self.page)) as page:
            site = FromSite(page, FakeFetcher(blobs), MOST)
            missing = BroughtEnvironments(here, blobs, site=site, **places).bring(self.tree, "trixie")  # type: ignore[arg-type]
        return (missing.reason if missing else None), here


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    """One environment."""
    return Trees(tmp_path)


def no_mirror(spec: Manifest, _: Path) -> Made:
    """A mirror that has moved on."""
    raise BuildEnvironmentError(f"{spec.name} cannot be made: the mirror lacks a package: {spec.packages[0]}.")


def test_an_environment_is_made_from_its_specification(trees: Trees, tmp_path: Path) -> None:
    """The packages are asked for with their versions, and the tree is the one that was."""
    maker = TinyMaker()
    why, here = trees.brought(tmp_path / "here", maker)
    assert None is why
    assert trees.tree == here.by_digest(trees.tree).sha256


def test_a_package_that_is_gone_is_named(trees: Trees, tmp_path: Path) -> None:
    """With its version."""
    why, _ = trees.brought(tmp_path / "here", no_mirror)
    assert "lacks a package: python3=3.13.5-1" in str(why)


def test_a_specification_that_is_none(trees: Trees, tmp_path: Path) -> None:
    """Whatever the site has in its place gives no tree of another digest."""
    document = json.loads(trees.specification.read_bytes())
    trees.specification.write_text("[]")
    assert "not written as this version" in str(trees.brought(tmp_path / "a", TinyMaker())[0])
    package = {"version": "1", "architecture": "amd64", "sha256": "ab" * 32}
    for number, (part, member, value) in enumerate(
        [
            ("spec", "suite", "--customize-hook=touch /tmp/made"),
            ("spec", "suite", "trixie main\ndeb http://example.org/"),
            ("spec", "links", {"var/run/evil": "mawk"}),
            ("spec", "links", {"usr/bin/awk": "/etc/passwd"}),
            ("spec", "prune", ["usr/lib/ssl/certs/*"]),
            ("spec", "prune", ["../../*"]),
            ("spec", "provides", {"python": "3/../../../../tmp/python"}),
            ("made", "packages", [package | {"name": "./evil.deb"}]),
            ("made", "packages", [package | {"name": "-oDPkg::Pre-Invoke::=touch"}]),
            ("made", "packages", [package | {"name": "dash,?essential"}]),
            ("made", "packages", [package | {"name": "dash", "version": "1 evil"}]),
        ]
    ):
        changed = {**document, part: {**document[part], member: value}}
        trees.specification.write_text(json.dumps(changed))
        maker = TinyMaker()
        why, _ = trees.brought(tmp_path / str(number), maker)
        assert "is not made from" in str(why), value
        assert [] == maker.made
    given = {**document["made"], "image": {"sha256": "cd" * 32, "variables": {"PATH": "/opt/bin"}}}
    trees.specification.write_text(json.dumps({**document, "made": given}))
    assert f"has the digest {'cd' * 32}" in str(trees.brought(tmp_path / "image", TinyMaker())[0])
    trees.specification.unlink()
    assert "no specification" in str(trees.brought(tmp_path / "d", TinyMaker())[0])


def test_an_export_in_a_directory_or_a_capsule(trees: Trees, tmp_path: Path) -> None:
    """Both are imported, and nothing is made."""
    mirror = directory(tmp_path / "mirror", {f"deep/{trees.tree}.tar": trees.export.read_bytes()})
    assert None is trees.brought(tmp_path / "a", no_mirror, directories=[mirror])[0]
    root = capsule(tmp_path / "capsule", environments={trees.tree: trees.export.read_bytes()})
    with Capsule.open(root) as opened:
        assert None is trees.brought(tmp_path / "b", no_mirror, capsules=[opened])[0]
    lies = capsule(tmp_path / "lies", environments={"ab" * 32: trees.export.read_bytes()})
    with Capsule.open(lies) as opened:
        why, _ = trees.brought(tmp_path / "c", no_mirror, capsules=[opened])
    assert why is not None


@pytest.mark.parametrize("end", ["", "/", "/report.json", "/index.html", "/report.json?a=b#attempts"])
def test_an_address_leads_to_the_report_and_its_site(end: str) -> None:
    """Names with a slash are one directory, whose percent sign is written as such in an address."""
    directory = "npm/%2540types%252Fnode/1.0.0/node-1.0.0.tgz/0123456789abcdef"
    with PublishedPage(f"https://rebuilds.example.org/all/{directory}{end}") as page:
        assert "https://rebuilds.example.org/all" == page.site


@pytest.mark.parametrize(
    "place", ["https://example.org/report.json", "ftp://example.org/a/b/c/d/e/f", "/nowhere/at/all"]
)
def test_places_that_are_no_report(place: str) -> None:
    """Wrong use, and said so."""
    with pytest.raises(UsageError):
        PublishedPage(place)
