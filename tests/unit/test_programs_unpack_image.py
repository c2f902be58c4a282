"""Taking in images: layers as OCI's format has them, and every hostile form refused in a sentence."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.programs.archive.reading import UnreadableError
from rebuilder.programs.image.tree import Refused
from rebuilder.programs.image.unpack_image import unpack
from tests.fakes.images import (
    MANIFEST,
    SHELL,
    Image,
    Member,
    blob,
    descriptor,
    directory,
    encoded,
    gzipped,
    hard_link,
    image,
    link,
    plain,
    saved_by_docker,
    sha256,
    tar,
    zstandard,
)

COVERED = ["tmp", "dev", "run"]


def taken(tmp_path: Path, data: bytes) -> tuple[dict[str, object], Path]:
    """What is told of an image, and its tree."""
    file, out = tmp_path / "image", tmp_path / "out"
    (out / "root").mkdir(parents=True)
    file.write_bytes(data)
    with file.open("rb") as source:
        return unpack(source, str(out), "amd64", COVERED), out / "root"


def refused(tmp_path: Path, data: bytes) -> str:
    """Why an image is not taken."""
    with pytest.raises((Refused, UnreadableError)) as caught:
        taken(tmp_path, data)
    said = str(caught.value)
    assert said.isprintable()
    assert "\n" not in said
    return said


def paths(root: Path) -> set[str]:
    """Everything in a tree but directories and what every tree gets."""
    added = {"etc/hosts", "etc/mtab", "etc/passwd", "etc/group", "bin/sh"}
    return {str(each.relative_to(root)) for each in root.rglob("*") if not each.is_dir() or each.is_symlink()} - added


LOWER = tar(
    *SHELL, directory("a"), Member("a/one", b"1"), Member("a/two", b"2"), directory("a/b"), Member("a/b/x", b"x")
)


@pytest.mark.parametrize("compress", [plain, gzipped, zstandard])
def test_layers_however_compressed(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """One layer over the other; what is told is the digest of the manifest, and the variables."""
    upper = tar(
        Member("a/one", b"other", 0o4755), Member("c", b"c" * 300_000), hard_link("d", "a/two"), link("e", "/c")
    )
    made = image(LOWER, upper, compress=compress, variables=("PATH=/opt/bin:/bin", "A=b=c"))
    told, root = taken(tmp_path, made.archive())
    assert made.digest() == told["sha256"]
    assert {"PATH": "/opt/bin:/bin", "A": "b=c"} == told["variables"]
    assert {"a/one", "a/two", "a/b/x", "c", "d", "e"} == paths(root)
    assert b"other" == (root / "a/one").read_bytes()
    assert b"2" == (root / "d").read_bytes(), "a hard link to a file of a layer below"
    assert 0o755 == (root / "a/one").stat().st_mode & 0o7777, "no setuid bit"
    assert "/c" == str((root / "e").readlink())


def test_two_frames_of_zstandard(tmp_path: Path) -> None:
    """A layer that was compressed in pieces."""

    def pieces(data: bytes) -> bytes:
        return zstandard(data[:1000]) + zstandard(data[1000:])

    assert {"a/one", "a/two", "a/b/x"} == paths(taken(tmp_path, image(LOWER, compress=pieces).archive())[1])


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ((Member("a/.wh.one"),), {"a/two", "a/b/x"}),
        ((Member(".wh.a"),), set()),
        ((Member("a/.wh.b"), Member("a/.wh.nothing"), Member("nowhere/.wh.x")), {"a/one", "a/two"}),
        ((Member("a/.wh..wh..opq"), Member("a/new", b"n")), {"a/new"}),
        ((Member("a/new", b"n"), Member("a/b/new", b"n"), Member("a/.wh..wh..opq")), {"a/new", "a/b/new"}),
        ((Member("a/two", b"again"), Member("a/.wh.two")), {"a/one", "a/two", "a/b/x"}),
        ((Member("a", b"a file"),), {"a"}),
        ((link("a", "bin"),), {"a"}),
        ((directory("a/one"), Member("a/one/x", b"x")), {"a/one/x", "a/two", "a/b/x"}),
        ((Member(".wh.tmp"),), {"a/one", "a/two", "a/b/x"}),
    ],
)
def test_whiteouts(tmp_path: Path, upper: tuple[Member, ...], left: set[str]) -> None:
    """They hide what is below and nothing of their own layer, wherever in it they stand."""
    _, root = taken(tmp_path, image(LOWER, tar(*upper)).archive())
    assert left == paths(root)


def test_tar_of_a_root_file_system(tmp_path: Path) -> None:
    """Taken as it is; names that only layers give a meaning are names. Its digest is that of the file."""
    data = gzipped(tar(*SHELL, Member("a/.wh.x", b""), Member("./b"), Member("etc/passwd", b"root:x:0:0::/:/bin/sh")))
    told, root = taken(tmp_path, data)
    assert {"a/.wh.x", "b"} == paths(root)
    assert (sha256(data), {}) == (told["sha256"], told["variables"])
    assert "root:x:0:0::/:/bin/sh\nbuild:x:1000:1000:build:/build:/bin/sh\n" == (root / "etc/passwd").read_text()


def test_saved_by_docker(tmp_path: Path) -> None:
    """The older form, layers that are links to others included, and both forms in one archive."""
    upper = tar(Member("new", b"n"))
    members = saved_by_docker(LOWER, upper)
    told, root = taken(tmp_path / "old", tar(*members))
    assert {"a/one", "a/two", "a/b/x", "new"} == paths(root)
    assert members[1].name == f"{told['sha256']}.json"
    members[2] = link(members[2].name, "../kept.tar")
    assert {"new", "a/one", "a/two", "a/b/x"} == paths(
        taken(tmp_path / "links", tar(*members, Member("kept.tar", LOWER)))[1]
    )
    both = image(LOWER)
    names = [f"blobs/sha256/{sha256(each)}" for each in both.layers]
    listed = [{"Config": f"blobs/sha256/{sha256(encoded(both.config))}", "Layers": names}]
    told, _ = taken(tmp_path / "both", tar(*both.members(), Member("manifest.json", encoded(listed))))
    assert both.digest() == told["sha256"]


def test_what_a_sandbox_covers_is_left_out(tmp_path: Path) -> None:
    """Devices below /dev, files below /tmp, and what tells of a machine."""
    machine = [
        Member("dev/null", kind=tarfile.CHRTYPE),
        Member("tmp/x", b"x"),
        Member("etc/resolv.conf", b"nameserver\n"),
    ]
    told, root = taken(tmp_path, tar(*SHELL, directory("dev"), link("run", "/var/run"), *machine))
    assert (set(), 4) == (paths(root), told["left_out"])
    assert [True] * 3 == [(root / name).is_dir() and not (root / name).is_symlink() for name in COVERED]


def test_what_it_provides(tmp_path: Path) -> None:
    """Interpreters by tag, of which a link may lead anywhere in the tree; of the system; a compiler; newest tools."""
    tags = ("cp310-cp310", "cp313-cp313t", "pp310-pypy310_pp73")
    inside = [link(f"opt/python/{tag}", f"/opt/_internal/{tag}") for tag in tags]
    inside += [Member(f"opt/_internal/{tag}/bin/python", b"", 0o755) for tag in tags]
    tools = "opt/_internal/pipx/venvs/auditwheel/lib/python3.12/site-packages/auditwheel-6.4.2.dist-info"
    more = [
        link("opt/python/cp39-cp39", "/opt/_internal/nothing"),
        *(directory(f"opt/rh/gcc-toolset-14/root/usr/lib/gcc/x86_64-redhat-linux/{each}") for each in ("9", "14")),
        directory(tools),
        *(
            directory(f"opt/_internal/{tags[0]}/lib/python3.10/site-packages/{each}")
            for each in ("pip", "pip-24.10.dist-info")
        ),
        directory("usr/lib/python3/dist-packages/pip-24.9.egg-info"),
        Member("usr/bin/python3.12", b"", 0o755),
        link("usr/bin/python3", "python3.12"),
        link("lib", "usr/lib"),
    ]
    told, _ = taken(tmp_path, tar(*SHELL, *inside, *more))
    expected = {"cp310-cp310": "3.10", "cp313-cp313t": "3.13", "python": "3.12", "gcc": "14", "auditwheel": "6.4.2"}
    expected["pip"] = "24.10"
    assert expected == told["provides"]


HOSTILE: list[tuple[str, tuple[Member, ...], str]] = [
    ("absolute", (Member("/etc/x", b"x"),), "absolute path “/etc/x”"),
    ("climbing", (Member("a/../../x", b"x"),), "leads out of it"),
    ("device", (Member("null", kind=tarfile.CHRTYPE),), "“null” is a device"),
    ("disk", (Member("sda", kind=tarfile.BLKTYPE),), "“sda” is a device"),
    ("pipe", (Member("p", kind=tarfile.FIFOTYPE),), "“p” is a fifo"),
    ("link out", (link("a", "../x"),), "leads out of it, to “../x”"),
    ("link out below", (directory("a"), link("a/b", "c/../../../x")), "leads out of it"),
    ("empty link", (link("a", ""),), "leads nowhere"),
    ("hard link out", (hard_link("a", "../x"),), "leads out of it"),
    ("absolute hard link", (hard_link("a", "/etc/passwd"),), "absolute hard link"),
    ("hard link to nothing", (hard_link("a", "b"),), "no file before it"),
    ("hard link to a directory", (hard_link("a", "bin"),), "no file before it"),
    ("through a link", (link("a", "/etc"), Member("a/x", b"x")), "goes through a link"),
    ("hard link through a link", (link("a", "/bin"), hard_link("x", "a/sh")), "goes through a link"),
    ("through a file", (Member("bin/sh/x", b"x"),), "goes through a file"),
    ("twice", (Member("a", b"1"), Member("./a", b"2")), "“a” twice"),
    ("file and directory", (directory("a"), Member("a", b"1")), "“a” twice"),
    ("whiteout of what is above", (Member("a/.wh..."),), "no name that a layer"),
    ("whiteout of itself", (Member("a/.wh.."),), "no name that a layer"),
    ("whiteout of nothing", (Member(".wh."),), "no name that a layer"),
    ("reserved whiteout", (Member(".wh..wh.plnk"),), "no name that a layer"),
    ("below a whiteout", (Member(".wh.a/b"),), "no name that a layer"),
    ("whiteout that is a link", (link(".wh.a", "x"),), "no name that a layer"),
    ("whiteout through a link", (link("a", "/bin"), Member("a/.wh.sh")), "goes through a link"),
    ("sparse", (Member("a", b"x", pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "1000000000000"}),), "sparse"),
    ("long", (Member("a" * 256, b"x"),), "too long"),
    ("deep", (Member("a/" * 300 + "x", b"x"),), "too long"),
    ("root is a file", (Member(".", b"x"),), "its root is a file"),
    ("no shell", (Member(".wh.bin"),), "no bin/sh"),
    ("shell out of reach", (Member(".wh.bin"), link("sh", "/nothing")), "no bin/sh"),
    ("etc is a link", (link("etc", "/bin"),), "its etc is no directory"),
]


@pytest.mark.parametrize(("members", "words"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
def test_hostile_layers(tmp_path: Path, members: tuple[Member, ...], words: str) -> None:
    """One sentence that names the member."""
    assert words in refused(tmp_path, image(tar(*SHELL), tar(*members)).archive())
    assert not (tmp_path / "x").exists()


def changed(old: bytes, new: bytes) -> Callable[[], bytes]:
    """The archive of an image with other bytes of the same length somewhere."""
    return lambda: image(LOWER, compress=plain).archive().replace(old, new)


def with_index(**fields: object) -> Callable[[], bytes]:
    """An image whose index has other fields."""
    return lambda: image(LOWER, index=fields).archive()


def with_manifest(**fields: object) -> Callable[[], bytes]:
    """An image whose manifest has other fields."""
    return lambda: image(LOWER, manifest=fields).archive()


def with_config(**fields: object) -> Callable[[], bytes]:
    """An image whose configuration has other fields."""
    return lambda: image(LOWER, config=fields).archive()


def with_members(change: Callable[[list[Member], Image], list[Member]]) -> Callable[[], bytes]:
    """An image with other members in its archive."""
    whole = image(LOWER)
    return lambda: tar(*change(whole.members(), whole))


def two_images() -> bytes:
    """Two images for one machine."""
    one, other = image(LOWER), image(tar(*SHELL))
    index = {"schemaVersion": 2, "manifests": [*one.top["manifests"], *other.top["manifests"]]}
    blobs = {each.name: each for each in (*other.members(), *one.members())}
    return tar(*(blobs | {"index.json": Member("index.json", encoded(index))}).values())


def two_configurations() -> bytes:
    """An index and a list of Docker's that name two configurations."""
    one, other = image(LOWER), image(LOWER, variables=())
    names = [f"blobs/sha256/{sha256(each)}" for each in other.layers]
    listed = [{"Config": f"blobs/sha256/{sha256(encoded(other.config))}", "Layers": names}]
    return tar(*one.members(), blob(encoded(other.config)), Member("manifest.json", encoded(listed)))


LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYOUTS: list[tuple[str, Callable[[], bytes], str]] = [
    ("other bytes in a blob", changed(b"#!shell\n", b"#!evil!\n"), "has other bytes: their SHA-256 is"),
    (
        "a blob that nothing names",
        with_members(lambda m, _: [*m, Member(f"blobs/sha256/{'0' * 64}", b"x")]),
        "has other",
    ),
    (
        "another kind of digest",
        with_members(lambda m, _: [*m, Member("blobs/sha512/00", b"x")]),
        "of a kind that is not",
    ),
    ("a blob that is not there", with_members(lambda m, _: m[:-1]), "which it names"),
    ("another size", with_manifest(layers=[{**descriptor(LAYER, gzipped(LOWER)), "size": 1}]), "not the size"),
    ("no digest", with_manifest(config={"digest": "sha256:../../x", "size": 1}), "no SHA-256"),
    ("no configuration", with_manifest(config=None), "no SHA-256"),
    ("a layer from elsewhere", with_manifest(layers=[descriptor(LAYER, gzipped(LOWER), urls=["x"])]), "not read here"),
    ("a layer that is none", with_manifest(layers=[descriptor("text/html", gzipped(LOWER))]), "is “text/html”"),
    ("layers that are none", with_manifest(layers=["x", 7]), "not read here"),
    ("no layers", with_manifest(layers=[]), "tells of 1 layers, and it has 0"),
    ("another manifest", with_manifest(schemaVersion=1), "of no version"),
    ("no images", with_index(manifests=[]), "it has no images for amd64"),
    ("not an image", with_index(manifests=[descriptor("a/b", b"")]), "holds “a/b”, which is no image"),
    (
        "for other machines only",
        with_index(manifests=[descriptor(MANIFEST, b"", platform={"os": "linux", "architecture": "s390x"})]),
        "no images for amd64",
    ),
    ("two images", two_images, "it has 2 images for amd64"),
    ("two configurations", two_configurations, "name two different images"),
    ("another machine", with_config(architecture="arm64"), "for linux/arm64"),
    ("a configuration that is a list", lambda: tar(*saved_as([])), "it is for /"),
    (
        "other content than told",
        with_config(rootfs={"diff_ids": [f"sha256:{'0' * 64}"]}),
        "not the one with the digest",
    ),
    ("no content told", with_config(rootfs={}), "tells of 0 layers"),
    ("variables that are none", with_config(config={"Env": ["x"]}), "a variable"),
    ("a variable twice", with_config(config={"Env": ["A=1", "A=2"]}), "a variable"),
    ("a variable over two lines", with_config(config={"Env": ["A=1\n2"]}), "a variable"),
    ("a name twice", with_members(lambda m, _: [*m, m[1]]), "“index.json” twice"),
    ("a name that climbs", with_members(lambda m, _: [*m, Member("../x", b"x")]), "leads out of it"),
    ("a device", with_members(lambda m, _: [*m, Member("x", kind=tarfile.CHRTYPE)]), "is a device"),
    ("a key twice", with_members(lambda m, _: [m[0], Member("index.json", b'{"a":1,"a":2}'), *m[2:]]), "is not JSON"),
    ("deep JSON", with_members(lambda m, _: [m[0], Member("index.json", b"[" * 99_999), *m[2:]]), "is not JSON"),
    ("no JSON", with_members(lambda m, _: [m[0], Member("index.json", b"\xff"), *m[2:]]), "is not JSON"),
    ("large JSON", with_members(lambda m, _: [m[0], Member("index.json", b" " * (5 << 20)), *m[2:]]), "more than any"),
    ("no layout", with_members(lambda m, _: m[1:]), "it has no “oci-layout”"),
    ("another layout", with_members(lambda m, _: [Member("oci-layout", b"[]"), *m[1:]]), "no version"),
    ("two images of Docker's", lambda: tar(Member("manifest.json", b"[{}, {}]")), "names 2 images"),
    ("nothing of Docker's", lambda: tar(Member("manifest.json", b"[7]")), "names what it does not have"),
    ("another name of a configuration", lambda: tar(*saved_as({}, "0" * 64)), "other bytes than its name says"),
    ("a bomb", lambda: image(tar(*SHELL, Member("a", bytes(64 << 20)))).archive(), "bomb"),
    ("a bomb around it", lambda: gzipped(tar(*SHELL, Member("a", bytes(64 << 20)))), "bomb"),
    ("cut short", lambda: image(LOWER).archive()[:3000], "cut short"),
    ("a layer cut short", lambda: image(LOWER, compress=lambda data: gzipped(data)[:-9]).archive(), "cut short"),
    ("a cut frame", lambda: image(LOWER, compress=lambda data: zstandard(data)[:-9]).archive(), "cut short"),
    (
        "a damaged frame",
        lambda: image(LOWER, compress=lambda data: zstandard(data)[:4] + b"\xff" * 99).archive(),
        "damaged",
    ),
    ("a layer that is no tar", lambda: image(b"x" * 2000).archive(), "not a tar archive"),
    ("bytes after a layer", lambda: image(LOWER + b"more").archive(), "after its end"),
    ("no archive", lambda: b"\x7fELF" * 600, "not a tar archive"),
    ("nothing", lambda: b"", "no bin/sh"),
]


