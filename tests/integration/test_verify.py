"""``rebuilder verify`` from the command line to the page, on a registry of our own and in the real sandbox."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.errors import NoGuestError
from rebuilder.model.report import CLOCK_NOT_TRIED
from rebuilder.sandbox.uml.probe import SWITCH
from tests.fakes.command import Installation
from tests.fakes.projects import (
    EPOCH,
    SOME_TIME,
    UPLOADED,
    Distribution,
    build,
    make_sdist,
    make_wheel,
    minibackend_wheel,
)
from tests.fakes.registry import Registry


def deflated(wheel: Distribution) -> Distribution:
    """The same wheel, compressed, which the backend does not do."""
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as old, zipfile.ZipFile(data, "w") as new:
        for each in old.infolist():
            content = old.read(each)
            each.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(each, content)
    return replace(wheel, data=data.getvalue())


def test_one_time_for_everything_is_reproduced(registry: Registry, installation: Installation) -> None:
    """A wheel made with SOURCE_DATE_EPOCH comes out bit for bit, and everything about it is published."""
    sdist = make_sdist("one", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    registry.publish(sdist, wheel)
    answer = installation.verify("pypi:one==1.0")
    line = answer.line
    assert (answer.code, line["verdict"]) == (0, "reproduced"), answer.words
    assert wheel.sha256 == line["subject"]["sha256"] == line["rebuilt"]["sha256"]
    assert line["source"]["digest"] == {"sha256": sdist.sha256}
    assert line["attempts"] == 1
    page = Path(line["report"])
    assert "identical to the published file" in page.read_text()
    assert {"index.html", "report.json", "verdict.dsse.json", "provenance.dsse.json"} <= {
        each.name for each in page.parent.iterdir()
    }
    definition = next(page.parent.glob("definition-*.json")).read_bytes()
    assert hashlib.sha256(definition).hexdigest() == line["definition"]
    assert wheel.sha256 not in definition.decode(), "no published bytes may enter a build"
    assert (installation.site / "index.html").is_file()


def test_source_times_are_those_of_the_archive(registry: Registry, installation: Installation) -> None:
    """A wheel made of an unpacked source archive carries the times that archive has."""
    sdist = make_sdist("two", "1.0", times={"two/__init__.py": datetime(2024, 2, 2, 2, 2, 2, tzinfo=UTC)})
    registry.publish(sdist, build(sdist))
    answer = installation.verify("pypi:two")
    assert (answer.code, answer.line["verdict"]) == (0, "reproduced"), answer.words
    assert {"before-build"} == {each["when"] for each in answer.line["replayed"]}


def test_wall_clock_in_the_archive_is_written_afterwards(registry: Registry, installation: Installation) -> None:
    """When only the time of day is left, it is written into the finished archive, and the answer says so."""
    sdist = make_sdist("three", "1.0", tool="[tool.minibackend]\nnow = true\n")
    wheel = build(sdist)
    registry.publish(sdist, wheel)
    answer = installation.verify("pypi:three==1.0")
    line = answer.line
    assert (answer.code, line["verdict"], line["attempts"]) == (0, "reproduced", 1), answer.words
    assert ["zip-times"] == [each["name"] for each in line["replayed"] if each["when"] == "finished-archive"]
    assert line["rebuilt"]["sha256"] != wheel.sha256
    statement = json.loads(
        base64.b64decode(json.loads(Path(line["report"]).with_name("verdict.dsse.json").read_text())["payload"])
    )
    assert ["REBUILDER_BITWISE_METADATA_WRITTEN"] == statement["predicate"]["verifiedLevels"]


@pytest.mark.needs_guest
def test_the_clock_of_a_kernel_if_asked_for(registry: Registry, installation: Installation) -> None:
    """With that setting the build is made again where the clock shows the time; nothing is written afterwards."""
    settings = installation.root / "settings.toml"
    settings.write_text("clock = 'kernel'\n")
    sdist = make_sdist("three", "1.0", tool="[tool.minibackend]\nnow = true\n")
    registry.publish(sdist, build(sdist))
    line = installation.run("verify", "--json", "--config", settings, "pypi:three==1.0").line
    assert ("reproduced", 2) == (line["verdict"], line["attempts"]), line
    assert "clock" in {each["name"] for each in line["replayed"]}
    assert {"before-build"} == {each["when"] for each in line["replayed"]}


SWITCHED_OFF = f"the environment variable {SWITCH} says so"
NOT_TRIED = f"{CLOCK_NOT_TRIED}{SWITCHED_OFF}."


def test_without_a_guest_what_was_reached_stands(
    registry: Registry, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no guest runs, the verdict is what was reached without a clock, with a remark in report and page."""
    monkeypatch.setenv(SWITCH, "none")
    settings = installation.root / "settings.toml"
    settings.write_text("clock = 'kernel'\n")
    sdist = make_sdist("three", "1.0", tool="[tool.minibackend]\nnow = true\n")
    registry.publish(sdist, build(sdist))
    answer = installation.run("verify", "--json", "--config", settings, "pypi:three==1.0")
    line = answer.line
    assert (0, "reproduced", 1, [NOT_TRIED]) == (answer.code, line["verdict"], line["attempts"], line["remarks"])
    assert ["zip-times"] == [each["name"] for each in line["replayed"] if each["when"] == "finished-archive"]
    assert NOT_TRIED in Path(line["report"]).read_text()
    report = Path(line["report"]).with_name("report.json").read_text()
    assert NOT_TRIED in report


