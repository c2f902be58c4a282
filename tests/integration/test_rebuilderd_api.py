"""What rebuilderd's clients get: names and types of every field, filters, pages, and what is never told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rebuilder.consumer.answer import Level as VoteLevel
from rebuilder.errors import StoreError
from rebuilder.interop.rebuilderd.link import link_key_id, read_link, read_public_pem
from rebuilder.model.comparison import Level
from rebuilder.model.report import Report
from rebuilder.model.value import sha256_hex
from rebuilder.model.work import Reason
from rebuilder.signing.keys import raw_public
from tests.fakes import reports
from tests.fakes.api_context import order
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.packages import LINK_KEY, Packages, add, debian_package, serving_packages
from tests.fakes.verifications import signed

DEB = sha256_hex(b"a package")
OTHER = sha256_hex(b"another package")
BINARY = {
    "id": int,
    "name": str,
    "version": str,
    "distribution": str,
    "release": type(None),
    "component": type(None),
    "architecture": str,
    "url": str,
    "status": str,
    "build_id": int,
    "artifact_id": int,
    "diffoscope_log_id": type(None),
    "attestation_log_id": int,
    "last_seen": str,
    "seen_in_last_sync": bool,
}


def everything(blobs: MemoryBlobs) -> Sequence[Report]:
    """Two Debian packages, and a wheel for each verdict."""
    assert blobs.put(b"a package") == DEB
    return (
        debian_package(blobs, "curl 8.14.1-2 amd64", DEB),
        debian_package(blobs, "zlib1g 1:1.3.1-1 arm64", OTHER, Level.DIFFERENT),
        *(make(blobs) for make in reports.EVERY.values()),
        reports.hostile(blobs),
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    """What most tests only read."""
    with serving_packages(tmp_path_factory.mktemp("packages"), everything) as found:
        yield found


def search(packages: Packages, **asked: object) -> list[dict[str, object]]:
    """The records of a search for files."""
    answer = packages.http.get("/api/v1/packages/binary", params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"total", "records"}
    return list(found["records"])


def test_a_file_has_the_fields_clients_read(packages: Packages) -> None:
    """Every name and every type; times say no zone."""
    (found,) = search(packages, name="curl", version="8.14.1-2", architecture="amd64")
    assert {name: type(value) for name, value in found.items()} == BINARY
    assert (found["status"], found["distribution"], found["architecture"]) == ("GOOD", "debian", "amd64")
    assert found["last_seen"] == "2026-11-20T14:03:12"
    assert packages.http.get(f"/api/v1/packages/binary/{found['id']}").json() == found


def test_statuses_are_those_of_the_verdicts(packages: Packages) -> None:
    """Only the same bytes are good, only other content is bad, and only what is good has an attestation."""
    names = {"spindle": "GOOD", "lantern": "UNKWN", "almanac": "BAD", "gearbox": "UNKWN", "whale": "UNKWN"}
    found = {each["name"]: each for each in search(packages, distribution="pypi")}
    assert {name: found[name]["status"] for name in names} == names
    assert [name for name, each in found.items() if each["artifact_id"] is not None] == ["spindle"]
    builds = packages.http.get("/api/v1/builds", params={"distribution": "pypi"}).json()["records"]
    statuses = {each["name"]: each["status"] for each in builds}
    assert {name: statuses[name] for name in names} == names | {"gearbox": "FAIL", "whale": "FAIL"}


def test_what_is_listed_with_an_attestation_has_one(packages: Packages) -> None:
    """It is signed by the published key, in the form that only these clients read; nothing else has one."""
    keys = packages.http.get("/api/v1/meta/public-keys/").json()
    (pem,) = keys["current"]
    public = read_public_pem(pem)
    assert public == raw_public(LINK_KEY.public_pem)
    with_links = [each for each in search(packages) if each["artifact_id"] is not None]
    assert {each["name"] for each in with_links} == {"curl", "spindle"}
    for each in with_links:
        path = f"/api/v1/builds/{each['build_id']}/artifacts/{each['artifact_id']}/attestation"
        answer = packages.http.get(path)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        (product,) = answer.json()["signed"]["products"].values()
        vote = read_link(answer.content, {link_key_id(public): public}, sha256=product["sha256"])
        assert vote.level is VoteLevel.METADATA_WRITTEN
    (curl,) = (each for each in with_links if each["name"] == "curl")
    signed = packages.http.get(f"/api/v1/builds/{curl['build_id']}/artifacts/{curl['build_id']}/attestation").json()
    digests = {"sha256": DEB, "sha512": hashlib.sha512(b"a package").hexdigest()}
    assert signed["signed"]["products"] == {"curl_8.14.1-2_amd64.deb": digests}


def test_what_is_not_reproduced_has_no_attestation(packages: Packages) -> None:
    """Whatever number somebody asks for."""
    (bad,) = search(packages, name="almanac")
    assert (bad["status"], bad["artifact_id"], bad["attestation_log_id"]) == ("BAD", None, None)
    artifacts = f"/api/v1/builds/{bad['build_id']}/artifacts"
    (artifact,) = packages.http.get(artifacts).json()
    assert artifact == {
        "id": bad["build_id"],
        "name": "almanac-2.0-py3-none-any.whl",
        "has_diffoscope": True,
        "has_attestation": False,
        "status": "BAD",
    }
    assert packages.http.get(f"{artifacts}/{artifact['id']}").json() == artifact
    assert packages.http.get(f"{artifacts}/{artifact['id']}/attestation").status_code == 404
    assert packages.http.get(f"{artifacts}/9999/attestation").status_code == 404
    assert packages.http.get("/api/v1/builds/9999/artifacts/9999/attestation").status_code == 404


def test_a_log_and_a_difference_are_text(packages: Packages) -> None:
    """At the old address and at the new one."""
    (bad,) = search(packages, name="almanac")
    number = bad["build_id"]
    for path in (f"/api/v0/builds/{number}/log", f"/api/v1/builds/{number}/log/"):
        answer = packages.http.get(path)
        assert (answer.text, answer.headers["content-type"]) == (
            "flit_core: built the wheel\n",
            "text/plain; charset=utf-8",
        )
    for path in (f"/api/v0/builds/{number}/diffoscope", f"/api/v1/builds/{number}/artifacts/{number}/diffoscope"):
        assert packages.http.get(path).text.startswith("--- published\n+++ rebuilt\n")
    (good,) = search(packages, name="curl")
    assert packages.http.get(f"/api/v0/builds/{good['build_id']}/diffoscope").status_code == 404


def test_a_build_has_the_fields_clients_read(packages: Packages) -> None:
    """Names as they are read; a source package is what one file was built from."""
    (bad,) = search(packages, name="zlib1g")
    build = packages.http.get(f"/api/v1/builds/{bad['build_id']}").json()
    assert build == {
        "id": bad["build_id"],
        "name": "zlib1g",
        "version": "1:1.3.1-1",
        "distribution": "debian",
        "release": None,
        "architecture": "arm64",
        "backend": "debian",
        "retries": 0,
        "started_at": "2026-11-20T14:03:06",
        "built_at": "2026-11-20T14:03:12",
        "status": "BAD",
    }
    source = packages.http.get(f"/api/v1/packages/source/{bad['id']}").json()
    assert source == {
        "id": bad["id"],
        "name": "zlib1g",
        "version": "1:1.3.1-1",
        "distribution": "debian",
        "release": None,
        "status": "BAD",
        "build_id": bad["build_id"],
        "last_seen": "2026-11-20T14:03:12",
        "seen_in_last_sync": True,
    }
    listed = packages.http.get("/api/v1/packages/source", params={"name": "zlib1g"}).json()
    assert listed == {"total": 1, "records": [source]}


def test_the_old_list_is_a_file_of_the_site(packages: Packages) -> None:
    """Plain servers have it too; the service picks out of it."""
    listed = packages.http.get("/api/v0/pkgs/list").json()
    assert listed == json.loads((packages.site / "api/v0/pkgs/list").read_bytes())
    (bad,) = search(packages, name="zlib1g")
    (curl, zlib) = (each for each in listed if each["distro"] == "debian")
    assert zlib == {
        "name": "zlib1g",
        "version": "1:1.3.1-1",
        "status": "BAD",
        "distro": "debian",
        "suite": "",
        "architecture": "arm64",
        "artifact_url": "http://127.0.0.1/pool/zlib1g_1.3.1-1_arm64.deb",
        "build_id": bad["build_id"],
        "built_at": "2026-11-20T14:03:12",
        "has_diffoscope": False,
        "has_attestation": False,
    }
    assert curl["has_attestation"]

    def chosen(**asked: str) -> list[str]:
        return [each["name"] for each in packages.http.get("/api/v0/pkgs/list", params=asked).json()]

    assert chosen(distro="debian") == ["curl", "zlib1g"]
    assert chosen(distro="debian", status="BAD", colour="green") == ["zlib1g"]
    assert chosen(name='curl","version":"8.14.1-2') == []


def test_lists_come_in_parts(packages: Packages) -> None:
    """By number or by name, forwards or backwards, until nothing comes any more."""
    names = [str(each["name"]) for each in search(packages)]
    assert len(names) == 12
    for asked, expected in (
        ({}, names),
        ({"sort": "name"}, sorted(names)),
        ({"sort": "name", "direction": "Descending"}, sorted(names, reverse=True)),
    ):
        cursor = "before" if "direction" in asked else "after"
        found: list[str] = []
        place: dict[str, object] = {}
        while part := search(packages, limit=3, **asked, **place):
            found += [str(each["name"]) for each in part]
            place = {cursor: part[-1]["id"]}
        assert found == expected
    assert packages.http.get("/api/v1/packages/binary", params={"limit": "1"}).json()["total"] == 12
    only = packages.http.get("/api/v1/packages/binary", params={"architecture": "amd64", "limit": "1"}).json()
    assert (only["total"], len(only["records"])) == (1, 1)


def test_filters_that_nothing_passes_give_nothing(packages: Packages) -> None:
    """No distribution here has releases or components; a parameter nobody knows is passed over."""
    assert search(packages, release="trixie") == search(packages, component="main") == []
    assert search(packages, seen_only="false") == search(packages, distribution="arch") == []
    assert [each["name"] for each in search(packages, source_name="curl", colour="green")] == ["curl"]
    assert search(packages, source_name="curl", name="zlib1g") == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1000000", "sort=status", "direction=up", "after=x", "name=%00", "before=" + "9" * 30]
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(packages: Packages, query: str) -> None:
    """As everywhere."""
    answer = packages.http.get(f"/api/v1/packages/binary?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The request is not understood: query.")


def test_the_dashboard_counts_files_and_tasks(packages: Packages) -> None:
    """All of them, or those of one distribution or architecture."""
    packages.ledger.queue.add([order("gearbox", "1.0", reason=Reason.RELEASE)], reports.NOW)
    total = packages.http.get("/api/v1/dashboard").json()
    assert total == {
        "rebuilds": {"good": 2, "bad": 3, "fail": 2, "unknown": 5},
        "jobs": {"running": 0, "available": 1, "pending": 0},
    }
    some = packages.http.get("/api/v1/dashboard", params={"architecture": "amd64"}).json()
    assert some == {
        "rebuilds": {"good": 1, "bad": 0, "fail": 0, "unknown": 0},
        "jobs": {"running": 0, "available": 0, "pending": 0},
    }


def test_distributions_are_ecosystems(packages: Packages) -> None:
    """Without releases, and with what their files are told apart by."""

    def meta(path: str) -> object:
        return packages.http.get(f"/api/v1/meta/distributions{path}").json()

    assert meta("") == ["debian", "pypi"]
    assert meta("/debian/releases") == [None]
    assert meta("/arch/releases") == meta("/debian/releases/trixie/architectures") == []
    assert meta("/debian/architectures") == meta("/debian/releases/-/architectures") == ["amd64", "arm64"]
    assert "py3-none-any" in packages.http.get("/api/v1/meta/distributions/pypi/architectures").json()


def test_replaced_bytes_are_not_good_by_what_was_under_their_name(tmp_path: Path) -> None:
    """These clients look by name: the newest bytes count, and have no verdict yet."""
    with serving_packages(tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB)]) as packages:
        (before,) = search(packages)
        assert before["status"] == "GOOD"
        other = debian_package(MemoryBlobs(), "curl 8 amd64", OTHER)
        packages.ledger.pin(other.artifact, other.started)
        packages.signer.write_index()
        (after,) = search(packages)
        assert (after["status"], after["build_id"], after["artifact_id"]) == (None, None, None)
        (listed,) = packages.http.get("/api/v0/pkgs/list").json()
        assert (listed["status"], listed["build_id"]) == ("UNKWN", None)
        assert packages.http.get(f"/api/v1/packages/binary/{before['id']}").status_code == 404


def test_where_diffoscope_said_something_lists_say_so(tmp_path: Path) -> None:
    """Once it is published; it is to be had where they lead. Of what is reproduced there is nothing."""
    with serving_packages(tmp_path, lambda blobs: [reports.differs(blobs), reports.reproduced(blobs)]) as packages:

        def told() -> dict[str, tuple[bool, object]]:
            old = {each["name"]: each["has_diffoscope"] for each in packages.http.get("/api/v0/pkgs/list").json()}
            new = {each["name"]: each["diffoscope_log_id"] for name in old for each in search(packages, name=name)}
            return {name: (old[name], new[name]) for name in old}

        assert {"almanac": (False, None), "spindle": (False, None)} == told()
        packages.signer.finish_all()
        packages.signer.update_index()
        assert {"almanac": (True, 1), "spindle": (False, None)} == told()
        for path in ("/api/v0/builds/1/diffoscope", "/api/v1/builds/1/artifacts/1/diffoscope"):
            assert "+++ rebuilt" in packages.http.get(path).text
        one_by_one = (packages.site / "api/v0/pkgs/list").read_bytes()
        packages.signer.write_index()
        assert one_by_one == (packages.site / "api/v0/pkgs/list").read_bytes()


def test_a_list_that_is_brought_up_to_date_is_as_one_that_is_written_whole(tmp_path: Path) -> None:
    """A verdict more, another verdict on a file, a file that was seen only: each has its line, and one only."""
    with serving_packages(
        tmp_path, lambda blobs: [debian_package(blobs, f"curl 8 {each}", DEB) for each in ("amd64", "arm64")]
    ) as packages:
        signer, blobs, file = packages.signer, MemoryBlobs(), packages.site / "api/v0/pkgs/list"
        packages.ledger.pin(debian_package(blobs, "zlib1g 1 amd64", DEB).artifact, datetime.now(UTC))
        later = timedelta(days=1)
        again = debian_package(blobs, "curl 8 arm64", DEB, Level.DIFFERENT)
        for report in (again.replace(finished=again.finished + later), debian_package(blobs, "wget 1 amd64", OTHER)):
            number = signer.ledger.begin(report.artifact, report.started)
            signer.ledger.finish(number, signed(report))
            signer.publish(number, signer.ledger.unpublished(99)[-1][1])
            signer.update_index()
        one_by_one = file.read_bytes()
        signer.write_index()
        assert file.read_bytes() == one_by_one
        found = {(each["name"], each["architecture"]): each["status"] for each in json.loads(one_by_one)}
        assert {"GOOD", "BAD", "UNKWN"} == set(found.values())
        assert ("BAD", "UNKWN") == (found["curl", "arm64"], found["zlib1g", "amd64"])


def publish(packages: Packages, report: Report, seen: datetime) -> None:
    """As a process does that goes on from the site as it is; the file was first seen at some time."""
    signer = packages.signer
    packages.ledger.pin(report.artifact, seen)
    number = signer.ledger.begin(report.artifact, report.started)
    signer.ledger.finish(number, signed(report))
    signer.publish(number, signer.ledger.unpublished(99)[-1][1])
    signer.update_index()


def listed(packages: Packages) -> dict[str, str]:
    """Status by address, each once."""
    found = [(each["artifact_url"], each["status"]) for each in packages.http.get("/api/v0/pkgs/list").json()]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_a_verdict_stays_in_the_list_when_the_next_follows_within_the_minute(tmp_path: Path) -> None:
    """Its file was seen just now: that is no reason to say that nothing is known about it."""
    with serving_packages(tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB)]) as packages:
        for name, level in (("cargo", Level.DIFFERENT), ("cmake", Level.IDENTICAL)):
            publish(packages, debian_package(MemoryBlobs(), f"{name} 1 amd64", OTHER, level), datetime.now(UTC))
        assert ["GOOD", "BAD", "GOOD"] == list(listed(packages).values())


@pytest.mark.parametrize("moved", [False, True], ids=["same address", "another address"])
def test_replaced_bytes_are_in_the_list_no_more(tmp_path: Path, *, moved: bool) -> None:
    """Also when it is brought up to date; and what is said about the new ones stays when the next follows."""
    with serving_packages(
        tmp_path, lambda blobs: [debian_package(blobs, f"{name} 8 amd64", DEB) for name in ("curl", "cargo")]
    ) as packages:
        replaced = debian_package(MemoryBlobs(), "curl 8 amd64", OTHER, Level.DIFFERENT)
        if moved:
            file = replaced.artifact.file.replace(url=f"{replaced.artifact.file.url}?2")
            artifact = replaced.artifact.replace(file=file)
            replaced = reports.report(
                artifact,
                [
                    reports.attempt(
                        artifact, reports.run(MemoryBlobs()), comparison=reports.compared(artifact, Level.DIFFERENT)
                    )
                ],
            )
        packages.ledger.pin(replaced.artifact, datetime.now(UTC))
        packages.signer.update_index()
        assert {"GOOD", "UNKWN"} == set(listed(packages).values())
        assert 2 == len(listed(packages))
        publish(packages, replaced, datetime.now(UTC))
        publish(packages, debian_package(MemoryBlobs(), "cmake 1 amd64", OTHER), datetime.now(UTC))
        found = (packages.site / "api/v0/pkgs/list").read_bytes()
        assert ["GOOD", "BAD", "GOOD"] == list(listed(packages).values())
        packages.signer.write_index()
        assert found == (packages.site / "api/v0/pkgs/list").read_bytes()


def test_what_is_good_is_not_listed_as_another_project(tmp_path: Path) -> None:
    """The name in the ledger is not the one that was signed."""
    with serving_packages(tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB)]) as packages:
        report = debian_package(MemoryBlobs(), "cargo 1 amd64", OTHER)
        number = packages.ledger.begin(report.artifact, report.started)
        packages.ledger.finish(number, signed(report))
        packages.signer.publish(number, packages.ledger.unpublished(9)[-1][1])
        with packages.ledger._database.writing() as connection:
            connection.execute(text("update artifact set name = 'cvs' where name = 'cargo'"))
        packages.signer.update_index()
        found = {each["name"]: each["status"] for each in packages.http.get("/api/v0/pkgs/list").json()}
        assert {"curl": "GOOD", "cvs": "UNKWN"} == found


def test_a_site_without_its_list_of_packages_is_not_taken_for_one_that_has_it(tmp_path: Path) -> None:
    """The list is written first: who is ended before it leaves pages that are written whole by the next."""
    with serving_packages(tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB)]) as packages:
        writer, front = packages.signer.rebuilderd, packages.site / "v1/index.json"
        assert writer is not None
        before = front.read_bytes()
        report = debian_package(MemoryBlobs(), "cargo 1 amd64", OTHER)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(writer), "write", _full)
            with pytest.raises(StoreError, match="Full"):
                publish(packages, report, reports.NOW)
        assert before == front.read_bytes()
        publish(packages, debian_package(MemoryBlobs(), "cmake 1 amd64", OTHER), reports.NOW)
        assert ["GOOD"] * 3 == list(listed(packages).values())


def _full(*_: object, **__: object) -> None:
    raise StoreError("Full.")


def test_what_the_ledger_says_and_nobody_signed_is_not_told(tmp_path: Path) -> None:
    """Whoever can write to the ledger makes nothing good, and gets no link signed."""
    with serving_packages(
        tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB, Level.DIFFERENT)]
    ) as packages:
        database = packages.ledger._database
        with database.writing() as connection:
            connection.execute(text("update verification set verdict = 'reproduced', kind = null"))
        refused = packages.signer.write_index()
        assert refused
        (found,) = search(packages)
        assert (found["status"], found["artifact_id"]) == (None, None)
        (listed,) = packages.http.get("/api/v0/pkgs/list").json()
        assert (listed["status"], listed["has_attestation"]) == ("UNKWN", False)
        assert packages.ledger.package_book.link(1) is None
        assert packages.http.get("/api/v1/builds/1").status_code == 404


def test_another_key_signs_all_links_again(tmp_path: Path) -> None:
    """Clients ask for the first key only, so what is listed is signed with it."""
    with serving_packages(tmp_path, lambda blobs: [debian_package(blobs, "curl 8 amd64", DEB)]) as packages:
        book = packages.ledger.package_book
        link = book.link(1)
        assert link is not None
        key_id = link_key_id(raw_public(LINK_KEY.public_pem))
        book.keep_links("0" * 64, {1: "{}"})
        assert book.unlinked(key_id, 0, 9) == [1]
        add(packages.signer)
        assert book.link(1) == link
