"""``python -m tests.bench site``: what publishing costs where many files are published already."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rebuilder.config import Config
from rebuilder.model.report import Report, page_path, summarise
from rebuilder.model.value import sha256_hex
from rebuilder.signing.envelope import seal
from rebuilder.signing.protocol import SigningKey
from rebuilder.signing.vocabulary import PAYLOAD_TYPE
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger, tables
from rebuilder.wiring import publishing
from tests.fakes.ledgers import lay_down
from tests.fakes.published import identical, signable

FILES = 100_000
_VERSIONS = 5
"""Files of one project."""
_MAY_BE_WRITTEN = (
    *("pypi/", "projects/", "verdicts/", "ecosystems/", "environments/", "causes/", "publishers/", "v1/", "sha256/"),
    *("sha512/", "log/", "api/v0/", "index.", "alarms.", "feed.", "regressions."),
)
_MOST_WRITTEN = 50
"""Files of one artifact and its statements (21), its project and release, and the lists and their documents that have
it; no page of another artifact."""
_AT_ONCE = 1000
_SHA512 = re.compile(r"\b[0-9a-f]{128}\b")
_NAME, _VERSION = "template0name", "7.6.54321"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Spent:
    """What something took: seconds of wall time and of CPU time, and the memory of its process at the peak, bytes."""

    wall: float
    cpu: float
    peak: int


def main(words: Sequence[str]) -> int:
    """Publish a site of many files from nothing, all of it again, and then one verdict more; print a table."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench site", description=__doc__)
    arguments.add_argument("--files", type=int, default=FILES)
    arguments.add_argument("--directory", type=Path, help="where it is made; 15 GB for 100,000 files")
    options = arguments.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="rebuilder-site-", dir=options.directory) as name:
        config = stored(Path(name), options.files)
        print(f"a site of {options.files:,} files", flush=True)
        _print("the whole site, from nothing", _publish(config), "goal <= 120 s, <= 500 MB")
        before = digest_of(config.site_directory)
        _print("the whole site again", _publish(config), "goal <= 120 s, <= 500 MB")
        assert before == digest_of(config.site_directory), "the same was stored, and another site was written"
        one, touched = publish_one(config, options.files)
        _print("one verdict more", one, "goal < 1 s")
        others = [each for each in touched if not any(map(each.startswith, _MAY_BE_WRITTEN))]
        print(f"{len(touched)} files were written for it")
        assert not others, others
        assert len(touched) <= _MOST_WRITTEN, touched
    return 0


def _print(what: str, spent: Spent, goal: str) -> None:
    print(f"{what:<34} {spent.wall:8.2f} s, CPU {spent.cpu:8.2f} s, {spent.peak / 1e6:6.0f} MB   {goal}", flush=True)


def stored(root: Path, files: int) -> Config:
    """A store with signed reports on many files, and nothing published.

    All of them are made from one, in which names, digests and times are replaced: making each anew takes an hour.
    """
    config = Config(store=root / "store", keys=root / "keys", site=root / "site")
    config.store.mkdir(parents=True)
    lay_down(config.store / "ledger.sqlite")
    blobs, report = DiskBlobs(config.store / "blobs"), signable(identical(_NAME, _VERSION))
    for content in (report.artifact.filename, "times", "flit_core: built the wheel\n"):
        blobs.put(content.encode())
    with publishing(config) as signer, Ledger.open(config.ledger_place) as ledger:
        made = signer.sign(report)
        assert made.provenance is not None
        template = (made.report_bytes.decode(), _payload(made.provenance), _payload(made.vsa), made.provenance)
        for start in range(1, files + 1, _AT_ONCE):
            rows = defaultdict[str, list[dict[str, Any]]](list)
            for number in range(start, min(start + _AT_ONCE, files + 1)):
                for table, row in _rows(report, template, number, signer.signer):
                    rows[table].append(row)
            with ledger._database.writing() as connection:
                for table, values in rows.items():
                    connection.execute(tables.metadata.tables[table].insert(), values)
    return config


def _payload(envelope: str) -> str:
    return base64.b64decode(json.loads(envelope)["payload"]).decode()


