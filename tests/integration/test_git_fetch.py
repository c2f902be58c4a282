"""Fetching over the smart protocol from a server on loopback: its kinds, its troubles, our limits and our cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rebuilder.errors import StoreError, UnavailableError
from rebuilder.model.git import SourceProblem, SourceTree, Trouble
from rebuilder.network.git.process import directory_bytes
from rebuilder.network.git.sources import GitLimits, GitSources
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.certificates import self_signed
from tests.fakes.git_server import Fault, GitServer, redirect, status
from tests.fakes.repositories import Repository, make_repository

URL = "https://example.org/project"
PATH = {"PATH": os.environ["PATH"]}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository the server finds as ``/project``."""
    return make_repository(tmp_path / "served" / "project")


def sources(tmp_path: Path, target: str, limits: GitLimits | None = None, **environment: str) -> GitSources:
    """Sources that ask ``target`` for everything."""
    return GitSources(
        MemoryBlobs(),
        tmp_path / "cache",
        {"https://example.org": target},
        limits=limits,
        environment={**PATH, **environment},
    )


def problem(answer: SourceTree | SourceProblem) -> SourceProblem:
    """The problem; fails the test when there is none."""
    assert isinstance(answer, SourceProblem), answer
    return answer


def tree(answer: SourceTree | SourceProblem) -> SourceTree:
    """The tree; fails the test when there is a problem."""
    assert isinstance(answer, SourceTree), answer
    return answer


def test_archive_is_the_same_from_anywhere(repository: Repository, tmp_path: Path) -> None:
    """Over the network, from a path, from a clone packed otherwise: the same bytes."""
    sha = repository.commit({"b/x": "x", "b.c": "1", "bin/tool*": "#!/bin/sh\n"})
    repository.tag("v1", annotated=True)
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "other" / "project.git"))
    with GitServer(tmp_path / "served") as server:
        trees = [tree(sources(tmp_path, each).commit(URL, sha)) for each in (server.url, f"{tmp_path}/served")]
        assert server.requests
    trees.append(tree(sources(tmp_path / "again", f"{tmp_path}/other").commit(URL, sha)))
    assert trees[0] == trees[1] == trees[2]


def test_archive_format_is_pinned(repository: Repository, tmp_path: Path) -> None:
    """These bytes are named in published definitions: the same commit must always give them."""
    sha = repository.git("rev-parse", "HEAD")
    found = tree(sources(tmp_path, f"{tmp_path}/served").commit(URL, sha))
    assert "d52ac9f69536f94abdb42c941e19b38222db3246" == sha
    assert "df336c212239654ae5769a66d52c62f00fe790281902b4670d72750f31697773" == found.archive_sha256


@pytest.mark.parametrize("annotated", [False, True])
def test_old_servers_hand_out_what_a_tag_names(repository: Repository, tmp_path: Path, *, annotated: bool) -> None:
    """They refuse ids of commits; the commit that came with the tag has the id asked for."""
    sha = repository.git("rev-parse", "HEAD")
    repository.tag("v1", annotated=annotated)
    hidden = repository.commit({"later": "x"})
    repository.commit({"last": "x"})
    with GitServer(tmp_path / "served", old=True) as server:
        subject = sources(tmp_path, server.url)
        found = tree(subject.commit(URL, sha, "v1"))
        assert problem(subject.commit(URL, hidden, "v1")).trouble is Trouble.NO_COMMIT
    assert ["v1"] == [each.name for each in found.commit.tags]
    assert annotated == (found.commit.tags[0].object_sha256 is not None)


def test_commit_behind_the_tip_comes_by_its_id(repository: Repository, tmp_path: Path) -> None:
    """One commit comes, not its history."""
    for number in range(5):
        sha = repository.commit({"a": str(number)})
    with GitServer(tmp_path / "served") as server:
        found = tree(sources(tmp_path, server.url).commit(URL, repository.git("rev-parse", "HEAD~2")))
    (cache,) = (tmp_path / "cache").glob("*.git")
    counted = subprocess.run(["git", "rev-list", "--all", "--count"], cwd=cache, capture_output=True, check=True)
    assert b"1\n" == counted.stdout
    assert 1 == len(found.commit.parents)
    assert sha != found.commit.sha


