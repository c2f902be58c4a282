"""From a name to everything published about its wheels, on an index made of canned answers."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from packaging.tags import sys_tags

from rebuilder.ecosystems.pypi.evidence import held_compiled_code
from rebuilder.errors import FetchMismatchError, FileGoneError, UnavailableError, UsageError
from rebuilder.model.attempt import Limit
from rebuilder.model.evidence import Evidence, SourceKind
from rebuilder.model.verdict import Verdict
from tests.fakes.projects import Distribution, make_sdist, make_wheel
from tests.fakes.pypi import Surroundings


def release() -> tuple[Distribution, Distribution]:
    """A source archive and its wheel."""
    return make_sdist("idna", "3.10"), make_wheel("idna", "3.10")


def evidence(surroundings: Surroundings, text: str = "idna==3.10") -> list[Evidence]:
    """What the ecosystem finds."""
    pypi = surroundings.pypi
    return pypi.evidence(pypi.parse(text))


def obstacle(surroundings: Surroundings, text: str = "idna==3.10") -> tuple[Verdict, str]:
    """The obstacle of the one file."""
    [found] = evidence(surroundings, text)
    assert found.obstacle is not None
    assert found.obstacle.sentence.endswith(".")
    return found.obstacle.verdict, found.obstacle.sentence


def test_a_wheel_with_its_source_archive() -> None:
    """Both are downloaded, bound to their digests and listed."""
    surroundings = Surroundings()
    sdist, wheel = release()
    surroundings.publish(sdist, wheel)
    [found] = evidence(surroundings)
    assert found.obstacle is None
    assert ("pkg:pypi/idna@3.10", wheel.filename, wheel.sha256) == (
        found.artifact.purl,
        found.artifact.filename,
        found.artifact.sha256,
    )
    assert found.source is not None
    assert (SourceKind.SDIST, {"sha256": sdist.sha256}) == (found.source.kind, found.source.digest)
    assert surroundings.blobs.has(found.index_sha256)
    assert found.artifact_inspection is not None
    assert "idna-3.10.dist-info/WHEEL" in found.artifact_inspection.texts
    assert found.source_inspection is not None
    assert "idna-3.10/pyproject.toml" in found.source_inspection.texts
    assert len(surroundings.programs.runs) == 1


def test_listing_is_remembered() -> None:
    """What is in a file with a known digest is found out once."""
    surroundings = Surroundings()
    surroundings.publish(*release())
    assert evidence(surroundings) == evidence(surroundings)
    assert len(surroundings.programs.runs) == 1


def test_newest_version_and_chosen_file() -> None:
    """A bare name means the newest release; a file name means that file alone."""
    surroundings = Surroundings()
    surroundings.publish(*release(), make_sdist("idna", "3.9"))
    surroundings.publish(make_wheel("idna", "3.10", tag="py2-none-any"))
    assert ["idna-3.10-py3-none-any.whl", "idna-3.10-py2-none-any.whl"] == [
        each.artifact.filename for each in evidence(surroundings, "idna")
    ]
    [found] = evidence(surroundings, "idna-3.10-py2-none-any.whl")
    assert found.artifact.filename == "idna-3.10-py2-none-any.whl"


def test_tar_before_zip() -> None:
    """Of two source archives the tar.gz is taken; a lone ZIP is used as well."""
    surroundings = Surroundings()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("odd-top/setup.py", "import setuptools")
    packed = Distribution("idna", "idna-3.10.zip", buffer.getvalue())
    sdist, wheel = release()
    surroundings.publish(packed, wheel)
    [found] = evidence(surroundings)
    assert found.source_inspection is not None
    assert {"odd-top/setup.py": "import setuptools"} == found.source_inspection.texts
    surroundings.publish(sdist)
    [found] = evidence(surroundings)
    assert found.source is not None
    assert found.source.filename == sdist.filename


def test_yanked_is_noted() -> None:
    """A yanked file is verified all the same."""
    surroundings = Surroundings()
    surroundings.publish(*release(), yanked="broken\x1b[2J on <b>")
    [found] = evidence(surroundings)
    assert found.obstacle is None
    [note] = found.notes
    assert note.endswith("yanked: broken⟨U+001B⟩[2J on <b>.")


def test_platform_wheels_are_one_that_is_looked_at() -> None:
    """A release of compiled wheels is one answer that names a tag; it and the source archive are listed."""
    surroundings = Surroundings()
    surroundings.publish(make_sdist("idna", "3.10"))
    for tag in ("cp313-cp313-win_amd64", "cp312-cp312-manylinux_2_17_x86_64"):
        surroundings.publish(make_wheel("idna", "3.10", {"idna/core.so": "ELF"}, tag=tag))
    [found] = evidence(surroundings)
    compiled = held_compiled_code(found)
    assert compiled is not None
    assert Verdict.UNSUPPORTED is compiled.verdict
    assert "cp312-cp312-manylinux_2_17_x86_64" in compiled.sentence
    assert found.artifact_inspection is not None
    assert found.source_inspection is not None
    assert 2 == len([url for url in surroundings.fetcher.asked if "/files/" in url])


def test_the_wheel_that_is_installed_here_comes_first() -> None:
    """Beside a pure wheel, the one for this platform is looked at, too; those for others only when they are named."""
    surroundings = Surroundings()
    here = str(next(sys_tags()))
    surroundings.publish(make_sdist("idna", "3.10"))
    for tag in ("py3-none-any", here, "cp311-cp311-win_arm64"):
        surroundings.publish(make_wheel("idna", "3.10", tag=tag))
    assert [f"idna-3.10-{here}.whl", "idna-3.10-py3-none-any.whl"] == [
        each.artifact.filename for each in evidence(surroundings)
    ]


@pytest.mark.parametrize(
    ("files", "compiled"),
    [
        ({"idna/__init__.py": "", "idna/core.pyd": "MZ"}, "idna/core.pyd"),
        ({"idna/libx.so.1.2": "ELF"}, "idna/libx.so.1.2"),
        ({"idna-3.10.data/scripts/idna": "ELF"}, "idna-3.10.data/scripts/idna"),
        ({"idna/__init__.py": "", "idna-3.10.data/scripts/run": "#!python"}, None),
        ({"idna/__init__.py": "", "idna/a.solution": ""}, None),
    ],
)
def test_wheel_for_one_platform_by_its_tag(files: dict[str, str], compiled: str | None) -> None:
    """Whether it holds compiled code is looked up, not taken from the tag."""
    surroundings = Surroundings()
    surroundings.publish(make_sdist("idna", "3.10", {"idna/__init__.py": "", "bin/run": "#!python"}))
    surroundings.publish(make_wheel("idna", "3.10", files, tag="py3-none-win_amd64"))
    [found] = evidence(surroundings)
    assert found.obstacle is None
    said = held_compiled_code(found)
    assert (compiled is None) == (said is None)
    if said is not None and compiled is not None:
        assert Verdict.UNSUPPORTED is said.verdict
        assert compiled in said.sentence


def test_source_archive_alone_is_unsupported() -> None:
    """Without a wheel there is nothing to rebuild; a source archive named by its file name is told apart."""
    surroundings = Surroundings()
    surroundings.publish(make_sdist("idna", "3.10"))
    assert "only a source archive" in obstacle(surroundings)[1]
    surroundings.publish(make_wheel("idna", "3.10"))
    verdict, sentence = obstacle(surroundings, "pkg:pypi/idna@3.10?file_name=idna-3.10.tar.gz")
    assert Verdict.UNSUPPORTED is verdict
    assert "rebuilds start from it" in sentence


@pytest.mark.parametrize("listed", [False, True])
def test_a_file_that_the_index_lists_and_has_not(*, listed: bool) -> None:
    """The index contradicts itself: that is not said of the release yet. A wheel without its source is listed."""
    surroundings = Surroundings()
    sdist, wheel = release()
    surroundings.publish(sdist, wheel)
    lost = surroundings.pypi.evidence(surroundings.pypi.parse("idna==3.10"))[0]
    surroundings = Surroundings()
    surroundings.publish(sdist, wheel)
    file = lost.source_file if listed else lost.artifact.file
    assert file is not None
    surroundings.fetcher.break_down(file.url, FileGoneError(f"{file.filename} is gone."))
    [found] = evidence(surroundings)
    assert found.obstacle is not None
    assert (Verdict.INFRA_ERROR, f"{file.filename} is gone.") == (found.obstacle.verdict, found.obstacle.sentence)
    assert listed == (found.artifact_inspection is not None)


def test_no_source_archive_is_inputs_missing() -> None:
    """A wheel alone cannot be rebuilt, and that is not said to be unsupported."""
    surroundings = Surroundings()
    surroundings.publish(make_wheel("idna", "3.10"))
    assert Verdict.INPUTS_MISSING is obstacle(surroundings)[0]
    surroundings.publish(make_sdist("idna", "3.10"), hashes={"md5": "x"})
    verdict, sentence = obstacle(surroundings)
    assert Verdict.INPUTS_MISSING is verdict
    assert "no SHA-256" in sentence


def test_too_large_is_unsupported_before_a_download() -> None:
    """What the index says to be larger than the limit is not fetched."""
    surroundings = Surroundings(max_file_bytes=10)
    surroundings.publish(*release())
    verdict, sentence = obstacle(surroundings)
    assert Verdict.UNSUPPORTED is verdict
    assert "files up to 10 bytes" in sentence


def test_unknown_names() -> None:
    """Unknown projects, versions and files are wrong use, and the hint names what there is."""
    surroundings = Surroundings()
    surroundings.publish(*release())
    for text, hint in (
        ("nothing==1", "spelling"),
        ("idna==3.11", "3.10"),
        ("idna==9", "newest version is 3.10"),
        ("idna-3.10-py2-none-any.whl", "idna-3.10-py3-none-any.whl"),
    ):
        with pytest.raises(UsageError) as caught:
            evidence(surroundings, text)
        assert caught.value.hint is not None
        assert hint in caught.value.hint


def test_trouble_of_the_index_is_not_about_the_release() -> None:
    """A file that is gone, has other bytes or no digest raises; it gives no verdict."""
    sdist, wheel = release()
    for bad in (b"other bytes", None):
        surroundings = Surroundings()
        surroundings.publish(sdist, wheel)
        url = f"https://example.org/files/{wheel.filename}"
        if bad is None:
            surroundings.fetcher.break_down(url, UnavailableError("gone"))
        else:
            surroundings.fetcher.serve(url, bad)
        with pytest.raises(FetchMismatchError if bad else UnavailableError):
            evidence(surroundings)
    surroundings = Surroundings()
    surroundings.publish(sdist, wheel, hashes={})
    with pytest.raises(UnavailableError, match="bytes are not bound"):
        evidence(surroundings)


@pytest.mark.parametrize(
    "data", [b"", b"no zip", make_wheel("idna", "3.10").data[:-30], make_wheel("idna", "3.10").data[40:]]
)
def test_malformed_wheel(data: bytes) -> None:
    """A wheel that cannot be read is an obstacle with a sentence, not a failure of ours."""
    surroundings = Surroundings()
    surroundings.publish(make_sdist("idna", "3.10"), Distribution("idna", "idna-3.10-py3-none-any.whl", data))
    assert Verdict.UNSUPPORTED is obstacle(surroundings)[0]


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("/etc/evil", {}, "'/etc/evil' is an absolute path"),
        ("idna-3.10/../../evil", {}, "'idna-3.10/../../evil' leads out of the tree"),
        ("idna-3.10/l", {"type": tarfile.SYMTYPE, "linkname": "../../etc"}, "link to '../../etc', out of the tree"),
        ("idna-3.10/l", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "link to '/etc', out of the tree"),
        ("idna-3.10/l", {"type": tarfile.LNKTYPE, "linkname": "../x"}, "link to '../x', out of the tree"),
        ("idna-3.10/null", {"type": tarfile.CHRTYPE}, "'idna-3.10/null' is a device"),
        ("idna-3.10/pipe", {"type": tarfile.FIFOTYPE}, "'idna-3.10/pipe' is a fifo"),
    ],
)
def test_dangerous_source_archive(name: str, fields: dict[str, object], words: str) -> None:
    """A source archive that would reach out of its tree is not unpacked; the sentence names the member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info)
    surroundings = Surroundings()
    surroundings.publish(Distribution("idna", "idna-3.10.tar.gz", buffer.getvalue()), make_wheel("idna", "3.10"))
    verdict, sentence = obstacle(surroundings)
    assert Verdict.UNSUPPORTED is verdict
    assert words in sentence


def test_listing_stopped_at_a_limit() -> None:
    """A zip bomb that exhausts the sandbox is its own outcome, and is not remembered."""
    surroundings = Surroundings()
    surroundings.publish(*release())
    surroundings.programs.limit = Limit.MEMORY
    verdict, sentence = obstacle(surroundings)
    assert Verdict.TIMED_OUT is verdict
    assert "limit on memory" in sentence
    surroundings.programs.limit, surroundings.programs.exit_code = None, 70
    assert Verdict.UNSUPPORTED is obstacle(surroundings)[0]
    assert not surroundings.memo.documents
