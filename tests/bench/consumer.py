"""What checking a lock file costs, and what a request through the proxy does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from rebuilder.consumer.gate import Gate
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.proxy.application import Application
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.network.index_reader import IndexReader
from tests.fakes.loopback_index import JSON, LoopbackIndex, serving, wheel
from tests.fakes.proxies import answering
from tests.fakes.published import PublishedRebuilder, identical, requirement

FILES = 200


@dataclass(frozen=True)
class Consumer:
    """A published site, and a lock file about all that it knows."""

    site: Path
    lock_file: Path
    memory: Path

    @property
    def check(self) -> list[str | Path]:
        """Words of the command after the name of the program."""
        return ["check", self.lock_file, "--rebuilder", self.site, "--seen", self.memory, "--offline"]

    def proxy_milliseconds(self, runs: int) -> float:
        """Median of a page with a hundred files through the proxy, once it is known; the connection included."""
        files = (f"package0-{version}-py3-none-any.whl" for version in range(100))
        index = LoopbackIndex({name: wheel("package0", name.split("-")[1]) for name in files})
        with serving(index), _proxied(index, self) as proxy, httpx.Client(headers={"Accept": JSON}) as client:
            return statistics.median([_milliseconds(client, f"{proxy}/simple/package0/") for _ in range(runs + 1)][1:])


def consumer(work: Path) -> Consumer:
    """Publish a site that confirms :data:`FILES` wheels."""
    rebuilder, found = (
        PublishedRebuilder(work / "rebuilder"),
        [identical(f"package{number}") for number in range(FILES)],
    )
    rebuilder.publish(*found)
    lock_file = work / "requirements.txt"
    lock_file.write_text(requirement(found))
    return Consumer(rebuilder.site, lock_file, work / "seen")


@contextmanager
def _proxied(index: LoopbackIndex, known: Consumer) -> Iterator[str]:
    with (
        Gate([Trusted(str(known.site))], Policy(), known.memory) as gate,
        IndexReader(index.url) as reader,
        answering(Application(reader, gate)) as address,
    ):
        yield address


def _milliseconds(client: httpx.Client, url: str) -> float:
    start = time.perf_counter()
    client.get(url).raise_for_status()
    return (time.perf_counter() - start) * 1000
