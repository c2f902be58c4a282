"""``python -m tests.bench debian``: Debian packages drawn by chance from what a release got after it came out.

Whoever asks for packages of a point release asks so: by name, without a ``.buildinfo`` and without a snapshot. Sources
that are too large to be built within the limits of a build are left out before the draw, by size alone. What is drawn
stays drawn: a package whose build takes longer than the limit is counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from rebuilder import deb822
from rebuilder.cli.entry import SWITCH as RESIDENT
from rebuilder.config import Config
from rebuilder.ecosystems.debian.archive import DebianArchive
from rebuilder.ecosystems.debian.ecosystem import Debian
from rebuilder.ecosystems.debian.index import BinaryPackage, SourceName, binary_package
from rebuilder.ecosystems.debian.subject import file_name
from rebuilder.ecosystems.debian.version import order
from rebuilder.model.verdict import Verdict
from rebuilder.wiring import wire
from tests.fakes.progress import NoDisplay

_UPDATED = re.compile(r"[+~]deb[0-9]+u[0-9]+")
_RELEASE = "trixie"
_TRIES = 3
"""How many times the longest time of one build all tries for the packages of one source may take."""
_LATE = 124
"""How ``timeout`` ends then."""


class Drawn(NamedTuple):
    """One package of the draw."""

    position: int
    """From 1, in the order of the draw."""
    package: BinaryPackage

    @property
    def subject(self) -> str:
        """As ``rebuilder verify`` takes it."""
        package = self.package
        return f"deb:{package.name}=={package.version}/{package.architecture}@{_RELEASE}"

    @property
    def filename(self) -> str:
        """Of the package."""
        return file_name(self.package.name, self.package.version, self.package.architecture)

    @property
    def run(self) -> tuple[SourceName, str]:
        """Packages that are alike here come out of one run of a build."""
        return self.package.source, self.package.architecture


def main(words: Sequence[str]) -> int:
    """Draw, verify what of the draw has no result yet, and print what came out so far."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench debian", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=150, help="packages to draw (default: 150)")
    parser.add_argument("--first", type=int, help="only so many of the draw, in its order")
    parser.add_argument("--megabytes", type=float, default=5, help="largest source package, compressed (default: 5)")
    parser.add_argument("--minutes", type=float, default=10, help="longest time of one build (default: 10)")
    parser.add_argument("--store", type=Path, required=True, help="directory with the build environment; kept")
    parser.add_argument("--results", type=Path, required=True, help="JSON lines; what is there is not done again")
    parser.add_argument("--under", default="", help="command that each verification is started by, such as nice")
    parser.add_argument("--at-once", type=int, default=1, help="sources that are worked on at the same time")
    options = parser.parse_args(words)
    with wire(Config(store=options.store, keys=options.store.with_name("keys")), NoDisplay()) as parts:
        ecosystem = parts.ecosystems[Debian.name]
        assert isinstance(ecosystem, Debian)
        every, sources = updated(ecosystem.context.archive)
    fitting = [each for each in every if sources.get(each.source, 1 << 60) <= options.megabytes * 1e6]
    draw = drawn(fitting, options.seed, options.count)[: options.first]
    print(
        f"{len(every):,} packages of {len({each.source for each in every}):,} sources are newer than the release; "
        f"{len(fitting):,} of {len({each.source for each in fitting}):,} come from at most {options.megabytes:g} MB. "
        f"{len(draw)} are drawn with seed {options.seed}, of {len({each.package.source for each in draw})} sources."
    )
    _verify(draw, options)
    print(table(draw, _results(options.results), options.minutes))
    return 0


def updated(archive: DebianArchive) -> tuple[list[BinaryPackage], dict[SourceName, int]]:
    """The newest version of each package that the release got after it came out, and bytes of every source package."""
    newest: dict[str, BinaryPackage] = {}
    sources: dict[SourceName, int] = {}
    for release in archive.releases(_RELEASE):
        for index in archive.indices(release, f"binary-{archive.settings.architecture}/Packages"):
            for package in map(binary_package, deb822.stanzas(archive.text(index))):
                known = newest.get(package.name)
                later = release.archive.pocket or _UPDATED.search(package.source.version)
                if later and (known is None or order(package.version) > order(known.version)):
                    newest[package.name] = package
        for index in archive.indices(release, "source/Sources"):
            for stanza in deb822.stanzas(archive.text(index)):
                fields = deb822.fields(stanza)
                rows = fields.get("checksums-sha256", "").strip().split("\n")
                size = sum(int(row.split()[1]) for row in rows if row)
                sources[SourceName(fields["package"], fields["version"])] = size
    return [newest[name] for name in sorted(newest)], sources


