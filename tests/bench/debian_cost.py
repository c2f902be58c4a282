"""``python -m tests.bench debian-cost``: what a Debian rebuild costs beside ``dpkg-buildpackage`` and ``sbuild``.

CPU seconds, user and system, of a command and all that it started and waited for; no resident process takes part, so
nothing is left out. The archive that apt's settings name is asked. All build the same source with the same options;
``sbuild`` brings its own chroot, as whoever uses it has one, and installs the build dependencies each time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rebuilder.cli.entry import SWITCH as RESIDENT
from rebuilder.ecosystems.debian.build import PLACE
from rebuilder.environments.sources import apt_settings, etc_apt, sources
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.report import Report
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.environments import linked

_SUITE = "trixie"
_REBUILDER = Path(sys.executable).with_name("rebuilder")


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench debian-cost", description=__doc__)
    parser.add_argument("--package", default="exfatprogs", help=f"a small package of {_SUITE}")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each command, in turn")
    parser.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as name:
        work = Path(name)
        work.chmod(0o755)
        ours = _Verifications(work, f"deb:{options.package}@{_SUITE}")
        linked(options.environments, ours.store / "toolchains")
        ours.run("environments", "make", f"{_SUITE}-build")
        first = ours.verify()
        bare = _Bare.of(ours, work / "bare")
        sbuild = _Sbuild.of(bare, work / "sbuild")
        pairs = [(ours.verify(), bare.build(), sbuild.build() if sbuild else 0.0) for _ in range(options.runs)]
    again, alone, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    load = os.getloadavg()[0]
    print(f"CPU seconds, {bare.definition.purl}, medians of {options.runs}, load {load:.1f}")
    _row("rebuilder verify, build dependencies not installed yet", first, "s", "")
    _row("rebuilder verify", again, "s", "")
    _row("dpkg-buildpackage alone, in the same environment", alone, "s", "")
    _row("  verify over dpkg-buildpackage", again / alone, "x", "goal <= 1.3")
    _row("  fetching and installing build dependencies once", first - again, "s", "goal <= 15")
    if sbuild:
        _row("sbuild, in a chroot of its own", theirs, "s", "")
        _row("  sbuild over verify", theirs / again, "x", "")
    return 0


@dataclass(frozen=True)
class _Verifications:
    """A store and what is verified with it."""

    work: Path
    subject: str

    @property
    def store(self) -> Path:
        return self.work / "store"

    def run(self, *words: str) -> tuple[str, float]:
        return _spent([_REBUILDER, *words, "--store", self.store], self.work)

    def verify(self) -> float:
        """CPU seconds of a verification that has to come out bit for bit."""
        places = "--keys", str(self.work / "keys"), "--site", str(self.work / "site")
        return self.run("verify", *places, self.subject)[1]

    @property
    def definition(self) -> BuildDefinition:
        """Of the build that decided."""
        [page] = (self.work / "site").glob("deb/*/*/*/*/report.json")
        report = Report.model_validate_json(page.read_bytes())
        assert report.decision.attempt is not None
        return report.attempts[report.decision.attempt].hypothesis.definition


@dataclass(frozen=True)
class _Bare:
    """The build that a definition says, with nothing around it but a root directory, which bubblewrap gives."""

    definition: BuildDefinition
    sources: Path
    """A directory with the files of the source."""
    unpacked: Path
    layers: Sequence[Path]
    """Of the build environment, the uppermost first."""

    @classmethod
    def of(cls, ours: _Verifications, work: Path) -> _Bare:
        definition, blobs = ours.definition, DiskBlobs(ours.store / "blobs")
        environment = EnvironmentStore(ours.store / "toolchains", FixedClock()).by_digest(definition.toolchain.sha256)
        bare = cls(definition, work / "source", work / "unpacked", (*reversed(environment.layers), environment.root))
        bare.sources.mkdir(parents=True)
        for each in definition.inputs:
            shutil.copyfile(blobs.path(each.sha256), bare.sources / Path(each.path).name)
        bare.unpacked.mkdir()
        for command in definition.commands[:-1]:
            bare._run(bare.unpacked, *command)
        return bare

    def build(self) -> float:
        """CPU seconds of ``dpkg-buildpackage``, in a copy of the unpacked source."""
        copied = self.unpacked.with_name("copied")
        shutil.copytree(self.unpacked, copied, symlinks=True)
        spent = self._run(copied, *self.definition.commands[-1])
        assert list(copied.glob("*.deb")), f"{self.definition.purl} was not built"
        shutil.rmtree(copied)
        return spent

    def _run(self, place: Path, *words: str) -> float:
        lower = ":".join(map(str, self.layers))
        inside = ["--ro-bind", str(place.parent / "root"), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        inside += ["--tmpfs", "/build", "--bind", str(place), PLACE, "--chdir", PLACE, "--unshare-net", "--clearenv"]
        inside += ["--tmpfs", "/out", "--tmpfs", "/inputs", "--ro-bind", str(self.sources), "/inputs/source"]
        for name, value in self.definition.environment.items():
            inside += ["--setenv", name, value]
        (place.parent / "root").mkdir(exist_ok=True)
        shell = f'mount -t overlay overlay -o "lowerdir={lower}" "$1" && shift && exec bwrap "$@"'
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", "--mount", *user, "sh", "-ec", shell, "sh", str(place.parent / "root"), *inside, *words]
        return _spent(command, place)[1]


@dataclass(frozen=True)
class _Sbuild:
    """``sbuild`` with its unshare mode."""

    dsc: Path
    chroot: Path
    work: Path
    options: Mapping[str, str]

    @classmethod
    def of(cls, bare: _Bare, work: Path) -> _Sbuild | None:
        """Make its chroot as its manual says; None, with a sentence, where it is not installed."""
        if shutil.which("sbuild") is None or shutil.which("newuidmap") is None:
            print("sbuild is left out, because it is not installed: apt-get install sbuild uidmap")
            return None
        work.mkdir()
        [dsc] = bare.sources.glob("*.dsc")
        made = cls(dsc, work / f"{_SUITE}.tar", work, {"DEB_BUILD_OPTIONS": "nocheck parallel=1"})
        lines = sources(_SUITE, etc_apt=etc_apt(apt_settings()))
        _spent(["mmdebstrap", "--variant=buildd", _SUITE, made.chroot, *lines], work)
        return made

    def build(self) -> float:
        """CPU seconds of one build, its chroot unpacked and its build dependencies installed."""
        command = ["sbuild", "--chroot-mode=unshare", f"--chroot={self.chroot}", f"--dist={_SUITE}", "--no-arch-all"]
        command += ["--no-run-lintian", "--no-run-autopkgtest", "--no-run-piuparts", f"--build-dir={self.work}"]
        return _spent([*command, self.dsc], self.work, self.options)[1]


def _spent(
    command: Sequence[str | Path], directory: Path, variables: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """What a command said, and the CPU seconds of it and all that it waited for; one that fails ends the benchmark."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=directory,
            env={**given, RESIDENT: "no", **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{text[-3000:]}")
    return text, usage.ru_utime + usage.ru_stime


def _row(name: str, value: float, unit: str, goal: str) -> None:
    print(f"{name:<56} {value:>9.3f} {unit:<4} {goal}", flush=True)
