"""Source archives to measure with, fetched from the real index."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from rebuilder.ecosystems.pypi.settings import index_settings


def fetch_sdist(release: str, work: Path) -> Path:
    """Download the source archive of ``name==version`` into ``work``."""
    name, version = release.split("==")
    request = urllib.request.Request(
        f"{index_settings().index_url.rstrip('/')}/{name}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    file = next(each for each in files if each["filename"] == f"{name}-{version}.tar.gz")
    with urllib.request.urlopen(file["url"], timeout=60) as answer:
        path = work / str(file["filename"])
        path.write_bytes(answer.read())
    return path
