"""A publisher's machine: real build backends run in a build environment, under circumstances that a test chooses."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import parse_wheel_filename

from rebuilder.environments.protocol import Environments
from tests.fakes.projects import Distribution

_SECONDS = 600
"""A build that takes longer is ended."""
_OUT, _TOOLS = "/opt/out", "/opt/tools"
_DRIVER = """
import builtins, importlib, io, json, os, sys
job = json.loads(sys.argv[1])
os.umask(job["umask"])
if job["listing"]:
    listdir, scandir = os.listdir, os.scandir
    class Entries:
        def __init__(self, found): self.found = iter(found)
        def __iter__(self): return self
        def __next__(self): return next(self.found)
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def close(self): pass
    back = job["listing"] == "backwards"
    os.listdir = lambda path=".": sorted(listdir(path), key=os.fsdecode, reverse=back)
    os.scandir = lambda path=".": Entries(sorted(scandir(path), key=lambda each: each.name, reverse=back))
if job["processors"]:
    os.cpu_count = lambda: job["processors"]
    os.process_cpu_count = os.cpu_count
    os.sched_getaffinity = lambda _: set(range(job["processors"]))
if job["encoding"]:
    opened = io.open
    def reopened(file, mode="r", buffering=-1, encoding=None, *rest, **named):
        if "b" not in mode and encoding is None and str(file).startswith(os.getcwd()) | (not os.path.isabs(str(file))):
            encoding = job["encoding"]
        return opened(file, mode, buffering, encoding, *rest, **named)
    builtins.open = io.open = reopened
sys.path[:0] = [os.path.abspath(each) for each in job["paths"]]
sys.argv[:] = ["build"]
backend = importlib.import_module(job["backend"])
requires = getattr(backend, "get_requires_for_build_wheel", None)
if requires: requires({})
print("made", backend.build_wheel(job["out"], dict(job["settings"])))
"""


class PublisherError(Exception):
    """A planted release could not be built; the message has the output of its build."""


@dataclass(frozen=True)
class Machine:
    """Where and how somebody builds a wheel; the defaults are those of a careful publisher."""

    environment: str = "trixie"
    directory: str = "/home/ann/src"
    host: str = "anns-laptop"
    umask: int = 0o022
    epoch: int | None = 1_714_885_504
    """``SOURCE_DATE_EPOCH``; None when it is not set."""
    variables: Mapping[str, str] = field(default_factory=dict)
    listing: str = ""
    """The order in which directories list their files: ``sorted``, ``backwards``, or as the system does."""
    processors: int = 0
    """How many it says it has; 0 for those it has."""
    encoding: str = ""
    """In which text of the project is opened where none is named, such as ``cp1252`` on Windows."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Given to the backend, as by ``--config-setting``."""


class Publisher:
    """Builds wheels from source trees with backends of a directory of wheels."""

    def __init__(self, environments: Environments, tools: Sequence[Distribution], work: Path) -> None:
        self._environments = environments
        self._tools = {release_of(each): each for each in tools}
        self._work = work
        self._unpacked: dict[str, Path] = {}

    def build(
        self,
        project: str,
        tree: Mapping[str, str | bytes],
        machine: Machine,
        *,
        backend: str,
        paths: Sequence[str] = (),
        tools: Sequence[str] = (),
        modes: Mapping[str, int] | None = None,
        times: Mapping[str, int] | None = None,
    ) -> Distribution:
        """The wheel that a backend makes of a tree.

        Args:
            project: Name of the project.
            tree: Path to content.
            machine: Where it is built.
            backend: Its module.
            paths: Directories of the tree that hold the backend.
            tools: Wheels (``name-version``) that are installed there.
            modes: By path, where they are not those of the umask.
            times: Modification times by path, seconds since 1970; otherwise 2024-03-01.

        Raises:
            PublisherError: nothing came out.
        """
        with tempfile.TemporaryDirectory(dir=self._work) as name:
            top, out = Path(name) / "tree", Path(name) / "out"
            out.mkdir(parents=True)
            _write(top, tree, machine.umask, modes or {}, times or {})
            command = self._command(top, out, machine, tools)
            job = {
                "backend": backend,
                "paths": paths,
                "out": _OUT,
                "umask": machine.umask,
                "listing": machine.listing,
                "processors": machine.processors,
                "encoding": machine.encoding,
                "settings": dict(machine.settings),
            }
            program = ("/usr/bin/python3", "-B", "-c", _DRIVER, json.dumps(job))
            done = subprocess.run(
                [*command, *program], capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=name
            )
            made = sorted(out.glob("*.whl"))
            if done.returncode != 0 or len(made) != 1:
                raise PublisherError(f"{project}: {done.stdout}{done.stderr}")
            return Distribution(project, made[0].name, made[0].read_bytes())

    def _command(self, top: Path, out: Path, machine: Machine, tools: Sequence[str]) -> list[str]:
        root = self._environments.get(machine.environment).root
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/home",
            "USER": "ann",
            "LOGNAME": "ann",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": _TOOLS,
            **({} if machine.epoch is None else {"SOURCE_DATE_EPOCH": str(machine.epoch)}),
            **machine.variables,
        }
        given = [word for name, value in variables.items() for word in ("--setenv", name, value)]
        return [
            *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--hostname", machine.host),
            *("--tmpfs", "/", *_root(root), "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
            *("--bind", str(top), machine.directory, "--bind", str(out), _OUT),
            *("--ro-bind", str(self._installed(tools)), _TOOLS, "--chdir", machine.directory),
            *("--clearenv", *given),
        ]

    def _installed(self, tools: Sequence[str]) -> Path:
        """A directory with some of the wheels, unpacked."""
        key = " ".join(sorted(tools))
        if key not in self._unpacked:
            place = self._work / f"tools-{len(self._unpacked)}"
            place.mkdir()
            for each in tools:
                with zipfile.ZipFile(io.BytesIO(self._tools[each].data)) as archive:
                    archive.extractall(place)
            self._unpacked[key] = place
        return self._unpacked[key]


def _root(root: Path) -> list[str]:
    """What shows an environment below ``/``, where further directories can be made beside it."""
    words = []
    for each in sorted(root.iterdir()):
        if each.is_symlink():
            words += ["--symlink", str(each.readlink()), f"/{each.name}"]
        elif each.name in {"bin", "etc", "lib", "lib64", "sbin", "usr", "var"}:
            words += ["--ro-bind", str(each), f"/{each.name}"]
    return words


def release_of(wheel: Distribution) -> str:
    """``name-version`` of a wheel, the name normalised."""
    name, version, _build, _tags = parse_wheel_filename(wheel.filename)
    return f"{name}-{version}"


def _write(
    top: Path, tree: Mapping[str, str | bytes], umask: int, modes: Mapping[str, int], times: Mapping[str, int]
) -> None:
    top.mkdir()
    for name, content in tree.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(modes.get(name, 0o666 & ~umask))
        moment = times.get(name, 1_709_294_400)
        os.utime(path, (moment, moment))