def test_forced_push(repository: Repository, tmp_path: Path) -> None:
    """A commit that is gone is a value with what its tag does now; one that was fetched before is still here."""
    kept = repository.commit({"a": "1"})
    repository.tag("v1")
    subject = sources(tmp_path, f"{tmp_path}/served")
    tree(subject.commit(URL, kept, "v1"))
    lost = repository.commit({"a": "2"})
    repository.git("reset", "--quiet", "--hard", "HEAD~2")
    moved = repository.commit({"a": "3"})
    repository.tag("v1")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "--quiet", "--prune=now")
    found = problem(subject.commit(URL, lost, "v1"))
    assert Trouble.NO_COMMIT == found.trouble
    assert [True] * 3 == [each in found.sentence for each in ("v1", moved, lost)]
    [finding] = tree(subject.commit(URL, kept, "v1")).findings
    assert [True] * 3 == [each in finding for each in ("v1", moved, kept)]


def test_second_time_nothing_is_downloaded(repository: Repository, tmp_path: Path) -> None:
    """Only the tags are asked for again."""
    sha = repository.git("rev-parse", "HEAD")
    repository.tag("v1")
    with GitServer(tmp_path / "served") as server:
        subject = sources(tmp_path, server.url)
        first = subject.commit(URL, sha)
        del server.requests[:]
        assert first == subject.commit(URL, sha)
        assert not [each for each in server.requests if "ls-refs" in each or each.count("POST") > 1]
        assert 1 == sum(each.startswith("POST") for each in server.requests)


def test_redirection_is_followed_and_told(repository: Repository, tmp_path: Path) -> None:
    """A renamed repository answers under its old name."""
    sha = repository.git("rev-parse", "HEAD")
    with GitServer(tmp_path / "served", fault=redirect("/project")) as server:
        found = tree(sources(tmp_path, server.url).commit("https://example.org/old", sha))
    [note] = found.notes
    assert [True] * 2 == [each in note for each in ("https://example.org/old", f"{server.url}/project")]


@pytest.mark.parametrize("target", ["https://127.0.0.1:1/project", "file:///project", "ftp://127.0.0.1:1/project"])
def test_redirection_to_another_protocol_is_not(tmp_path: Path, target: str) -> None:
    """Only what the address itself begins with is spoken; nobody is asked elsewhere."""
    with GitServer(tmp_path, fault=redirect(target)) as server:
        answer = problem(sources(tmp_path, server.url).commit("https://example.org/old", "1" * 40))
    assert Trouble.REFUSED == answer.trouble


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (status(401), Trouble.NO_REPOSITORY),
        (status(403), Trouble.UNREACHABLE),
        (status(404), Trouble.NO_REPOSITORY),
        (status(410), Trouble.NO_REPOSITORY),
        (status(500), Trouble.UNREACHABLE),
        (status(200), Trouble.UNREACHABLE),
    ],
)
def test_answers_that_are_no_repository(tmp_path: Path, fault: Fault, trouble: Trouble) -> None:
    """Each is a value; nobody is asked for a password, and none is shown."""
    with GitServer(tmp_path, fault=fault) as server:
        target = server.url.replace("//", "//user:s3cret@")
        answer = problem(sources(tmp_path, target).commit(URL, "1" * 40))
    assert trouble == answer.trouble
    assert "s3cret" not in answer.sentence
    assert "user" not in answer.sentence
    assert URL in answer.sentence


def asked_directly(tmp_path: Path, address: str, **environment: str) -> SourceProblem:
    """What is said of a repository on loopback that a publisher names, and that the settings let us ask."""
    subject = GitSources(MemoryBlobs(), tmp_path / "cache", environment={**PATH, **environment}, reachable=[address])
    unreached: list[SourceProblem] = []
    found = problem(subject.noting(unreached).commit(f"{address}/project", "1" * 40))
    assert ([] if found.for_everybody else [found]) == unreached
    return found


@pytest.mark.parametrize("code", [401, 404, 410, 403, 429, 500, 502])
def test_what_a_server_answers_everybody(tmp_path: Path, code: int) -> None:
    """That there is none, or not without a password. What refuses, or fails, may do so here alone."""
    certificate = self_signed(tmp_path)
    with GitServer(tmp_path, fault=status(code), certificate=certificate) as server:
        found = asked_directly(tmp_path, server.url, GIT_SSL_CAINFO=str(certificate))
    assert (code in {401, 404, 410}, True) == (found.for_everybody, f"{server.url}/project" in found.sentence)


