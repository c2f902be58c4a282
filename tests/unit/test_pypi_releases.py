"""Which files of a project are verified when nobody names one."""

from __future__ import annotations

from packaging.tags import sys_tags
from packaging.version import Version

from rebuilder.ecosystems.pypi.simple_index import IndexedFile, IndexProject, ReleaseFile, listing, to_verify
from rebuilder.model.value import Sha256


def files(*names: str, version: str = "1.0") -> list[ReleaseFile]:
    """Files of one release, without what an index says of them."""
    return [
        ReleaseFile(Version(version), IndexedFile(filename=name, url=name), "https://index.test/x/") for name in names
    ]


def chosen(*names: str) -> list[str]:
    """What is verified of a release with these files."""
    return [each.filename for each in to_verify(files(*names))]


def test_all_pure_wheels_and_what_is_installed_here() -> None:
    """The wheel of this platform comes first; those of others and the source archive are left out."""
    pure, here = ["x-1.0-py2-none-any.whl", "x-1.0-py3-none-any.whl"], f"x-1.0-{next(sys_tags())}.whl"
    names = ("x-1.0.tar.gz", *pure, "x-1.0-cp313-cp313-linux_riscv64.whl")
    assert pure == chosen(*names)
    assert [here, *pure] == chosen(*names, here)


def test_one_file_stands_for_a_release_without_a_pure_wheel() -> None:
    """The wheel for this platform, else the first by name, else the source archive; a release is not passed over."""
    here = f"x-1.0-{next(sys_tags())}.whl"
    assert [here] == chosen("x-1.0-cp311-cp311-macosx_10_9_arm64.whl", "x-1.0.tar.gz", here)
    wheels = ("x-1.0-cp313-cp313-linux_x86_64.whl", "x-1.0-cp312-cp312-linux_x86_64.whl")
    assert ["x-1.0-cp312-cp312-linux_x86_64.whl"] == chosen("x-1.0.tar.gz", *wheels)
    assert ["x-1.0.tar.gz"] == chosen("x-1.0.tar.gz", "x-1.0.zip")
    assert [] == chosen()


def test_what_has_no_digest_is_not_listed() -> None:
    """It cannot be verified; the newest version is told all the same."""
    project = IndexProject(
        "x", tuple(files("x-1.0-py3-none-any.whl") + files("x-2.0.tar.gz", version="2.0")), Sha256("0" * 64)
    )
    found = listing(project, "mark")
    assert ((), "mark", "x") == (found.files, found.mark, found.name)
