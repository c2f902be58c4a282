"""A published definition runs again on a machine that has nothing but its environment and its inputs, as files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.environment import Made, Manifest
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.command import Installation
from tests.fakes.projects import build, make_sdist, minibackend_wheel
from tests.fakes.registry import Registry

EPOCH = int(datetime(2024, 5, 5, 5, 5, 4, tzinfo=UTC).timestamp())


def no_mirror(spec: Manifest, root: Path) -> Made:
    """There is no archive any more."""
    raise BuildEnvironmentError(f"The build environment {spec.name} cannot be made: the mirror cannot be reached.")


def test_another_machine_gives_the_published_file(tmp_path: Path, environments_root: Path) -> None:
    """Verified here; there, without index and mirror, document, exported blobs and environment give the same file."""
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        sdist = make_sdist("one", "1.0")
        wheel = build(sdist, epoch=EPOCH)
        for each in (sdist, wheel):
            registry.add(each, uploaded=datetime(2024, 6, 1, tzinfo=UTC))
        here = Installation.make(tmp_path / "here", environments_root, registry.url)
        verified = here.verify("pypi:one==1.0")
    line = verified.line
    assert "reproduced" == line["verdict"], verified.words
    (document,) = Path(line["report"]).parent.glob("definition-*.json")
    definition = BuildDefinition.from_slsa(json.loads(document.read_bytes()))
    assert line["definition"] == definition.digest

    carried = tmp_path / "carried"
    (carried / "blobs").mkdir(parents=True)
    assert 0 == here.run("environments", "export", definition.toolchain.sha256, carried / "environment").code
    stored = DiskBlobs(here.store / "blobs")
    for needed in definition.inputs:
        (carried / "blobs" / needed.sha256).write_bytes(stored.read(needed.sha256))

    there = Installation(tmp_path / "there", "http://127.0.0.1:9/simple/")
    answer = there.run("environments", "import", carried / "environment")
    assert 0 == answer.code, answer.words
    blobs = DiskBlobs(there.store / "blobs")
    carried_digests = {each.sha256 for each in definition.inputs}
    assert carried_digests == {blobs.put(file.read_bytes()) for file in (carried / "blobs").iterdir()}
    environments = EnvironmentStore(there.store / "toolchains", FixedClock(), maker=no_mirror)
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path / "scratch")
    try:
        run = LocalRunner({sandbox.kind: sandbox}, environments, blobs)(definition)
    finally:
        sandbox.close()
    assert Outcome.COMPLETED is run.outcome, blobs.read(run.log_sha256).decode()
    assert [(wheel.filename, wheel.sha256)] == [(each.filename, each.sha256) for each in run.outputs]
    assert wheel.data == blobs.read(run.outputs[0].sha256)


def test_without_the_environment_it_does_not_run(tmp_path: Path, environments_root: Path) -> None:
    """The command says what is missing, and how to get it."""
    here = Installation.make(tmp_path / "here", environments_root, "http://127.0.0.1:9/simple/")
    answer = here.run("environments", "export", "0" * 64, tmp_path / "environment")
    assert (4, False) == (answer.code, (tmp_path / "environment").exists())
    assert "rebuilder environments export" in answer.words
    (tmp_path / "environment").write_text("no export, but as long as the first block of one has to be" * 20)
    answer = here.run("environments", "import", tmp_path / "environment")
    assert 2 == answer.code
    assert "is no export" in answer.words
