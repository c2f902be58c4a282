"""From an attested commit to the published files: registry, signatures and repository of our own, real sandbox."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import AttestationType

from rebuilder.model.diagnosis import Cause
from rebuilder.provenance.trust.files import update
from tests.fakes import git_backend
from tests.fakes.command import Answer, Installation
from tests.fakes.projects import Distribution, build, make_wheel, minibackend_wheel, package
from tests.fakes.registry import Registry
from tests.fakes.repositories import TIME, Repository, make_repository
from tests.fakes.sigstore_instance import SigstoreInstance, github

EARLY, UPLOADED = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
PROVENANCE = "application/vnd.pypi.integrity.v1+json"
FORGE = "https://github.com/o/r"
PYPROJECT = (
    '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "minibackend"\n'
    '[project]\nname = "sample"\nversion = "{version}"\n'
)


@dataclass
class World:
    """Everything a release needs, all of it local."""

    registry: Registry
    installation: Installation
    repository: Repository
    sigstore: SigstoreInstance = field(default_factory=SigstoreInstance)

    def believe(self) -> None:
        """Let the program believe our own Sigstore instance, and find our repository behind the forge's address."""
        trust = self.sigstore.trust()
        for name, data in (("root.json", trust.trusted_root), ("keys.json", trust.npm_keys)):
            (self.installation.root / name).write_bytes(data)
            update(self.installation.root / name, self.installation.root / "trust")
        (self.installation.root / "rebuilder.toml").write_text(
            f'trust = "{self.installation.root}/trust"\n[sources.mirrors]\n"{FORGE}" = "{self.repository.path}"\n'
        )

    def release(self, version: str) -> tuple[str, Distribution, Distribution]:
        """Commit a version, tag it as the certificate says, and give it as its author would publish it."""
        commit = self.repository.commit(
            {"pyproject.toml": PYPROJECT.format(version=version), "sample/__init__.py": f"version = {version!r}\n"},
            f"Release {version}",
        )
        self.repository.tag("v1")
        sdist = package("sample", self.repository.path, epoch=TIME)
        return commit, sdist, build(sdist, epoch=TIME)

    def publish(self, *files: Distribution, commit: str | None, repository: str = "o/r") -> None:
        """Publish files; with a commit, each has an attestation that names it."""
        for each in files:
            url = None
            if commit is not None:
                document = self.sigstore.pypi(
                    each.filename,
                    each.data,
                    {"kind": "GitHub", "repository": repository, "workflow": "release.yml"},
                    github(repository, commit=commit),
                    predicate_type=PUBLISH,
                )
                body = json.dumps(document).encode()
                url = self.registry.serve(f"/integrity/{each.filename}/provenance", body, PROVENANCE)
            self.registry.add(each, uploaded=UPLOADED, provenance=url)

    def verify(self, version: str, *options: str) -> dict[str, Any]:
        """Verify a version; give the line about it."""
        return self.answer(version, *options).line

    def answer(self, version: str, *options: str) -> Answer:
        """Verify a version."""
        settings = self.installation.root / "rebuilder.toml"
        return self.installation.run("verify", "--json", "--config", settings, *options, f"pypi:sample=={version}")


@pytest.fixture
def world(tmp_path: Path, environments_root: Path) -> Iterator[World]:
    """A registry with the build backend, a repository, and a program that believes our Sigstore instance."""
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=EARLY)
        repository = make_repository(tmp_path / "repository")
        made = World(registry, Installation.make(tmp_path, environments_root, registry.url), repository)
        made.believe()
        yield made


def page(line: dict[str, Any]) -> str:
    """Text of the page."""
    return Path(line["report"]).read_text()