def saved_as(config: object, name: str | None = None) -> list[Member]:
    """What Docker writes, with any document as the configuration."""
    document = encoded(config)
    named = f"{name or sha256(document)}.json"
    listed = [{"Config": named, "Layers": ["layer.tar"]}]
    return [Member("manifest.json", encoded(listed)), Member(named, document), Member("layer.tar", LOWER)]


@pytest.mark.parametrize(("make", "words"), [each[1:] for each in LAYOUTS], ids=[each[0] for each in LAYOUTS])
def test_hostile_layouts(tmp_path: Path, make: Callable[[], bytes], words: str) -> None:
    """One sentence that says what is wrong."""
    assert words in refused(tmp_path, make())


def test_name_that_two_readers_read_as_two(tmp_path: Path) -> None:
    """A member with two names that disagree is refused, in the archive and in a layer."""
    member = tarfile.TarInfo("other")
    records = b"".join(b"%d path=%s\n" % (len(name) + 9, name) for name in (b"a", b"b"))
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    out = io.BytesIO(tar(*SHELL))
    out.seek(sum(512 if not each.content else 1024 for each in SHELL))
    out.write(header.tobuf() + records.ljust(512, b"\0") + member.tobuf() + bytes(1024))
    assert "readers disagree" in refused(tmp_path, image(out.getvalue()).archive())


def test_many_links_to_a_large_file(tmp_path: Path) -> None:
    """A tree is as large as what is read of it, however little lies on the disk."""
    many = [hard_link(f"l{number}", "large") for number in range(600)]
    content = os.urandom(8 << 20)
    assert "more than 4 GB" in refused(tmp_path, tar(*SHELL, Member("large", content), *many))