def test_a_sandbox_that_this_machine_has_not(
    registry: Registry, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants every build in a guest is told at once that there is none, before anything is fetched."""
    monkeypatch.setenv(SWITCH, "none")
    registry.publish(make_sdist("three", "1.0"))
    answer = installation.run("verify", "--json", "--sandbox", "uml", "pypi:three==1.0")
    assert (4, []) == (answer.code, answer.lines)
    assert str(NoGuestError(SWITCHED_OFF)) in " ".join(answer.words.split())


def test_other_compression_is_written_or_equivalent(
    registry: Registry, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of zlib are found and used; what another program compressed stays equivalent, by name."""
    sdist = make_sdist("three", "1.0")
    registry.publish(sdist, deflated(build(sdist)))
    line = installation.verify("pypi:three==1.0").line
    assert "reproduced" == line["verdict"], line
    assert ["zip-compression"] == [each["name"] for each in line["replayed"] if each["when"] == "finished-archive"]
    monkeypatch.setattr(zipfile, "_get_compressor", lambda *_: zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_FIXED))
    other = make_sdist("threes", "1.0")
    registry.publish(other, deflated(build(other)))
    answer = installation.verify("pypi:threes==1.0")
    line = answer.line
    assert (answer.code, line["verdict"], line["normalisations"]) == (0, "equivalent", ["zip-compression"]), (
        answer.words
    )


COPIES = """
import base64, pathlib, shutil
NAME = "copied-1.0-py3-none-any.whl"
def build_wheel(directory, config_settings=None, metadata_directory=None):
    data = pathlib.Path("tests/data.txt").read_bytes()
    pathlib.Path(directory, NAME).write_bytes(base64.b64decode(data))
    return NAME
"""


def test_a_wheel_that_its_source_holds(registry: Registry, installation: Installation) -> None:
    """A build that copies the published file gives the same bytes; the page and the line say where it is from."""
    wheel = make_wheel("copied", "1.0", {"copied/__init__.py": "what = 'in no source file'\n"})
    project = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    files: dict[str, str | bytes] = {
        "pyproject.toml": project,
        "own.py": COPIES,
        "tests/data.txt": base64.encodebytes(wheel.data),
    }
    registry.publish(make_sdist("copied", "1.0", files), wheel)
    line = installation.verify("pypi:copied==1.0").line
    assert line["verdict"] == "reproduced"
    [alarm] = line["alarms"]
    assert alarm["kind"] == "copy-in-source"
    assert "copied-1.0/tests/data.txt in copied-1.0.tar.gz (as base64)" in alarm["sentence"]
    assert "among the inputs of its build" in Path(line["report"]).read_text()
    assert ["copy-in-source"] == [each["kind"] for each in installation.verify("pypi:copied==1.0").line["alarms"]]


def test_a_build_that_hurts_its_sandbox_gets_a_verdict(registry: Registry, installation: Installation) -> None:
    """Whatever it tries, the answer is about the build, and is published."""
    attack = "import os\ndef build_wheel(*arguments):\n os.kill(2, 9)\n os.kill(-1, 9)\n"
    project = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    registry.publish(
        make_sdist("hurts", "1.0", {"pyproject.toml": project, "own.py": attack}), make_wheel("hurts", "1.0")
    )
    line = installation.verify("pypi:hurts==1.0").line
    assert line["verdict"] == "build-failed"
    assert Path(line["report"]).is_file()