def test_every_step_from_the_attested_commit(world: World) -> None:
    """Commit, source archive and wheel follow from each other bit for bit, and the page shows who signed."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    answer = world.answer("1.0")
    line = answer.line
    assert (0, "reproduced") == (answer.code, line["verdict"]), answer.words
    assert "verified" == line["provenance"]["status"], line["provenance"]
    assert (FORGE, commit) == (line["provenance"]["repository"], line["provenance"]["commit"])
    assert line["trail"]["origin"]["attested"]
    assert {"commit-to-sdist", "sdist-to-wheel", "commit-to-wheel"} == line["trail"]["steps"].keys()
    assert {"reproduced"} == set(line["trail"]["steps"].values()), line["trail"]
    assert (0, None, []) == (line["trail"]["unexplained_files"], line["trail"]["disagreement"], line["alarms"])
    assert commit in page(line)
    assert FORGE in page(line)
    statement = (Path(line["report"]).parent / "verdict.dsse.json").read_text()
    assert "inputAttestations" in _payload(statement)


def test_wheel_through_a_source_archive(world: World) -> None:
    """A file that source archives leave out is not in a wheel that is made of one, as frontends make it."""
    world.repository.commit({"sample/.notes": "Not for everybody.\n"})
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    line = world.verify("1.0")
    assert "reproduced" == line["trail"]["steps"]["commit-to-wheel"], line["trail"]
    assert "as frontends do" in page(line)


def submodule_of(world: World, directory: Path) -> Repository:
    """Let the project's package hold a submodule, named by a relative address."""
    made = make_repository(directory, {"part.py": "part = 1\n"})
    world.repository.git("submodule", "--quiet", "add", f"../{directory.name}", "sample/parts")
    settings = world.installation.root / "rebuilder.toml"
    settings.write_text(settings.read_text() + f'"{FORGE.rpartition("/")[0]}/{directory.name}" = "{directory}"\n')
    return made


def test_submodules_come_from_their_mirrors(world: World, tmp_path: Path) -> None:
    """The locked commit of another repository is part of the source; what that repository did later is not."""
    part = submodule_of(world, tmp_path / "parts")
    commit, sdist, wheel = world.release("1.0")
    part.commit({"part.py": "part = 2\n"})
    world.publish(sdist, wheel, commit=commit)
    line = world.verify("1.0")
    assert {"reproduced"} == set(line["trail"]["steps"].values()), line["trail"]
    assert 0 == line["trail"]["unexplained_files"]
    assert "is checked out from https://github.com/o/parts" in page(line)


def test_submodule_that_cannot_be_had(world: World, tmp_path: Path) -> None:
    """What is missing is named, and nobody is accused; files elsewhere have nothing to do with it."""
    submodule_of(world, tmp_path / "parts")
    commit, _, wheel = world.release("1.0")
    (tmp_path / "parts").rename(tmp_path / "gone")
    world.publish(wheel, commit=commit)
    line = world.verify("1.0")
    assert "inputs-missing" == line["verdict"], line
    assert "The submodule sample/parts" in line["sentence"]
    assert "There is no repository at https://github.com/o/parts (asked of its mirror" in line["sentence"]
    world.repository.git("mv", "sample/parts", "elsewhere")
    world.repository.commit({"sample/lost.py": ""})
    _, _, other = world.release("1.1")
    commit = world.repository.commit({"sample/lost.py": "other = 1\n"})
    world.publish(other, commit=commit)
    assert "differs" == world.verify("1.1")["verdict"]


def test_pointer_of_a_large_file(world: World) -> None:
    """The wheel holds the content that the commit only points to: that is the cause, not a difference."""
    content = b"large\n" * 100
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.example.org/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    world.repository.commit({"sample/model.bin": pointer})
    commit, _, _ = world.release("1.0")
    (world.repository.path / "sample" / "model.bin").write_bytes(content)
    world.publish(build(package("sample", world.repository.path, epoch=TIME), epoch=TIME), commit=commit)
    line = world.verify("1.0")
    assert "inputs-missing" == line["verdict"], line
    assert "only a Git LFS pointer to sample/model.bin" in line["sentence"]


def published_after_a_tag(world: World) -> tuple[str, str]:
    """A release of a project that counts commits from a tag, two after it; gives its commit and version."""
    world.registry.add(make_wheel("setuptools-scm", "8.0", {"setuptools_scm.py": ""}), uploaded=EARLY)
    system = '[build-system]\nrequires = ["setuptools-scm"]\nbuild-backend = "git_backend"\nbackend-path = ["tools"]\n'
    backend = Path(git_backend.__file__).read_text()
    world.repository.commit({"pyproject.toml": system, "tools/git_backend.py": backend, "x/__init__.py": ""})
    world.repository.tag("v1.5", annotated=True)
    for message in ("One more", "Another"):
        commit = world.repository.commit({"x/__init__.py": f"# {message}\n"}, message)
    code = "import git_backend; print(git_backend.build_wheel('..'))"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "tools", "PYTHONDONTWRITEBYTECODE": "1"}
    name = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=world.repository.path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout.strip()
    data = (world.repository.path.parent / name).read_bytes()
    world.publish(Distribution("x", name, data), commit=commit)
    return commit, name.split("-")[1]


