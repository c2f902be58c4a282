"""What pip would install of a requirements file is what is looked at, however odd the file; pip itself is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from pip._internal.exceptions import PipError
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements

from rebuilder.consumer.lock_files import Dependency, dependencies
from rebuilder.consumer.platform_files import Target
from rebuilder.toml_files import FileError

A, B, C = "a" * 64, "b" * 64, "c" * 64
PARTS = (
    *("alpha==1.0", "beta==2", "alpha", "[x]", ";", "python_version>'3'", "; sys_platform=='win32'", "@", "./here"),
    *(" ", "\t", "\n", "\r\n", "\\\n", "\\", "'", '"', "#", " #", "# more", "\u00a0", "=", "-", "--", "$", "${HOME}"),
    *(
        f"--hash=sha256:{A}",
        f"--hash=sha256:{B}",
        f"--hash=sha512:{'d' * 128}",
        "--hash",
        f"sha256:{C}",
        "--hash=md5:0",
    ),
    *(
        f"--ha=sha256:{C}",
        f"--h'as'h=sha256:{C}",
        f"#sha256={A}",
        "https://files.example.org/alpha-1.0-py3-none-any.whl",
    ),
    *("-r", "more.txt", "-rmore.txt", "--requirement", "--requ=more.txt", "-e", "-c", "--pre", "--no-binary=:all:"),
    *("-i https://index.example.org", "--config-settings=a=b", "-C", "--trusted-host=x", "# coding: utf-8\n"),
)
Wanted = tuple[str, frozenset[str]]


def texts(seed: int, count: int) -> Iterator[str]:
    """Files put together by chance, the same for a seed."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        parts = (chance.choice(PARTS) + chance.choice(("", " ")) for _ in range(chance.randint(1, 6)))
        yield chance.choice(("", f"alpha==1.0 --hash=sha256:{A} ")) + "".join(parts)


def installed_by_pip(file: Path, session: PipSession) -> set[Wanted] | None:
    """Projects with the SHA-256 that pip would let pass; None: it refuses the file."""
    found = set()
    try:
        for each in parse_requirements(str(file), session):
            wanted = install_req_from_parsed_requirement(each)
            if not each.constraint and wanted.match_markers():
                hashes = frozenset(wanted.hash_options.get("sha256", []))
                found.add((canonicalize_name(wanted.name) if wanted.name else "", hashes))
    except (PipError, SystemExit, ValueError, KeyError):
        return None
    return found


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_overlooked(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every project and every hash that pip accepts is seen, or the file is refused; many of both come about."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.txt").write_text(f"delta==1 --hash=sha256:{C}\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pyproject.toml").write_text("")
    file, session = tmp_path / "requirements.txt", PipSession()
    compared, missed = 0, []
    for text in texts(seed, 800):
        file.write_bytes(text.encode())
        wanted = installed_by_pip(file, session)
        found = read_here(file) if wanted else None
        if wanted and found is not None:
            compared += 1
            missed += [(text, each) for each in wanted if not is_seen(each, found)]
    assert missed == []
    assert compared > 50


def read_here(file: Path) -> list[Dependency] | None:
    """What is looked at; None: the file is refused."""
    try:
        return dependencies(file, Target())
    except FileError:
        return None


def is_seen(wanted: Wanted, found: list[Dependency]) -> bool:
    """Whether a project is looked at with all its hashes, or cannot pass at all."""
    name, hashes = wanted
    ours = [each for each in found if each.name == name] or [each for each in found if each.problem]
    return any(each.problem for each in ours) or (
        bool(ours) and hashes <= {one.sha256 for each in ours for one in each.files}
    )