def test_what_stands_only_in_the_published_file_is_said_as_it_is(
    registry: Registry, installation: Installation
) -> None:
    """A signature is no missing source, and of a file that may have lain about nothing is shown."""
    cases = {
        "RECORD.jws": ("added-signature", "shown"),
        "old.pyc": ("stale-files", "likely"),
        "old.py": ("extra-source-files", "likely"),
    }
    files: dict[str, str | bytes] = {"four/__init__.py": "value = 1\n"}
    for number, (name, expected) in enumerate(cases.items()):
        sdist = make_sdist("four", f"{number}.0", files)
        place = f"four-{number}.0.dist-info/{name}" if name.startswith("RECORD") else f"four/{name}"
        registry.publish(sdist, make_wheel("four", f"{number}.0", files | {place: "x"}))
        line = installation.verify(f"pypi:four=={number}.0").line
        report = json.loads((Path(line["report"]).parent / "report.json").read_text())
        found = [(each["cause"], each["certainty"]) for each in report["diagnosis"]["findings"]]
        assert expected in found, (name, report["diagnosis"])
        assert report["decision"]["rebuilds"].endswith("byte for byte the same.")


def test_other_content_differs_and_is_stable(registry: Registry, installation: Installation) -> None:
    """A wheel that does not follow from its source differs: told with members, diffoscope and a signature."""
    sdist = make_sdist("four", "1.0")
    honest = build(sdist, epoch=EPOCH)
    planted = make_wheel("four", "1.0", {"four/__init__.py": "import evil\n"})
    registry.publish(sdist, Distribution("four", honest.filename, planted.data))
    answer = installation.verify("pypi:four==1.0")
    line = answer.line
    assert (answer.code, line["verdict"], line["kind"]) == (1, "differs", "stable"), answer.words
    page = Path(line["report"])
    assert "four/__init__.py" in page.read_text()
    assert "import evil" in (page.parent / "diffoscope.txt").read_text()
    assert (page.parent / "verdict.dsse.json").is_file()


def test_random_content_is_unstable(registry: Registry, installation: Installation) -> None:
    """A build that gives other bytes each time is told apart from one that merely gives others."""
    sdist = make_sdist("five", "1.0", tool="[tool.minibackend]\nrandom = true\n")
    registry.publish(sdist, build(sdist, epoch=EPOCH))
    answer = installation.verify("pypi:five==1.0")
    line = answer.line
    assert (answer.code, line["verdict"], line["kind"]) == (1, "differs", "unstable"), answer.words


def test_failing_build_is_not_a_difference(registry: Registry, installation: Installation) -> None:
    """A build that fails says nothing about the published bytes; the log is published."""
    sdist = make_sdist("six", "1.0", tool='[tool.minibackend]\nfail = "no luck today"\n')
    registry.publish(sdist, make_wheel("six", "1.0"))
    answer = installation.verify("pypi:six==1.0")
    line = answer.line
    assert (answer.code, line["verdict"]) == (3, "build-failed"), answer.words
    logs = [log.read_text() for log in Path(line["report"]).parent.glob("log-*.txt")]
    assert any("no luck today" in log for log in logs)


def test_missing_source(registry: Registry, installation: Installation) -> None:
    """What has no source gets exit code 3; the members of a wheel for one platform are listed all the same."""
    registry.publish(make_wheel("seven", "1.0"), make_wheel("eight", "1.0", tag="cp311-cp311-linux_x86_64"))
    answer = installation.verify("pypi:seven==1.0", "pypi:eight==1.0")
    assert answer.code == 3, answer.words
    assert ["inputs-missing", "inputs-missing"] == [line["verdict"] for line in answer.lines]
    assert [None, {"listed": 4}] == [(line["accounting"] or {}).get("counts") for line in answer.lines]


PLATFORM = "cp311-cp311-linux_x86_64"
COMPILED: dict[str, str | bytes] = {
    "woad/__init__.py": "from woad._dye import blue\n",
    "woad/_dye.cpython-311-x86_64-linux-gnu.so": b"\x7fELF\0",
}