def _rows(
    report: Report, template: tuple[str, str, str, str], number: int, key: SigningKey
) -> Iterator[tuple[str, dict[str, Any]]]:
    name, version = project(number // _VERSIONS), f"1.{number % _VERSIONS}"
    old, finished = report.artifact, report.finished - timedelta(seconds=number)
    filename = f"{name}-{version}-py3-none-any.whl"
    digest = sha256_hex(filename.encode())
    was, now = (each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in (report.finished, finished))

    def renamed(text: str) -> str:
        found = text.replace(old.sha256, digest).replace(_NAME, name).replace(_VERSION, version)
        found = _SHA512.sub(hashlib.sha512(filename.encode()).hexdigest(), found)
        return found.replace(f'"finished": "{was}"', f'"finished": "{now}"').replace(
            f'"timeVerified":"{was}"', f'"timeVerified":"{now}"'
        )

    document = renamed(template[0])
    provenance = seal(PAYLOAD_TYPE, renamed(template[1]).encode(), key)
    verdict = renamed(template[2]).replace(sha256_hex(template[0].encode()), sha256_hex(document.encode()))
    verdict = verdict.replace(sha256_hex(template[3].encode()), sha256_hex(provenance.encode()))
    about = {"id": number, "ecosystem": "pypi", "purl": f"pkg:pypi/{name}@{version}", "name": name, "version": version}
    where = {"filename": filename, "url": f"https://files.example.org/packages/{filename}", "sha256": digest}
    yield "artifact", {**about, **where, "first_seen": report.started}
    said = summarise(report)
    done = {"state": "done", "started": report.started, "finished": finished, "published": finished}
    what = {"verdict": said.verdict.value, "sentence": said.sentence}
    yield "verification", {"id": number, "artifact_id": number, **done, **what}
    envelopes = {"vsa": seal(PAYLOAD_TYPE, verdict.encode(), key), "provenance": provenance}
    kept = zlib.compress(document.encode(), 1)
    yield "signed", {"verification_id": number, "report": kept, "key_id": key.key_id, **envelopes}


def project(number: int) -> str:
    """The name of a project; a tenth of all begin alike."""
    first = "py" if number % 10 == 0 else _LETTERS[number % 26] + _LETTERS[number // 26 % 26]
    return f"{first}{_LETTERS[number // 676 % 26]}-project-{number}"


def _publish(config: Config) -> Spent:
    words = ["--store", str(config.store), "--keys", str(config.keys), "--site", str(config.site_directory)]
    return _run([str(Path(sys.executable).parent / "rebuilder"), "publish", *words])


def _run(command: Sequence[str]) -> Spent:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    return Spent(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def publish_one(config: Config, number: int) -> tuple[Spent, list[str]]:
    """Publish a verdict on a new file of the project with a number; what it took, and which files were written.

    It takes a process that has looked at nothing before; starting it is not counted.
    """
    report = signable(identical(project(number // _VERSIONS // 2), "2.0"))
    DiskBlobs(config.store / "blobs").put(report.artifact.filename.encode())
    with Ledger.open(config.ledger_place) as ledger:
        ledger.examined(ledger.begin(report.artifact, report.started), report)
    before = time.time_ns()
    words = [sys.executable, "-m", "tests.bench.site", *map(str, (config.store, config.keys, config.site_directory))]
    said = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    artifact = report.artifact
    page = page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)
    assert (config.site_directory / page / "index.html").is_file()
    return Spent(**said), sorted(_written_since(config.site_directory, before))


def _written_since(site: Path, moment: int) -> Iterator[str]:
    for directory, _, names in os.walk(site):
        for name in names:
            file = Path(directory, name)
            if file.stat().st_mtime_ns >= moment:
                yield str(file.relative_to(site))


def digest_of(site: Path) -> str:
    """Of all files: names and contents."""
    digest = hashlib.sha256()
    for directory, below, names in os.walk(site):
        below.sort()
        for name in sorted(names):
            file = Path(directory, name)
            digest.update(f"{file.relative_to(site)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _one(store: str, keys: str, site: str) -> None:
    """Sign and publish what waits, in this process; print what it took."""
    import resource

    config = Config(store=Path(store), keys=Path(keys), site=Path(site))
    with publishing(config) as signer:
        wall, cpu = time.perf_counter(), time.process_time()
        assert 1 == signer.finish_all()
        signer.update_index()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    _one(*sys.argv[1:])