@pytest.mark.parametrize("code", [403, 407, 502])
def test_a_proxy_that_refuses_says_nothing_about_the_repository(tmp_path: Path, code: int) -> None:
    """The sentence names what was asked, and what the proxy answered."""
    with GitServer(tmp_path, fault=status(code)) as proxy:
        subject = GitSources(MemoryBlobs(), tmp_path / "cache", environment={**PATH, "https_proxy": proxy.url})
        found = problem(subject.commit(URL, "1" * 40))
    assert ["CONNECT example.org:443"] == proxy.requests
    assert (Trouble.UNREACHABLE, False) == (found.trouble, found.for_everybody)
    assert (True, True) == (found.sentence.startswith(f"{URL} was not reached"), f"answers {code}." in found.sentence)


def test_no_connection_and_no_tls_say_nothing_about_the_repository(tmp_path: Path) -> None:
    """A port where nobody listens, and one where nobody speaks TLS."""
    with GitServer(tmp_path) as server:
        address = server.url.replace("http://", "https://")
        spoken = asked_directly(tmp_path, address)
    refused = asked_directly(tmp_path, address)
    assert [(Trouble.UNREACHABLE, False)] * 2 == [(each.trouble, each.for_everybody) for each in (spoken, refused)]
    assert "was not reached from here: connection refused." in refused.sentence


@pytest.mark.parametrize("name", ["none", "project"])
def test_what_a_mirror_lacks_is_told_of_the_mirror(repository: Repository, tmp_path: Path, name: str) -> None:
    """Whoever reads it sees that the publisher's repository was not asked."""
    found = problem(sources(tmp_path, str(repository.path.parent)).commit(f"https://example.org/{name}", "1" * 40))
    assert f"https://example.org/{name} (asked of its mirror" in found.sentence


def test_nobody_listens(tmp_path: Path) -> None:
    """Our network's trouble may pass."""
    with GitServer(tmp_path) as server:
        pass
    answer = problem(sources(tmp_path, server.url).commit(URL, "1" * 40))
    assert Trouble.UNREACHABLE is answer.trouble


def test_server_that_hangs(tmp_path: Path) -> None:
    """The time limit ends it, and every process with it, long before the server would."""
    told: list[bool] = []

    def hang(request: BaseHTTPRequestHandler) -> bool:
        request.close_connection = True
        told.append(server.ended.wait(60))
        return True

    with GitServer(tmp_path, fault=hang) as server:
        answer = problem(sources(tmp_path, server.url, GitLimits(seconds=0.5)).commit(URL, "1" * 40))
        assert [] == told
    assert Trouble.TIMED_OUT == answer.trouble
    assert "0.5 seconds" in answer.sentence


def test_repository_larger_than_allowed(repository: Repository, tmp_path: Path) -> None:
    """The download stops at the limit, nothing of it is left, and a smaller commit still comes."""
    small = repository.git("rev-parse", "HEAD")
    large = repository.commit({"large": os.urandom(3 << 20)})
    subject = sources(tmp_path, f"{tmp_path}/served", GitLimits(fetched_bytes=1 << 20))
    answer = problem(subject.commit(URL, large))
    assert Trouble.TOO_LARGE == answer.trouble
    assert "1 MB" in answer.sentence
    assert small == tree(subject.commit(URL, small)).commit.sha
    assert directory_bytes(tmp_path / "cache") < 1 << 20


def test_content_larger_than_allowed(repository: Repository, tmp_path: Path) -> None:
    """What packs well is measured unpacked; many files are too many."""
    sha = repository.commit({"zeros": bytes(2 << 20)})
    limits = GitLimits(content_bytes=1 << 20)
    assert Trouble.TOO_LARGE == problem(sources(tmp_path, f"{tmp_path}/served", limits).commit(URL, sha)).trouble
    answer = problem(sources(tmp_path, f"{tmp_path}/served", GitLimits(files=2)).commit(URL, sha))
    assert (Trouble.TOO_LARGE, ["3", "2"]) == (answer.trouble, re.findall(r"\d+", answer.sentence))