@pytest.mark.parametrize(
    ("put_in", "verdict", "code"),
    [
        ({}, "accounted", 3),
        ({"woad.pth": "import woad\n"}, "differs", 1),
        ({"woad/evil.py": "print(1)\n"}, "differs", 1),
    ],
)
def test_wheel_for_one_platform(
    registry: Registry, installation: Installation, put_in: dict[str, str], verdict: str, code: int
) -> None:
    """Each member is accounted for; what starts by itself and is not in the source is an alarm, and exit code 1."""
    source = {
        "woad/__init__.py": COMPILED["woad/__init__.py"],
        "woad/_dye.c": "int blue;\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: woad\nVersion: 1.0\n",
    }
    registry.publish(make_sdist("woad", "1.0", source), make_wheel("woad", "1.0", COMPILED | put_in, tag=PLATFORM))
    answer = installation.verify("pypi:woad==1.0")
    assert (code, verdict) == (answer.code, answer.line["verdict"]), answer.words
    assert list(put_in) == [each["path"] for each in answer.line["accounting"]["unaccounted"]]
    assert ["unaccounted"] * len(put_in) == [each["kind"] for each in answer.line["alarms"]]
    page = Path(answer.line["report"])
    assert all(path in page.read_text() for path in (*COMPILED, *put_in))
    statement = json.loads(base64.b64decode(json.loads((page.parent / "verdict.dsse.json").read_text())["payload"]))
    said = statement["predicate"]
    if put_in:
        assert ("FAILED", ["FAILED"]) == (said["verificationResult"], said["verifiedLevels"])
    else:
        assert "tag:rebuilder,2026:verdict/v2" == statement["predicateType"]
        assert ("REBUILDER_ACCOUNTED", 1) == (said["accounting"]["level"], said["accounting"]["counts"]["not-compiled"])
    assert "tag:rebuilder,2026:accounting-policy/v1" == said["policy"]["uri"]


def test_missing_build_dependency(registry: Registry, installation: Installation) -> None:
    """A build requirement that nobody publishes is a missing input."""
    sdist = make_sdist("nine", "1.0", requires=["nowhere-to-be-found==3"])
    registry.publish(sdist, make_wheel("nine", "1.0"))
    answer = installation.verify("pypi:nine==1.0")
    assert (answer.code, answer.line["verdict"]) == (3, "inputs-missing"), answer.words
    assert "nowhere-to-be-found" in answer.line["sentence"]


def test_changed_digest_is_an_alarm_that_stays(registry: Registry, installation: Installation) -> None:
    """New bytes under a known name: both are kept, and the alarm is still there on the next run."""
    sdist = make_sdist("ten", "1.0")
    first = build(sdist, epoch=EPOCH)
    registry.publish(sdist, first)
    assert installation.verify("pypi:ten==1.0").line["alarms"] == []
    second = build(sdist, epoch=EPOCH + 60)
    with Registry() as changed:
        changed.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        changed.publish(sdist, second)
        again = Installation(installation.root, changed.url)
        for _ in range(2):
            line = again.verify("pypi:ten==1.0").line
            assert ["digest-changed"] == [alarm["kind"] for alarm in line["alarms"]]
            assert first.sha256 in line["alarms"][0]["sentence"]
            assert second.sha256 == line["subject"]["sha256"]
    assert first.sha256 in (installation.site / "alarms.html").read_text()


def test_file_on_disk(registry: Registry, installation: Installation, tmp_path: Path) -> None:
    """A file on disk is matched with what is published; unknown bytes are an alarm, and nothing is built."""
    sdist = make_sdist("eleven", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    registry.publish(sdist, wheel)
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.data)
    good = installation.verify(path)
    assert (good.code, good.line["verdict"]) == (0, "reproduced"), good.words
    path.write_bytes(wheel.data + b"more")
    bad = installation.verify(path)
    assert (bad.code, bad.line["verdict"]) == (1, None), bad.words
    assert bad.line["alarms"][0]["kind"] == "unknown-digest"


