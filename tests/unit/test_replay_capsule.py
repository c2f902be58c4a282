"""Capsules: each byte once and by its digest, the same bytes for the same reports, and nothing of a hostile one."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.replay.capsule import Capsule, CapsuleWriter, pack
from rebuilder.replay.published import Documents

ONE = Documents(provenance=b"provenance 1", verdict=b"verdict 1", key=b"the key", finishing=b"how it was written")
TWO = Documents(provenance=b"provenance 2", verdict=b"verdict 2", key=b"the key", proof=b"proof", log_key=b"log")
SHARED = b"an input of both" * 100
TREE = "ab" * 32


def fill(root: Path, *documents: Documents) -> Path:
    """A capsule in a directory: each report with an input of its own, one of both, and one environment."""
    writer = CapsuleWriter(root)
    for each in documents:
        own = b"only for " + each.provenance
        layers = [
            *writer.documents(each),
            *(writer.put(f"inputs/{sha256_hex(data)}", iter([data])) for data in (SHARED, own)),
            writer.put(f"environments/{TREE}.tar", iter([b"an export"])),
        ]
        writer.add(layers)
    writer.finish()
    return root


def packed(root: Path) -> bytes:
    """The same as one file."""
    out = io.BytesIO()
    pack(root, out)
    return out.getvalue()


def read(path: Path) -> dict[str, object]:
    """Everything in a capsule, each byte of it checked."""
    with Capsule.open(path) as capsule:
        layers = [layer for manifest in capsule.manifests for layer in manifest.layers]
        assert layers
        for layer in layers:
            assert layer.size == sum(map(len, capsule.chunks(layer.sha256)))
        documents = [capsule.documents(each) for each in capsule.manifests]
        with capsule.file(capsule.environments[TREE].sha256) as file:
            export = file.read()
        return {
            "documents": sorted(documents, key=lambda each: each.provenance),
            "shared": b"".join(capsule.chunks(sha256_hex(SHARED))),
            "environment": export,
        }


EVERYTHING = {"documents": [ONE, TWO], "shared": SHARED, "environment": b"an export"}


def refusal(path: Path) -> str:
    """Why a capsule is refused."""
    with pytest.raises(UsageError) as caught:
        read(path)
    return str(caught.value)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """As a directory and as a file, and any tar reader reads the file; nothing is there twice."""
    root = fill(tmp_path / "capsule", ONE, TWO)
    assert EVERYTHING == read(root)
    (tmp_path / "capsule.tar").write_bytes(packed(root))
    assert EVERYTHING == read(tmp_path / "capsule.tar")
    with tarfile.open(tmp_path / "capsule.tar") as archive:
        names = archive.getnames()
    assert len(set(names)) == len(names)
    assert {str(each.relative_to(root)) for each in root.rglob("*") if each.is_file()} == set(names)


def test_the_same_reports_give_the_same_bytes(tmp_path: Path) -> None:
    """In whatever order, at once or one after the other."""
    at_once = packed(fill(tmp_path / "at-once", ONE, TWO))
    fill(tmp_path / "later", TWO)
    assert at_once == packed(fill(tmp_path / "later", ONE))
    assert at_once == packed(fill(tmp_path / "later", ONE, TWO))


def test_it_is_an_image_layout(tmp_path: Path) -> None:
    """The members that the specification asks for (image-layout.md, image-index.md, manifest.md)."""
    root = fill(tmp_path / "capsule", ONE)
    assert {"imageLayoutVersion": "1.0.0"} == json.loads((root / "oci-layout").read_bytes())
    index = json.loads((root / "index.json").read_bytes())
    assert (2, "application/vnd.oci.image.index.v1+json") == (index["schemaVersion"], index["mediaType"])
    (entry,) = index["manifests"]
    assert sha256_hex(ONE.provenance) == entry["annotations"]["org.opencontainers.image.ref.name"]
    data = (root / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_bytes()
    assert len(data) == entry["size"]
    manifest = json.loads(data)
    assert {"schemaVersion", "mediaType", "artifactType", "config", "layers"} == manifest.keys()
    for each in (manifest["config"], *manifest["layers"]):
        blob = (root / "blobs" / "sha256" / each["digest"].removeprefix("sha256:")).read_bytes()
        assert (f"sha256:{sha256_hex(blob)}", len(blob)) == (each["digest"], each["size"])


def test_no_changed_byte_is_taken(tmp_path: Path) -> None:
    """Every eleventh byte of a file changed, one too many, and its end cut off: all are refused."""
    whole, file = packed(fill(tmp_path / "capsule", ONE, TWO)), tmp_path / "changed.tar"
    for at in range(0, len(whole), 11):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        assert refusal(file)
    for size in range(0, len(whole), 211):
        file.write_bytes(whole[:size])
        assert "cut short" in refusal(file)
    file.write_bytes(whole + b"\0")
    assert "goes on after its end" in refusal(file)


def test_no_changed_blob_is_taken(tmp_path: Path) -> None:
    """The same in a directory, for every file of it."""
    root = fill(tmp_path / "capsule", ONE, TWO)
    files = [each for each in root.rglob("*") if each.is_file() and each.read_bytes() != b"{}"]
    assert len(files) > 10
    for each in files:
        data = each.read_bytes()
        each.chmod(0o644)
        for changed in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"x", b""):
            each.write_bytes(changed)
            assert refusal(root)
        each.write_bytes(data)
    assert EVERYTHING == read(root)


def _link(root: Path, blob: Path) -> None:
    blob.rename(root / "elsewhere")
    blob.symlink_to(root / "elsewhere")


def _pipe(_: Path, blob: Path) -> None:
    blob.unlink()
    os.mkfifo(blob)


def _folder(root: Path, _: Path) -> None:
    (root / "blobs").rename(root.parent / "moved")
    (root / "blobs").symlink_to(root.parent / "moved")


def _gone(_: Path, blob: Path) -> None:
    blob.unlink()


def _sparse(_: Path, blob: Path) -> None:
    with blob.open("r+b") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("spoil", [_link, _pipe, _folder, _gone, _sparse])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, spoil: Callable[[Path, Path], None]) -> None:
    """Links, pipes, holes of a terabyte, and files that are not there."""
    root = fill(tmp_path / "capsule", ONE)
    spoil(root, root / "blobs" / "sha256" / sha256_hex(SHARED))
    assert refusal(root)


def _rewrite(root: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest, with index and digests made right again."""
    index = json.loads((root / "index.json").read_bytes())
    entry = index["manifests"][0]
    manifest = json.loads((root / "blobs" / "sha256" / entry["digest"][7:]).read_bytes())
    change(manifest)
    data = canonical_json(manifest)
    (root / "blobs" / "sha256" / sha256_hex(data)).write_bytes(data)
    entry |= {"digest": f"sha256:{sha256_hex(data)}", "size": len(data)}
    (root / "index.json").write_bytes(canonical_json(index))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["layers"][0].update(digest="sha256:../../../etc/passwd"),
        lambda found: found["layers"][0].update(digest="sha512:" + "a" * 128),
        lambda found: found["layers"][0].update(size=-1),
        lambda found: found["layers"][0].update(size=1 << 52),
        lambda found: found["layers"][0].update(size=True),
        lambda found: found["layers"][0].update(urls=["https://example.org/elsewhere"]),
        lambda found: found["layers"][0].pop("annotations"),
        lambda found: found["layers"].append(found["layers"][0]),
        lambda found: found["layers"][0].update(size=found["layers"][0]["size"] + 1),
        lambda found: found.update(layers={}),
        lambda found: found.update(subject={"digest": "sha256:" + "0" * 64}),
        lambda found: found["layers"].__delitem__(slice(0, 2)),
    ],
)
def test_a_manifest_has_one_form(tmp_path: Path, change: Callable[[Any], object]) -> None:
    """Digests that are paths, sizes that are none, files elsewhere, a title twice, statements that are missing."""
    root = fill(tmp_path / "capsule", ONE)
    _rewrite(root, change)
    assert refusal(root)