def test_what_a_killed_run_leaves_does_no_harm(repository: Repository, tmp_path: Path) -> None:
    """Locks, half a pack and half a repository are cleared away."""
    sha = repository.git("rev-parse", "HEAD")
    subject = sources(tmp_path, f"{tmp_path}/served")
    first = subject.commit(URL, sha)
    (cache,) = (tmp_path / "cache").glob("*.git")
    (cache / "objects" / "pack" / "tmp_pack_x").write_bytes(b"PACK")
    (cache / "shallow.lock").touch()
    (cache / "packed-refs.lock").touch()
    repository.tag("v1", annotated=True)
    assert ["v1"] == [each.name for each in tree(subject.commit(URL, sha)).commit.tags]
    assert not (cache / "objects" / "pack" / "tmp_pack_x").exists()
    (cache / "HEAD").unlink()
    assert tree(first).archive_sha256 == tree(subject.commit(URL, sha)).archive_sha256


def test_another_process_is_waited_for(repository: Repository, tmp_path: Path) -> None:
    """Not for ever."""
    sha = repository.git("rev-parse", "HEAD")
    subject, impatient = (sources(tmp_path, f"{tmp_path}/served", limits) for limits in (None, GitLimits(seconds=0.3)))
    subject.commit(URL, sha)
    (lock,) = (tmp_path / "cache").glob("*.lock")
    script = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('x', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script, lock], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert Trouble.TIMED_OUT == problem(impatient.commit(URL, sha)).trouble
        holder.communicate(b"\n")
    assert sha == tree(subject.commit(URL, sha)).commit.sha


def test_our_own_trouble_is_an_error(tmp_path: Path) -> None:
    """No git, or a cache that cannot be written."""
    with pytest.raises(UnavailableError) as caught:
        sources(tmp_path, "/nowhere", PATH=str(tmp_path)).commit(URL, "1" * 40)
    assert "apt-get install git" == caught.value.hint
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        GitSources(MemoryBlobs(), tmp_path / "file" / "cache").commit(URL, "1" * 40)


def test_mirror_that_lacks_content(repository: Repository, tmp_path: Path) -> None:
    """Copies may leave large files out: that is told of the copy, and nobody is suspected of harm."""
    sha = repository.commit({"large.bin": "x" * 1000})
    blob = repository.git("rev-parse", "HEAD:large.bin")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    found = problem(sources(tmp_path, str(tmp_path / "served")).commit(URL, sha))
    assert Trouble.NO_COMMIT == found.trouble
    assert "is not whole" in found.sentence
    assert blob in found.sentence


@pytest.mark.parametrize("filters", ["true", "false", "old"])
def test_history_is_commits_and_tags(repository: Repository, tmp_path: Path, filters: str) -> None:
    """The same from every server, with files left out or not; a commit of it is fetched whole after that."""
    repository.git("config", "uploadpack.allowFilter", str(filters == "true").lower())
    repository.tag("v1", annotated=True)
    repository.commit({"old.bin": os.urandom(1 << 20).hex()})
    repository.tag("v2")
    sha = repository.commit({"old.bin": "new\n"})
    repository.tag("v3", annotated=True)
    with GitServer(tmp_path / "served", old=filters == "old") as server:
        asked = sources(tmp_path, server.url)
        found = asked.with_history(tree(asked.commit(URL, sha)))
        assert found.history is not None, found.notes
        assert (2, 2) == (found.history.commits, found.history.tags)
        [kept] = (tmp_path / "cache").glob("*-history.git")
        assert (filters == "true") == (directory_bytes(kept) < 1 << 20)
        again = asked.commit(URL, repository.git("rev-parse", "HEAD~1"))
        assert 1 << 21 <= tree(again).size
    elsewhere = sources(tmp_path / "elsewhere", str(tmp_path / "served"))
    assert found.history == elsewhere.with_history(tree(elsewhere.commit(URL, sha))).history


def test_history_that_cannot_be_had(repository: Repository, tmp_path: Path) -> None:
    """The commit is there all the same, with a note."""
    sha = repository.commit({"a": "b"})
    asked = sources(tmp_path, str(tmp_path / "served"))
    found = tree(asked.commit(URL, sha))
    repository.path.rename(tmp_path / "gone")
    without = asked.with_history(found)
    assert without.history is None
    assert found.notes == without.notes[:-1]
    assert "history before the commit" in without.notes[-1]