def test_a_lock_file(registry: Registry, installation: Installation, tmp_path: Path) -> None:
    """What it pins is verified; a digest that the index does not list is a difference, and stops nothing else."""
    sdist = make_sdist("thirteen", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    registry.publish(sdist, wheel)
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"thirteen==1.0 --hash=sha256:{wheel.sha256} --hash=sha256:{sdist.sha256}\n")
    good = installation.verify("-r", lock)
    assert (good.code, good.line["verdict"]) == (0, "reproduced"), good.words
    lock.write_text(f"thirteen==1.0 --hash=sha256:{'ab' * 32}\n")
    bad = installation.verify("-r", lock)
    assert (bad.code, bad.line["verdict"]) == (1, None), bad.words
    assert "no file of thirteen==1.0" in bad.line["problem"]
    assert installation.verify().code == 2


def test_yanked_release_is_verified_all_the_same(registry: Registry, installation: Installation) -> None:
    """Yanked files were installed by somebody: they are verified, and the page says that they are yanked."""
    sdist = make_sdist("twelve", "1.0")
    registry.add(sdist, uploaded=UPLOADED, yanked="leaks secrets")
    registry.add(build(sdist, epoch=EPOCH), uploaded=UPLOADED, yanked="leaks secrets")
    answer = installation.verify("pypi:twelve==1.0")
    assert answer.line["verdict"] == "reproduced", answer.words
    assert "leaks secrets" in Path(answer.line["report"]).read_text()


def test_wrong_use_is_one_sentence(installation: Installation) -> None:
    """Nonsense gets one sentence and exit code 2, before anything is made."""
    for nonsense in ("idna==3.10", "pypi:", "pypi:a==b==c", "cargo:serde==1", "pkg:pypi", "./none-1-py3-none-any.whl"):
        answer = installation.run("verify", nonsense)
        assert answer.code == 2, (nonsense, answer.words)
        assert "Traceback" not in answer.words
        assert len(answer.words.strip().splitlines()) <= 2, answer.words
    assert installation.run("verify", "pypi:unknown-project==1").code == 2


def test_index_down_is_our_trouble(installation: Installation) -> None:
    """An index that does not answer is exit code 4, told in a sentence, and no verdict is stored."""
    down = Installation(installation.root, "http://127.0.0.1:9/simple")
    answer = down.verify("pypi:one==1.0")
    assert (answer.code, answer.line["verdict"]) == (4, "infra-error"), answer.words
    assert "Traceback" not in answer.words


def test_publish_writes_the_same_site_again(registry: Registry, installation: Installation) -> None:
    """The site can always be made again from the store, byte for byte."""
    sdist = make_sdist("thirteen", "1.0")
    registry.publish(sdist, build(sdist, epoch=EPOCH))
    installation.verify("pypi:thirteen==1.0")
    before = {path.relative_to(installation.site): path.read_bytes() for path in files(installation.site)}
    elsewhere = installation.root / "elsewhere"
    assert installation.run("publish", "--site", elsewhere).code == 0
    after = {path.relative_to(elsewhere): path.read_bytes() for path in files(elsewhere)}
    assert before.keys() == after.keys()
    assert before == {name: after[name] for name in before}


def test_reports_outlive_their_key(registry: Registry, installation: Installation) -> None:
    """A site written with another key in use still has the key that signed the older reports."""
    sdist = make_sdist("sixteen", "1.0")
    registry.publish(sdist, build(sdist, epoch=EPOCH))
    installation.verify("pypi:sixteen==1.0")
    [old] = (installation.site / "keys").iterdir()
    elsewhere = installation.root / "elsewhere"
    keys = installation.root / "new-keys"
    refused = installation.run("publish", "--site", elsewhere, "--keys", keys)
    assert (4, True) == (refused.code, "a key that is not ours" in refused.words)
    (keys / "old.public.pem").write_bytes(old.read_bytes())
    assert installation.run("publish", "--site", elsewhere, "--keys", keys).code == 0
    assert old.name in {each.name for each in (elsewhere / "keys").iterdir()}
    assert old.read_bytes() == (elsewhere / "keys" / old.name).read_bytes()


def files(root: Path) -> list[Path]:
    """All files below a directory."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_report_json_reads_back(registry: Registry, installation: Installation) -> None:
    """The JSON beside a page is the whole report."""
    sdist = make_sdist("fourteen", "1.0", time=SOME_TIME)
    registry.publish(sdist, build(sdist, epoch=EPOCH))
    line = installation.verify("pypi:fourteen==1.0").line
    document = json.loads((Path(line["report"]).parent / "report.json").read_text())
    assert document["decision"]["verdict"] == "reproduced"