@pytest.mark.parametrize("tags", ["there", "gone"])
def test_version_counted_from_an_older_tag(world: World, tags: str) -> None:
    """The history before the commit gives it; a mirror without tags does not, and then the plugin is told it."""
    _, version = published_after_a_tag(world)
    assert "1.5.post2" == version
    if tags == "gone":
        world.repository.git("tag", "--delete", "v1.5")
    settings = world.installation.root / "rebuilder.toml"
    line = world.installation.run("verify", "--json", "--config", settings, f"pypi:x=={version}").line
    assert ("reproduced", {"commit-to-wheel": "reproduced"}) == (line["verdict"], line["trail"]["steps"]), line
    told = {each["name"]: each.get("value") for each in line["replayed"]}
    assert {"there": None, "gone": version}[tags] == told.get("version")


def test_planted_file_in_the_source_archive(world: World) -> None:
    """The wheel follows from the source archive, the archive not from the commit: exactly what people need to see."""
    commit, _, _ = world.release("1.0")
    (world.repository.path / "sample" / "backdoor.py").write_text("import evil\n")
    sdist = package("sample", world.repository.path, epoch=TIME)
    world.publish(sdist, build(sdist, epoch=TIME), commit=commit)
    line = world.verify("1.0")
    assert "reproduced" == line["verdict"]
    assert "reproduced" == line["trail"]["steps"]["sdist-to-wheel"]
    assert {"differs"} == {line["trail"]["steps"][step] for step in ("commit-to-sdist", "commit-to-wheel")}
    assert 1 == line["trail"]["unexplained_files"]
    assert line["sentence"].endswith(line["trail"]["disagreement"])
    assert ["steps-disagree"] == [alarm["kind"] for alarm in line["alarms"]]
    assert "backdoor.py" in page(line)


def test_invalid_attestation_is_loud_and_stops_nothing(world: World) -> None:
    """An attestation about other bytes: alarm, told on the page, and the wheel is rebuilt all the same."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, commit=None)
    other = Distribution(wheel.project, wheel.filename, wheel.data + b" ")
    world.publish(other, commit=commit)
    url = f"{world.registry.base}/integrity/{wheel.filename}/provenance"
    world.registry.add(wheel, uploaded=UPLOADED, provenance=url)
    answer = world.answer("1.0")
    line = next(each for each in answer.lines if each["subject"]["sha256"] == wheel.sha256)
    assert "invalid" == line["provenance"]["status"]
    assert "reproduced" == line["verdict"]
    assert "attestation-invalid" in [alarm["kind"] for alarm in line["alarms"]]


def test_publisher_that_changes_and_attestation_that_vanishes(world: World) -> None:
    """The first verified publisher is remembered; another one, or none, is an alarm by name."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    assert [] == world.verify("1.0", "--quick")["alarms"]
    commit, sdist, wheel = world.release("1.1")
    world.publish(sdist, wheel, commit=commit, repository="evil/r")
    changed = world.verify("1.1", "--quick")
    assert "publisher-changed" in [alarm["kind"] for alarm in changed["alarms"]], changed
    _, sdist, wheel = world.release("1.2")
    world.publish(sdist, wheel, commit=None)
    vanished = world.verify("1.2", "--quick")
    assert "attestation-vanished" in [alarm["kind"] for alarm in vanished["alarms"]], vanished


def test_commit_that_is_gone(world: World) -> None:
    """A commit nobody has any more is a missing input of its steps; the verdict on the wheel stands."""
    _, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit="d" * 40)
    line = world.verify("1.0")
    assert "reproduced" == line["verdict"]
    assert "inputs-missing" == line["trail"]["steps"]["commit-to-wheel"], line["trail"]


def test_wheel_alone_and_a_commit_that_is_gone(world: World) -> None:
    """Where nothing else is published, the verdict says what keeps the commit from being had."""
    _, _, wheel = world.release("1.0")
    world.publish(wheel, commit="d" * 40)
    line = world.verify("1.0")
    assert "inputs-missing" == line["verdict"]
    assert line["sentence"].startswith("The release 1.0 publishes no source archive")
    assert f"does not hand out the commit {'d' * 40}" in line["sentence"]
    world.publish(make_wheel("sample", "2.0"), commit=None)
    assert "names no repository" in world.verify("2.0")["sentence"]


