"""Writing the site: whole files only, nothing twice, everything beside the page that it names."""

from __future__ import annotations

import json
import os
import resource as limits
import shutil
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rebuilder.environments.record import Record
from rebuilder.errors import StoreError
from rebuilder.model.attempt import Output
from rebuilder.model.decision import Decision
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.environment import Base, Made, Manifest, Specification
from rebuilder.model.report import Report, summarise
from rebuilder.model.value import Sha256, canonical_json
from rebuilder.model.verdict import Verdict
from rebuilder.resources import resource
from rebuilder.site.documents import SCHEMAS, Index, Projects, schema
from rebuilder.site.publisher import Site
from rebuilder.site.writing import Writer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import KEY_ID, write_site


@pytest.fixture
def blobs() -> MemoryBlobs:
    """An empty store."""
    return MemoryBlobs()


def a_site(root: Path, blobs: MemoryBlobs, **options: Any) -> Site:
    """A site of its own."""
    return Site(root, blobs, public_key=b"key\n", key_id=KEY_ID, verifier="rebuilder.example.org", **options)


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_everything_is_beside_the_page(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """JSON that reads back, definitions and logs by their digests, envelopes byte for byte."""
    report = reports.differs(blobs)
    signed = reports.signed(report)
    page = a_site(tmp_path, blobs).write_artifact(signed, [], [])
    here = page.parent
    assert report == Report.model_validate_json((here / "report.json").read_bytes())
    assert signed.vsa.encode() == (here / "verdict.dsse.json").read_bytes()
    assert (signed.provenance or "").encode() == (here / "provenance.dsse.json").read_bytes()
    for number, attempt in enumerate(report.attempts, 1):
        definition = (here / f"definition-{number}.json").read_bytes()
        assert attempt.hypothesis.definition.digest == sha256(definition).hexdigest()
        assert attempt.hypothesis.definition == BuildDefinition.from_slsa(json.loads(definition))
        assert attempt.run.log_sha256 == sha256((here / f"log-{number}.txt").read_bytes()).hexdigest()
    assert b"times" == (here / f"input-{sha256(b'times').hexdigest()[:16]}.txt").read_bytes()
    assert (here / "diffoscope.html").read_bytes().count(b"Content-Security-Policy") == 1
    assert (here / "diffoscope.json").is_file()
    assert (here / "diffoscope.txt").is_file()


def test_equal_input_writes_nothing_again(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """The same bytes, and files that were not touched."""
    write_site(tmp_path, blobs)
    before = snapshot(tmp_path)
    write_site(tmp_path, MemoryBlobs())
    assert before == snapshot(tmp_path)


def test_a_lost_page_comes_back(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """All of the site can be written again from what is stored."""
    write_site(tmp_path, blobs)
    before = snapshot(tmp_path)
    shutil.rmtree(tmp_path / "projects")
    (tmp_path / "verdicts" / "differs.html").unlink()
    write_site(tmp_path, blobs)
    assert before.keys() == snapshot(tmp_path).keys()


def test_lists_follow_what_changes(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """A page is made again when a row of it changed, and goes when nothing is left for it."""
    site = a_site(tmp_path, blobs)
    first = summarise(reports.reproduced(blobs))
    site.write_index([first], [], reports.NOW)
    worse = first.replace(verdict=Verdict.DIFFERS, finished=first.finished + timedelta(days=1))
    site.write_index([first, worse], [], reports.NOW)
    assert ["differs.html", "index.html"] == names(tmp_path / "verdicts")
    assert ["differs.json", "index.json"] == names(tmp_path / "v1" / "verdicts")
    assert "1 differ" in (tmp_path / "projects" / "s.html").read_text()
    site.write_index([], [], reports.NOW)
    assert {"index.html"} == {*names(tmp_path / "verdicts"), *names(tmp_path / "projects")}
    assert ["index.json"] == names(tmp_path / "v1" / "verdicts")


def test_index_json_is_what_its_schema_says(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """The front page as data; counts add up; each entry leads to its page."""
    write_site(tmp_path, blobs)
    index = Index.model_validate_json((tmp_path / "v1/index.json").read_bytes())
    assert index.files_total == sum(index.counts.values()) == 20
    assert 4 == index.counts["untested"]
    found = [
        entry for name in index.projects for entry in Projects.model_validate_json((tmp_path / name).read_bytes()).files
    ]
    assert sorted(map(str, index.latest)) == sorted(map(str, found))
    assert found
    for entry in found:
        assert (tmp_path / entry.page / "index.html").is_file()


def test_schemas_are_current() -> None:
    """What is shipped is what the values say; `python -m rebuilder.site.documents` writes them again."""
    shipped = {path.name: path.read_bytes() for path in (resource("reports") / "schemas").iterdir()}
    assert {name: schema(name) for name in SCHEMAS} == shipped


def test_fewer_attempts_leave_no_old_logs(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """When a later verification replaces a page, what only the earlier one had goes."""
    site = a_site(tmp_path, blobs)
    report = reports.differs(blobs)
    here = site.write_artifact(reports.signed(report), [], []).parent
    shorter = report.replace(attempts=report.attempts[:1])
    site.write_artifact(reports.signed(shorter), [], [])
    assert not (here / "log-2.txt").exists()
    assert (here / "log-1.txt").exists()


def test_what_a_build_wrote_about_itself_lies_beside_the_page(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """A ``.buildinfo`` of a build and one that was given; where a build leaves several, none is shown as that of it."""
    report = reports.reproduced(blobs)
    own = Output(filename="x.buildinfo", sha256=blobs.put(b"Format: 1.0\n"), size=12)
    attempt = report.attempts[0]
    evidence = report.evidence.replace(buildinfo_sha256=blobs.put(b"Format: given\n"))
    for outputs, there in (((own,), True), ((own, own.replace(filename="y.buildinfo")), False)):
        run = attempt.run.replace(outputs=(*attempt.run.outputs, *outputs))
        told = report.replace(attempts=(attempt.replace(run=run),), evidence=evidence)
        page = a_site(tmp_path / str(there), blobs).write_artifact(reports.signed(told), [], [])
        assert there == (page.parent / "buildinfo-1.txt").exists()
        assert there == ('href="buildinfo-1.txt"' in page.read_text())
        assert b"Format: given\n" == (page.parent / "buildinfo-given.txt").read_bytes()


def test_a_lost_log_is_said_to_be_lost(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """A damaged store keeps no verdict from being published, and hides nothing."""
    report = reports.build_failed(blobs)
    blobs.content[report.attempts[0].run.log_sha256] = b"something else"
    page = a_site(tmp_path, blobs).write_artifact(reports.signed(report), [], [])
    assert not (page.parent / "log-1.txt").exists()
    assert "is lost" in page.read_text()
    assert 'href="log-1.txt"' not in page.read_text()


def test_our_own_faults_are_no_verdicts(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """They are refused, not written."""
    fault = Decision(verdict=Verdict.INFRA_ERROR, sentence="The disk was full.")
    report = reports.report(reports.artifact(), decision=fault)
    with pytest.raises(ValueError, match="never published"):
        a_site(tmp_path, blobs).write_artifact(reports.signed(report), [], [])


def test_a_key_id_cannot_lead_elsewhere(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """It becomes a file name."""
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Site(tmp_path, blobs, public_key=b"", key_id="../../x", verifier="x")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """One sentence with the path and the reason."""
    (tmp_path / "site").write_text("a file where a directory should be")
    with pytest.raises(StoreError, match=r"The site .*site.* cannot be written: (Not a directory|File exists)"):
        a_site(tmp_path / "site", blobs).write_artifact(reports.signed(reports.reproduced(blobs)), [], [])


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from rebuilder.errors import StoreError
from rebuilder.site.writing import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Writer(Path(sys.argv[1])).write("page/index.html", b"x" * 100_000)
except StoreError as error:
    print(error)
"""


def test_no_room_leaves_the_page_before_whole(tmp_path: Path) -> None:
    """A write that ends in the middle changes nothing that a reader sees, and leaves nothing behind."""
    Writer(tmp_path).write("page/index.html", b"the page before")
    said = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert limits.RLIM_INFINITY == limits.getrlimit(limits.RLIMIT_FSIZE)[0]
    assert "cannot be written: File too large" in said.stdout
    assert b"the page before" == (tmp_path / "page" / "index.html").read_bytes()
    assert [] == names(tmp_path / ".partial")


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """After a day; a file that another process is still writing stays."""
    partial = tmp_path / ".partial"
    partial.mkdir()
    for name, age in (("old", timedelta(days=2)), ("new", timedelta(minutes=1))):
        (partial / name).write_text("half")
        written = (reports.NOW - age).timestamp()
        os.utime(partial / name, (written, written))
    Writer(tmp_path).sweep(reports.NOW)
    assert ["new"] == names(partial)


def test_files_can_be_read_by_a_web_server(tmp_path: Path) -> None:
    """Modes follow the umask, as for any file a program writes."""
    Writer(tmp_path).write("a/b", b"x")
    umask = os.umask(0)
    os.umask(umask)
    assert 0o666 & ~umask == (tmp_path / "a" / "b").stat().st_mode & 0o777


def test_the_commands_on_the_page_check_the_signature(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """They are run as they stand there, with openssl and nothing of ours; one changed byte fails."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is missing: apt-get install openssl")
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    site = Site(tmp_path, blobs, public_key=pem, key_id=KEY_ID, verifier="x")
    report = reports.reproduced(blobs)
    signed = reports.signed(report, key_id=KEY_ID, sign=lambda payload: key.sign(payload, ec.ECDSA(hashes.SHA256())))
    page = site.write_artifact(signed, [], [])
    site.write_index([summarise(report)], [], reports.NOW)
    commands = _commands(page, "Commands that check the signature")
    assert "Verified OK" in _shell(commands, page.parent)
    assert report.artifact.sha256 in (page.parent / "verdict.json").read_text()
    envelope = page.parent / "verdict.dsse.json"
    envelope.write_bytes(envelope.read_bytes().replace(b'"payload":"eyJf', b'"payload":"eyJg'))
    assert "Verified OK" not in _shell(commands, page.parent)


def test_the_command_on_the_page_checks_a_copy(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """``sha256sum`` finds the reader's own file."""
    content = b"the published bytes"
    report = reports.report(reports.artifact(sha256=sha256(content).hexdigest()))
    page = a_site(tmp_path, blobs).write_artifact(reports.signed(report), [], [])
    (page.parent / report.artifact.filename).write_bytes(content)
    assert f"{report.artifact.filename}: OK" in _shell(_commands(page, "Command that checks your copy"), page.parent)
    assert "rebuilder verify 'pypi:spindle==3.1.6'" == _commands(page, "Command that builds it again")


def test_what_a_stranger_needs_to_build_it_again(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """The command with the site's own address; what the environments were made from, once."""
    report = reports.differs(blobs)
    asked: list[str] = []

    manifest, base = Manifest(name="trixie", suite="trixie", packages=()), Sha256("be" * 32)
    below = Specification(method="configured", suite="trixie", recipe=1)
    under = Made(packages=(), base=Base(sha256=base, specification=below))

    def environment(tree: Sha256) -> bytes:
        asked.append(tree)
        made = under if tree != base else Made(packages=())
        return canonical_json(Record(sha256=tree, spec=manifest, made=made, made_at=reports.NOW).document())

    site = a_site(tmp_path, blobs, address="https://r.example.org/", environment=environment)
    page = site.write_artifact(reports.signed(report), [], [])
    path = page.parent.relative_to(tmp_path)
    assert f"rebuilder replay 'https://r.example.org/{path}/report.json'" == _commands(
        page, "Command that builds it again"
    )
    trees = {each.hypothesis.definition.toolchain.sha256 for each in report.attempts} | {base}
    assert trees == set(asked)
    assert {f"{each}.json" for each in trees} == {*names(tmp_path / "environments")}
    site.write_artifact(reports.signed(report), [], [])
    assert len(trees) == len(asked)
    unsupported = reports.signed(reports.unsupported(blobs))
    page = site.write_artifact(unsupported, [], [])
    assert "rebuilder verify 'pypi:" in _commands(page, "Command that builds it again")


def test_names_that_should_not_be_pasted_give_no_command(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """A command holds what a reader sees, or is not shown."""
    page = a_site(tmp_path, blobs).write_artifact(reports.signed(reports.hostile(blobs)), [], [])
    text = page.read_text()
    assert "rebuilder replay 'report.json'" == _commands(page, "Command that builds it again")
    assert "Command that checks your copy" not in text
    assert "should not be pasted into a shell" in text


def test_quotes_in_a_name_stay_inside_the_argument(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """A shell reads one argument."""
    report = reports.report(reports.artifact("it's; touch x"))
    page = a_site(tmp_path, blobs).write_artifact(reports.signed(report), [], [])
    command = _commands(page, "Command that builds it again").replace("rebuilder verify", "printf %s")
    assert "pypi:it's; touch x==3.1.6" == _shell(command, tmp_path)


def test_templates_are_compiled_once_for_all_sites(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """The second site finds what the first one compiled, in a directory of this user alone."""
    cache = tmp_path / "cache"
    report = reports.reproduced(blobs)
    compiled = []
    for number in range(2):
        a_site(tmp_path / str(number), blobs, cache=cache).write_artifact(reports.signed(report), [], [])
        compiled.append({each.name: each.stat().st_mtime_ns for each in cache.rglob("*") if each.is_file()})
    assert compiled[0]
    assert compiled[1] == compiled[0]
    assert 0o700 == cache.stat().st_mode & 0o777


def test_code_is_not_loaded_from_a_directory_others_can_write_to(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """Compiled templates are code: such a cache is not used."""
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    a_site(tmp_path / "site", blobs, cache=cache).write_index([], [], reports.NOW)
    assert [] == names(cache)


def _commands(page: Path, label: str) -> str:
    html = page.read_text()
    start = html.index(f'aria-label="{label}"><code>') + len(f'aria-label="{label}"><code>')
    return unescape(html[start : html.index("</code>", start)])


def _shell(command: str, directory: Path) -> str:
    ran = subprocess.run(["/bin/sh", "-c", command], cwd=directory, capture_output=True, text=True, check=False)
    return ran.stdout
