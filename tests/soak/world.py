"""Forty local projects of several kinds on a registry of our own, and what becomes of each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.command import Installation
from tests.fakes.projects import (
    EPOCH,
    UPLOADED,
    build,
    compressed_by_another_program,
    make_sdist,
    make_wheel,
    minibackend_wheel,
)
from tests.fakes.registry import Registry

ENVIRONMENTS = Path(__file__).parents[2] / ".build" / "toolchains"

SETTINGS = """\
[service]
workers = 2
memory_bytes = 34359738368
disk_reserve_bytes = 0
stop_seconds = 5
lease_seconds = 10
requests_per_minute = 100000
listen = "127.0.0.1:0"

[limits]
disk_bytes = 16777216
"""


def project(index: int) -> str:
    """Its name."""
    return f"project{index:02}"


def publish(registry: Registry, number: int, *, seconds: float = 0, varied: bool = False) -> dict[str, str]:
    """Publish so many projects and the build backend; give the verdict each wheel has to get.

    Args:
        registry: Where.
        number: How many.
        seconds: How long their builds take.
        varied: Whether some builds write the time of day, and some wheels were compressed by another program.
    """
    tool = f"[tool.minibackend]\nseconds = {seconds}\n"
    registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
    expected = {}
    for index in range(number):
        name = project(index)
        if index % 10 == 7:
            wheel, verdict = make_wheel(name, "1.0"), "inputs-missing"
        elif index % 10 == 8:
            sdist = make_sdist(name, "1.0", tool='[tool.minibackend]\nfail = "no way"\n')
            registry.add(sdist, uploaded=UPLOADED)
            wheel, verdict = make_wheel(name, "1.0"), "build-failed"
        elif index % 10 == 9:
            sdist = make_sdist(name, "1.0", tool=tool)
            registry.add(sdist, uploaded=UPLOADED)
            wheel, verdict = make_wheel(name, "1.0", {f"{name}/__init__.py": "import evil\n"}), "differs"
        elif varied and index % 10 == 6:
            sdist = make_sdist(name, "1.0", tool=tool)
            registry.add(sdist, uploaded=UPLOADED)
            wheel, verdict = compressed_by_another_program(build(sdist)), "equivalent"
        else:
            of_the_day = "now = true\n" if varied and index % 10 == 5 else ""
            sdist = make_sdist(name, "1.0", tool=tool + of_the_day)
            registry.add(sdist, uploaded=UPLOADED)
            wheel, verdict = build(sdist, epoch=None if of_the_day else EPOCH), "reproduced"
        registry.add(wheel, uploaded=UPLOADED)
        expected[wheel.filename] = verdict
    return expected


def install(root: Path, registry: Registry, number: int, *, ledger: str | None = None) -> Installation:
    """An installation with a schedule that watches all projects."""
    installation = Installation.make(root, ENVIRONMENTS, registry.url)
    (root / "schedules").mkdir()
    (root / "tmp").mkdir()
    names = ", ".join(f'"{project(index)}"' for index in range(number))
    watch = f'[[watch]]\nname = "all"\npackages = [{names}]\nevery = "1h"\n'
    (root / "schedules" / "all.toml").write_text(watch)
    place = f'ledger = "{ledger}"\n' if ledger else ""
    (root / "rebuilder.toml").write_text(place + SETTINGS)
    return installation


def environment(installation: Installation) -> dict[str, str]:
    """Everything a service of it sees of the environment; temporary files are where nobody else has any."""
    root = installation.root
    return installation.environment | {
        "REBUILDER_CONFIG": str(root / "rebuilder.toml"),
        "REBUILDER_SCHEDULES": str(root / "schedules"),
        "TMPDIR": str(root / "tmp"),
        "PYTHONPATH": str(ENVIRONMENTS.parents[1]),
    }