def test_repository_that_only_the_settings_name(world: World) -> None:
    """A release that names none and has no attestation: the tag of its version in the expected repository is tried."""
    _, sdist, wheel = world.release("1.0")
    world.repository.tag("v1.0")
    world.publish(sdist, wheel, commit=None)
    assert {"sdist-to-wheel": "reproduced"} == _tried(world.verify("1.0"))
    settings = world.installation.root / "rebuilder.toml"
    settings.write_text(f'{settings.read_text()}[expect."pypi:sample"]\nrepository = "{FORGE}"\n')
    line = world.verify("1.0")
    assert ({"reproduced"}, 3) == (set(_tried(line).values()), len(_tried(line)))
    assert not line["trail"]["origin"]["attested"]


def _tried(line: dict[str, Any]) -> dict[str, str]:
    return {step: verdict for step, verdict in line["trail"]["steps"].items() if verdict}


def test_step_that_fails_says_why(world: World) -> None:
    """The verdict rests on another step; what keeps this one from coming out is told all the same."""
    commit, sdist, wheel = world.release("1.0")
    failing = PYPROJECT.format(version="1.0") + '[tool.minibackend]\nfail = "urlopen error"\n'
    commit = world.repository.commit({"pyproject.toml": failing})
    world.publish(sdist, wheel, commit=commit)
    line = world.verify("1.0")
    assert ("reproduced", "build-failed") == (line["verdict"], line["trail"]["steps"]["commit-to-wheel"])
    assert Cause.NETWORK_WANTED.spoken in page(line)
    assert Cause.NETWORK_WANTED.spoken in line["trail"]["why"]["commit-to-wheel"]


def test_source_archive_from_its_commit(world: World) -> None:
    """A source archive asked for by name is an artifact of its own: it is rebuilt from the commit."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    settings = world.installation.root / "rebuilder.toml"
    subject = f"pkg:pypi/sample@1.0?file_name={sdist.filename}"
    line = world.installation.run("verify", "--json", "--config", settings, subject).line
    assert ("reproduced", sdist.sha256) == (line["verdict"], line["subject"]["sha256"]), line
    assert {"commit-to-sdist": "reproduced"} == line["trail"]["steps"]


def test_moved_tag_is_an_alarm(world: World) -> None:
    """The attested commit counts, and that its tag points elsewhere now is told."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    world.repository.commit({"README": "Later\n"}, "Later")
    world.repository.tag("v1")
    line = world.verify("1.0")
    assert ("reproduced", "reproduced") == (line["verdict"], line["trail"]["steps"]["commit-to-wheel"]), line
    assert ["tag-moved"] == [alarm["kind"] for alarm in line["alarms"]]


def test_quick_asks_no_repository(world: World) -> None:
    """``--quick`` checks attestations, which is cheap, and builds from the source archive only."""
    commit, sdist, wheel = world.release("1.0")
    world.publish(sdist, wheel, commit=commit)
    line = world.verify("1.0", "--quick")
    assert ("verified", None, 1) == (line["provenance"]["status"], line["trail"], line["attempts"])


def test_what_a_quick_look_does_not_confirm_is_looked_at_in_full(world: World) -> None:
    """The source archive gives another wheel, the commit gives this one: it is asked then, as without ``--quick``."""
    commit, _, wheel = world.release("1.0")
    (world.repository.path / "sample" / "extra.py").write_text("extra = 1\n")
    world.publish(package("sample", world.repository.path, epoch=TIME), wheel, commit=commit)
    quick, full = world.verify("1.0", "--quick"), world.verify("1.0")
    assert "reproduced" == quick["trail"]["steps"]["commit-to-wheel"]
    assert [full[key] for key in ("verdict", "trail", "attempts")] == [
        quick[key] for key in ("verdict", "trail", "attempts")
    ]


def test_from_the_source_archive_alone(world: World) -> None:
    """``--tier source`` asks no repository, whatever comes out."""
    commit, _, wheel = world.release("1.0")
    (world.repository.path / "sample" / "extra.py").write_text("extra = 1\n")
    world.publish(package("sample", world.repository.path, epoch=TIME), wheel, commit=commit)
    line = world.verify("1.0", "--tier", "source")
    assert ("differs", None) == (line["verdict"], line["trail"])


def _payload(envelope: str) -> str:
    import base64

    return base64.b64decode(json.loads(envelope)["payload"]).decode()
