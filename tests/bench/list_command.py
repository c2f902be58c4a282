"""``python -m tests.bench list``: how many artifacts an hour, and where their time goes."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rebuilder.config import Config, SourceSettings
from rebuilder.ecosystems.pypi.ecosystem import PyPI
from rebuilder.model.report import Report
from rebuilder.model.work import Order, Tier
from rebuilder.service.service import worker_count
from rebuilder.wiring import wire
from tests.bench.chart import chart, rest_chart
from tests.bench.list_figures import RoundFigures, figures
from tests.bench.list_round import run_round
from tests.bench.list_table import commit_table, replaced, tables
from tests.bench.public_list import ECOSYSTEM, PublicList, named_files, orders, spread
from tests.bench.random_list import NAME as RANDOM
from tests.bench.random_list import drawn
from tests.fakes.progress import NoDisplay

DOCUMENT = Path("docs/benchmark.md")
PICTURES = {Path("docs/benchmark.svg"): chart, Path("docs/benchmark-rest.svg"): rest_chart}
_DRAWN = 60
"""Wheels of a list by chance, unless --limit says another number."""


def main(words: Sequence[str]) -> int:
    """Work through the lists and print the figures; files are written only when asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench list", description=__doc__)
    parser.add_argument(
        "--list", action="append", choices=[*PublicList, RANDOM], help="default: all but random; may be repeated"
    )
    parser.add_argument("--limit", type=int, help="only so many artifacts, evenly spread over the list")
    parser.add_argument("--seed", type=int, default=1, help="of the list random: draws --limit (60) wheels by chance")
    parser.add_argument("--names", type=Path, help="file with the projects to draw from, one a line; else the index")
    parser.add_argument("--workers", type=int, help="default: as many as a service has here")
    parser.add_argument("--cold", action="store_true", help="only the round with empty caches")
    parser.add_argument("--warm", action="store_true", help="only the round with full caches; needs --store")
    parser.add_argument(
        "--mirrors",
        type=Path,
        help="directory with repositories, HOST/OWNER/NAME.git: what does not come out of its source archive is tried "
        "from the commit after the last round, which has no part in its figures",
    )
    parser.add_argument("--clock", choices=["archive", "kernel"], default="archive", help="the setting of that name")
    parser.add_argument("--store", type=Path, help="directory to keep; a new one that is removed by default")
    parser.add_argument("--minutes", type=float, default=60, help="longest time for one round (default: 60)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--figures", type=Path, help="file that --json wrote: measure nothing, show and write those")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its pictures")
    parser.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    options = parser.parse_args(words)
    if options.warm and not options.cold and options.store is None:
        parser.error("--warm by itself needs the --store of an earlier round")
    rounds = _kept(options.figures) if options.figures is not None else _measured(options)
    print(tables(rounds))
    if options.json is not None:
        options.json.write_text(json.dumps([each.document() for each in rounds], indent=1) + "\n", "utf-8")
    if options.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text("utf-8"), tables(rounds)), "utf-8")
        for picture, drawing in PICTURES.items():
            picture.write_text(drawing(rounds), "utf-8")
    return 0


def _kept(file: Path) -> list[RoundFigures]:
    return [RoundFigures.model_validate(each) for each in json.loads(file.read_text("utf-8"))]


def _measured(options: argparse.Namespace) -> list[RoundFigures]:
    return [each for which in options.list or PublicList for each in _rounds(which, options)]


def _rounds(which: str, options: argparse.Namespace) -> list[RoundFigures]:
    temperatures = [warm for warm in (False, True) if (options.warm if warm else options.cold)] or [False, True]
    with ExitStack() as stack:
        work = Path(options.store or stack.enter_context(tempfile.TemporaryDirectory(prefix="rebuilder-list-")))
        work.mkdir(mode=0o755, exist_ok=True)
        work.chmod(0o755)  # builds run as another user, and must get to the blobs
        config = _config(work / which, options)
        options.workers = options.workers or worker_count(config)
        whole = _drawn(work / "lists", options) if which == RANDOM else _files(PublicList(which), work / "lists")
        files = spread(whole, options.limit)
        found = []
        for warm in temperatures:
            reports, spent = run_round(
                config, files, workers=options.workers, seconds=options.minutes * 60, log=work / f"{which}.log"
            )
            if options.mirrors is not None and warm is temperatures[-1]:
                again = [each for each in files if not _confirmed(each, reports)]
                more = run_round(
                    config,
                    [each.replace(tier=Tier.FULL) for each in again],
                    workers=options.workers,
                    seconds=options.minutes * 60,
                    log=work / f"{which}.log",
                )[0]
                print(commit_table(again, [*reports, *more]))
            found.append(
                figures(
                    f"{RANDOM} {options.seed}" if which == RANDOM else which,
                    reports,
                    spent,
                    warm=warm,
                    workers=options.workers,
                    listed=len(whole),
                    asked=len(files),
                    clock=options.clock,
                )
            )
        return found


def _config(place: Path, options: argparse.Namespace) -> Config:
    """Settings of a store of its own, with the build environments that are there; the index is that of pip and uv."""
    store = place / "store"
    store.mkdir(mode=0o755, parents=True, exist_ok=True)
    environments = store / "toolchains"
    if not environments.exists():
        environments.symlink_to(options.environments.absolute())
    hosts = sorted(each for each in options.mirrors.absolute().iterdir() if each.is_dir()) if options.mirrors else []
    mirrors = {f"https://{each.name}": str(each) for each in hosts}
    return Config(store=store, keys=place / "keys", clock=options.clock, sources=SourceSettings(mirrors=mirrors))


def _confirmed(order: Order, reports: Sequence[Report]) -> bool:
    return any(each.artifact.filename == order.filename and each.decision.verdict.confirms for each in reports)


def _files(which: PublicList, place: Path) -> list[Order]:
    """The list, looked up in a store apart: the first round is to find its caches empty."""
    with wire(Config(store=place / "store", keys=place / "keys"), NoDisplay()) as parts:
        return orders(which, parts.ecosystems[ECOSYSTEM].listing)


def _drawn(place: Path, options: argparse.Namespace) -> list[Order]:
    """A list drawn by chance; kept, so that the second round has the same, and printed for whoever draws it again."""
    kept = place / f"{RANDOM}-{options.seed}.json"
    if not kept.exists():
        with wire(Config(store=place / "store", keys=place / "keys"), NoDisplay()) as parts:
            ecosystem = parts.ecosystems[ECOSYSTEM]
            assert isinstance(ecosystem, PyPI)
            names = options.names.read_text("utf-8").split("\n") if options.names else ecosystem.project_names()
            names = (each.split("\t")[0].strip() for each in names)
            found = drawn(filter(None, names), options.seed, options.limit or _DRAWN, ecosystem.index.project)
        kept.write_text(json.dumps([{"subject": each.purl, "filename": each.filename} for each in found], indent=1))
    print(f"Drawn with seed {options.seed}, kept in {kept}:\n{kept.read_text('utf-8')}\n")
    return named_files(kept.read_text("utf-8"))
