"""A container image that builds wheels for Linux, made of a build environment, and a publisher who uses it.

The publisher's build is none of this program's: the image is entered with bubblewrap, the source lies in ``/project``,
the backend and auditwheel are called by hand.
"""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.fakes.images import Member, image, link, tar
from tests.fakes.projects import Distribution

BUILDER = Path(__file__).parent.parent.parent / ".build" / "builder"
"""What ``make builder`` makes of ``tests/assets/builder.toml``, and wheels of ``requirements-builder.lock``."""
_MISSING = "What the image of these tests is made of is not there; run `make builder`."
PLATFORM = "manylinux_2_28_x86_64"
VARIABLES = {"PATH": "/opt/own/bin:/usr/local/bin:/usr/bin:/bin", "AUDITWHEEL_PLAT": PLATFORM, "OWN": "a b"}
PYTHON = "/opt/python/cp313-cp313/bin/python"
_PACKAGES = "usr/local/lib/python3.13/dist-packages"
_COMMAND = b"#!/usr/bin/python3\nimport sys\nfrom auditwheel.main import main\nsys.exit(main())\n"


def wheel(project: str) -> Distribution:
    """One of the wheels that builds or the image need."""
    found = sorted((BUILDER / "wheels").glob(f"{project}-*.whl"))
    if not found:
        pytest.fail(_MISSING, pytrace=False)
    return Distribution(project, found[-1].name, found[-1].read_bytes())


def _unpacked(project: str) -> list[Member]:
    with zipfile.ZipFile(io.BytesIO(wheel(project).data)) as archive:
        return [
            Member(f"{_PACKAGES}/{each.filename}", archive.read(each))
            for each in archive.infolist()
            if not each.is_dir()
        ]


def builder_image(*, leaves_out: Sequence[str] = (), variables: Mapping[str, str] = VARIABLES) -> bytes:
    """An OCI archive with gcc, Python 3.13 below ``/opt/python``, auditwheel and patchelf; some left out."""
    try:
        sha256 = (BUILDER / "toolchains/current/builder").read_text().strip()
    except FileNotFoundError:
        pytest.fail(_MISSING, pytrace=False)
    tree = BUILDER / "toolchains/trees" / sha256 / "root"
    given = [
        "tar",
        "-C",
        str(tree),
        "--owner=0",
        "--group=0",
        *(f"--exclude=./{each}" for each in leaves_out),
        "-c",
        ".",
    ]
    lower = subprocess.run(given, capture_output=True, check=True, timeout=600).stdout
    tools = [each for name in ("auditwheel", "packaging", "pip", "pyelftools") for each in _unpacked(name)]
    tools.append(Member("usr/local/bin/auditwheel", _COMMAND, 0o755))
    python = link(PYTHON.removeprefix("/"), "../../../../usr/bin/python3.13")
    upper = tar(*(tools if "auditwheel" not in leaves_out else ()), python)
    return image(
        lower, upper, compress=lambda data: data, variables=[f"{a}={b}" for a, b in variables.items()]
    ).archive()


def published(
    root: Path,
    sdist: Distribution,
    work: Path,
    *,
    epoch: int | None = None,
    flags: str = "",
    backend: str = "setuptools.build_meta",
) -> Distribution:
    """The wheel that somebody builds of a source archive in an image, and repairs.

    Args:
        root: The tree of the image.
        sdist: The source archive.
        work: A directory for it.
        epoch: ``SOURCE_DATE_EPOCH``; None: unset.
        flags: ``CFLAGS``, as a publisher sets them for all builds.
        backend: The module that is called; one of the source lies in ``/project/backend``.
    """
    project, tools, out = work / "project", work / "tools", work / "out"
    for each in (project, tools, out):
        each.mkdir(parents=True)
    unpack = ["tar", "-xz", "-C", str(project), "--strip-components=1"]
    subprocess.run(unpack, input=sdist.data, check=True, timeout=300)
    (tools / "setuptools.whl").write_bytes(wheel("setuptools").data)
    build = (
        f"{PYTHON} -m zipfile -e /tools/setuptools.whl /tmp/env && mkdir /tmp/built && "
        f"PYTHONPATH=/tmp/env:/project/backend {PYTHON} -c "
        f"'import {backend} as backend; backend.build_wheel(\"/tmp/built\")' && unset CFLAGS && "
        "auditwheel repair --wheel-dir /out /tmp/built/*.whl"
    )
    variables = {**VARIABLES, "HOME": "/tmp", **({"CFLAGS": flags} if flags else {})}
    variables |= {"SOURCE_DATE_EPOCH": str(epoch)} if epoch is not None else {}
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--clearenv", "--tmpfs", "/"]
    for each in sorted(root.iterdir()):
        if each.is_symlink():
            words += ["--symlink", str(each.readlink()), f"/{each.name}"]
        elif each.name not in {"tmp", "proc", "dev"}:
            words += ["--ro-bind", str(each), f"/{each.name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", str(tools), "/tools"]
    words += ["--bind", str(project), "/project", "--bind", str(out), "/out", "--chdir", "/project"]
    for name, value in variables.items():
        words += ["--setenv", name, value]
    done = subprocess.run([*words, "/bin/sh", "-ec", build], capture_output=True, text=True, check=False, timeout=600)
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    [made] = out.glob("*.whl")
    return Distribution(sdist.project, made.name, made.read_bytes())
