"""How long a cluster waits for an answer: fifty reviews a second for a minute, over TLS on the loopback device."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.consumer import FILES, Consumer
from tests.fakes.certificates import self_signed
from tests.fakes.published import identical
from tests.fakes.reviews import attestation, bill, pod, put, review, workload
from tests.fakes.signer import MemorySigner

A_SECOND, SECONDS = 50, 60
PACKAGES = 100
IMAGES = 10


@dataclass(frozen=True)
class Waits:
    """Milliseconds from the first byte of a connection to the last of its answer."""

    first: float
    """The first one, when nothing is known yet."""
    median: float
    p99: float
    longest: float
    refused: int
    """Answers that did not let through what passes."""


def admission_waits(known: Consumer, work: Path, seconds: int = SECONDS) -> Waits:
    """Ask a webhook in a process of its own, a connection for each review, about images with a hundred packages."""
    work.mkdir()
    images = [f"registry.example.org/web{number}@sha256:{number:064x}" for number in range(IMAGES)]
    found = [identical(f"package{number}").artifact for number in range(FILES)]
    for number, image in enumerate(images):
        rows = [(each.purl, each.sha256) for each in found[number * 10 : number * 10 + PACKAGES]]
        digest = image.rpartition(":")[2]
        put(work / "sboms", digest, [attestation(digest, bill(*rows), MemorySigner())])
    (work / "signer.pem").write_bytes(MemorySigner().public_pem)
    (work / "policy.toml").write_text(
        f'[[rebuilders]]\nplace = {json.dumps(str(known.site))}\n[images]\nsboms = "sboms"\nkeys = ["signer.pem"]\n'
    )
    certificate = self_signed(work)
    options = ["--policy", "policy.toml", "--listen", "127.0.0.1:0", "--seen", str(known.memory)]
    options += ["--tls-cert", certificate.name, "--tls-key", "key.pem"]
    command = [sys.executable, "-c", "from rebuilder.cli.main import main; main()", "admit", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = re.search(r"https://\S+", server.stderr.readline())
        assert address is not None
        trusted = ssl.create_default_context(cafile=certificate)
        bodies = [json.dumps(review(workload("Deployment", pod(each)))).encode() for each in images]
        try:
            return _asked(address[0], trusted, bodies, seconds)
        finally:
            server.terminate()


def _asked(address: str, trusted: ssl.SSLContext, bodies: list[bytes], seconds: int) -> Waits:
    head, where = {"Content-Type": "application/json"}, urlsplit(address)

    def ask(number: int, start: float) -> tuple[float, bool]:
        time.sleep(max(0.0, start - time.perf_counter()))
        begin = time.perf_counter()
        connection = http.client.HTTPSConnection(where.netloc, timeout=60, context=trusted)
        connection.request("POST", where.path, bodies[number % len(bodies)], head)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return (time.perf_counter() - begin) * 1000, answer["response"]["allowed"] is True

    first, allowed = ask(0, 0.0)
    start = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        moments = [start + number / A_SECOND for number in range(A_SECOND * seconds)]
        found = [*pool.map(ask, range(len(moments)), moments)]
    waits = sorted(each for each, _ in found)
    refused = sum(not each for _, each in found) + (not allowed)
    return Waits(first, statistics.median(waits), waits[int(len(waits) * 0.99)], waits[-1], refused)