@pytest.mark.parametrize(
    "index",
    [b"", b"[]", b"{}", b'{"manifests":[]}', b"[" * 200_000, b'{"manifests":[{"digest":"sha256:..","size":2}]}'],
)
def test_an_index_that_is_none(tmp_path: Path, index: bytes) -> None:
    """Whatever lies in its place."""
    root = fill(tmp_path / "capsule", ONE)
    (root / "index.json").write_bytes(index)
    assert "is no capsule" in refusal(root)
    with pytest.raises(UsageError):
        CapsuleWriter(root)


def test_a_capsule_is_not_written_among_other_files(tmp_path: Path) -> None:
    """A directory with something else in it stays as it is."""
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        CapsuleWriter(tmp_path)
    assert ["mine"] == [each.name for each in tmp_path.iterdir()]


def test_an_archive_of_another_form(tmp_path: Path) -> None:
    """What tar made of the directory is refused with the way out; so is a file that is something else."""
    root, file = fill(tmp_path / "capsule", ONE), tmp_path / "other.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(root, ".")
    assert "oci-layout where that has to be" in refusal(file)
    file.write_bytes(b"PK\x03\x04" + bytes(2000))
    assert "it is not one" in refusal(file)
    assert "cannot be read" in refusal(tmp_path / "nothing")