def drawn(packages: Iterable[BinaryPackage], seed: int, count: int) -> list[Drawn]:
    """Each package is as likely as any other; the same seed gives the same draw as long as the lists are the same."""
    shuffled = sorted(packages, key=lambda each: each.name)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - to be drawn again, not to be secret
    return [Drawn(number, each) for number, each in enumerate(shuffled[:count], 1)]


def _verify(draw: Sequence[Drawn], options: argparse.Namespace) -> None:
    """Verify what has no result yet, the packages of one run at once, in the order of the draw."""
    done = _results(options.results)
    groups: dict[tuple[SourceName, str], list[Drawn]] = {}
    for each in draw:
        if done.get(each.subject, {}).get("verdict") in {None, Verdict.INFRA_ERROR}:  # ours, and no answer
            groups.setdefault(each.run, []).append(each)
    with ThreadPoolExecutor(options.at_once) as pool:
        running = {pool.submit(_verified, each, options): each for each in groups.values()}
        try:
            for made in as_completed(running):
                _record(running[made], made.result(), options.results)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _record(together: Sequence[Drawn], found: Sequence[dict[str, Any]], file: Path) -> None:
    with file.open("a", encoding="utf-8") as results:
        for each, result in zip(together, found, strict=True):
            print(each.position, each.subject, result["verdict"], f"{result['seconds']:.0f} s", flush=True)
            results.write(json.dumps({"asked": each.subject, "position": each.position, **result}) + "\n")


def _verified(together: Sequence[Drawn], options: argparse.Namespace) -> list[dict[str, Any]]:
    """What ``rebuilder verify --json`` says of the packages of one run."""
    store, seconds = options.store, options.minutes * 60
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings:
        settings.write(f"[limits]\nwall_seconds = {seconds}\ncpu_seconds = {seconds}\n")
        settings.flush()
        command = [
            *shlex.split(options.under),
            *("timeout", "--kill-after=60", str(_TRIES * seconds)),
            *(str(Path(sys.executable).with_name("rebuilder")), "verify", "--json", "--config", settings.name),
            *("--store", str(store), "--keys", str(store.with_name("keys")), "--site", str(store.with_name("site"))),
            *(each.subject for each in together),
        ]
        made = subprocess.run(command, env=os.environ | {RESIDENT: "no"}, capture_output=True, text=True, check=False)
    found = {each["subject"].get("filename"): each for each in map(json.loads, made.stdout.splitlines())}
    late = f"All that was tried took longer than {_TRIES * options.minutes:g} minutes."
    nothing = {"verdict": None, "problem": late if made.returncode == _LATE else made.stderr[-600:]}
    results = [found.get(each.filename, nothing) for each in together]
    return [{**each, "seconds": each.get("seconds", {}).get("total", 0.0)} for each in results]


def _results(file: Path) -> dict[str, dict[str, Any]]:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return {each["asked"]: each for each in map(json.loads, lines)}


def table(draw: Sequence[Drawn], results: dict[str, dict[str, Any]], minutes: float) -> str:
    """What came out, and a line for each package that did not come out bit for bit."""
    found = [(each, results[each.subject]) for each in draw if each.subject in results]
    counts = Counter(_outcome(result) for _, result in found)
    unsigned, late = counts[Verdict.UNAUTHENTICATED], counts[Verdict.TIMED_OUT]
    out, missing = counts[Verdict.REPRODUCED] + unsigned, counts[Verdict.INPUTS_MISSING] + counts[Verdict.INFRA_ERROR]
    had = len(found) - late - missing
    share = f"{100 * out / had:.1f} %" if had else "none"
    whole = next((each.position - 1 for each in draw if each.subject not in results), len(draw))
    lines = [
        f"{len(found)} of {len(draw)} have a result, among them the first {whole} of the draw.",
        f"Not measured: build longer than {minutes:g} minutes: {late}. Inputs not to be had: {missing}.",
        f"Bit for bit: {out} of {had} whose inputs can be had ({share}); with some that nobody signed: {unsigned}.",
        *(f"  {outcome}: {number}" for outcome, number in counts.most_common()),
        "",
    ]
    for each, result in found:
        if result["verdict"] != Verdict.REPRODUCED:
            why = result.get("sentence") or result.get("problem") or ""
            lines.append(f"{each.position:>4} {each.filename}: {_outcome(result)}: {why.strip()}")
    return "\n".join(lines)


def _outcome(result: dict[str, Any]) -> str:
    return result["verdict"] or "no verdict"
