"""Running the machine's git where nothing of the machine or of a repository can steer it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rebuilder.errors import StoreError, UnavailableError
from rebuilder.model.git import SourceProblem, Trouble
from rebuilder.model.text import clipped
from rebuilder.network.git.address import RefusedAddress, Remote
from rebuilder.network.relay import Relay

_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.002, 0.05
_STDERR_BYTES = 1 << 20
_FROM_THE_MACHINE = (*("PATH", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),)
"""Where programs are, and whom this machine trusts. Nothing else of its settings counts."""

_CONFIG = """\
[core]
	hooksPath = /dev/null
	fsmonitor = false
	attributesFile = /dev/null
	excludesFile = /dev/null
	sshCommand = false
	gitProxy = false
	askPass = true
	bigFileThreshold = 16m
	packedGitLimit = 256m
	deltaBaseCacheLimit = 64m
[credential]
	helper =
[protocol]
	allow = never
[protocol "{protocol}"]
	allow = always
[fetch]
	fsckObjects = true
	recurseSubmodules = false
	writeCommitGraph = false
	unpackLimit = 1
	showForcedUpdates = false
[transfer]
	fsckObjects = true
	unpackLimit = 1
	bundleURI = false
	advertiseSID = false
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[submodule]
	recurse = false
[gc]
	auto = 0
	autoDetach = false
[maintenance]
	auto = false
[pack]
	threads = 1
	windowMemory = 64m
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = {slow_seconds}
	emptyAuth = false
	proxyAuthMethod = basic
[remote "source"]
	url = "{url}"
	tagOpt = --no-tags
"""


class GitStopped(Exception):  # noqa: N818 - reads as what happened
    """A limit ended git: ``size`` or ``time``."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


@dataclass(frozen=True)
class Done:
    """How git ended."""

    code: int
    output: bytes
    said: str
    """Standard error, in the C locale."""


class Git:
    """One repository of ours, and one remote to fetch from, until the deadline.

    Args:
        repository: The bare repository; made by :meth:`make`.
        remote: What ``source`` stands for.
        scratch: An empty directory: home and settings.
        environment: The machine's, of which little is passed on.
        deadline: On :func:`time.monotonic`'s clock.
        slow_seconds: How long a server may send next to nothing.
        relay: The only way to the network; None: none is needed.
        inherited: Descriptor of a lock, which children hold too, so that it is not free while one still runs.
    """

    def __init__(
        self,
        repository: Path,
        remote: Remote,
        scratch: Path,
        environment: Mapping[str, str],
        *,
        deadline: float,
        slow_seconds: int,
        relay: Relay | None = None,
        inherited: int | None = None,
    ) -> None:
        self.repository, self.remote = repository, remote
        self._deadline = deadline
        self._relay = relay
        self._inherited = () if inherited is None else (inherited,)
        self._program = _program(environment)
        self._scratch = scratch
        settings = scratch / "settings"
        settings.write_text(_settings(remote, slow_seconds), encoding="utf-8")
        self._environment = {
            **{name: environment[name] for name in _FROM_THE_MACHINE if environment.get(name)},
            **_authorities(environment),
            **(relay.environment if relay is not None else {}),
            "HOME": str(scratch),
            "XDG_CONFIG_HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LC_ALL": "C",
            "GIT_DIR": str(repository),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(settings),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_SSH_COMMAND": "false",
            "GIT_ALLOW_PROTOCOL": remote.protocol,
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }

    def make(self) -> None:
        """Make the repository if it is not there, and remove what a killed run left in it."""
        if not (self.repository / "HEAD").is_file():
            shutil.rmtree(self.repository, ignore_errors=True)
            done = self.run("init", "--quiet", "--bare", "--template=", str(self.repository))
            if done.code:
                raise StoreError(
                    f"No repository can be made at {self.repository}.", hint="Free space, mend its rights."
                )
        with contextlib.suppress(FileNotFoundError):
            for pattern in ("objects/pack/tmp_*", "objects/tmp_*", "*.lock", "refs/**/*.lock", "shallow_*"):
                for left_over in list(self.repository.glob(pattern)):
                    left_over.unlink(missing_ok=True)

    def fetch(self, wanted: Iterable[str], *options: str, most_growth: int, settings: Sequence[str] = ()) -> Done:
        """Fetch objects and references from ``source``, and nothing that git would bring along unasked.

        Args:
            wanted: What to fetch, and as what, in git's words: anything a stranger chose may be among it.
            options: What of it, such as ``--depth=1``.
            most_growth: How much the repository may grow, in bytes.
            settings: Other settings than those of :class:`Git`.

        Raises:
            GitStopped, RefusedAddress: see :meth:`run`.
        """
        return self.run(
            *settings,
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
            *("--no-auto-maintenance", "--force", *options, "--end-of-options", "source", *wanted),
            most_growth=most_growth,
        )

    def run(
        self, *arguments: str, most_output: int = 1 << 20, most_growth: int | None = None, stdin: bytes = b""
    ) -> Done:
        """Run one command to its end.

        Args:
            arguments: After ``git``; never anything a stranger chose, unless behind ``--end-of-options``.
            most_output: Largest standard output, in bytes.
            most_growth: How much the repository may grow, in bytes.
            stdin: Its standard input.

        Raises:
            GitStopped: a limit was reached; no process is left.
            RefusedAddress: it was led to an address that is not asked.
        """
        with (
            tempfile.TemporaryFile(dir=self._scratch) as source,
            _file(self._scratch) as out,
            _file(self._scratch) as err,
        ):
            source.write(stdin)
            source.seek(0)
            before = directory_bytes(self.repository) if most_growth is not None else 0
            with self._started(arguments, source, out, err) as process:
                if most_growth is not None:
                    _limit_files(process.pid, most_growth)
                pause = _FIRST_LOOK_SECONDS
                while True:
                    ended = _has_ended(process.pid)
                    if _size(out) > most_output or _size(err) > _STDERR_BYTES:
                        raise GitStopped("size")
                    # A file the kernel cut off has exactly the limit.
                    if most_growth is not None and directory_bytes(self.repository) - before >= most_growth:
                        raise GitStopped("size")
                    if ended:
                        break
                    self.check_time()
                    time.sleep(pause)
                    pause = min(2 * pause, _LOOK_SECONDS)
            out.seek(0)
            err.seek(0)
            done = Done(process.wait(), out.read(), err.read().decode("utf-8", "replace"))
            if done.code and self._relay is not None and self._relay.refused:
                raise RefusedAddress(str(self._relay.refused[0]))
            return done

    def problem(self, done: Done) -> SourceProblem:
        """Why a fetch failed: what kept us from the server, or else what git says."""
        if self._relay is not None and self._relay.failures:
            sentence = f"{self.remote.asked} was not reached from here: {self._relay.failures[-1]}."
            return SourceProblem(trouble=Trouble.UNREACHABLE, sentence=sentence)
        return _explained(done.said, self.remote)

    @contextlib.contextmanager
    def talking(self, *arguments: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Run a command that answers questions; gives its standard input and output."""
        with _file(self._scratch) as err, self._started(arguments, subprocess.PIPE, subprocess.PIPE, err) as process:
            if process.stdin is None or process.stdout is None:  # pragma: no cover - Popen was asked for pipes
                raise StoreError("Git was started without pipes.")
            yield process.stdin, process.stdout

    def check_time(self) -> None:
        """Raise :class:`GitStopped` when the time is up."""
        if time.monotonic() > self._deadline:
            raise GitStopped("time")

    @contextlib.contextmanager
    def _started(
        self, arguments: Sequence[str], stdin: IO[bytes] | int, stdout: IO[bytes] | int, stderr: IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process group of its own, which is gone when the block is left, however that happens."""
        process = subprocess.Popen(
            [self._program, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self._environment,
            cwd=self._scratch,
            start_new_session=True,
            pass_fds=self._inherited,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _program(environment: Mapping[str, str]) -> str:
    """Path of git."""
    found = shutil.which("git", path=environment.get("PATH"))
    if found is None:
        raise UnavailableError(
            "Sources in git repositories cannot be fetched, because git is not installed.", hint="apt-get install git"
        )
    return found


def directory_bytes(directory: Path) -> int:
    """Size of all files below a directory, in bytes; those that go while we look do not count."""
    total, pending = 0, [str(directory)]
    while pending:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def _settings(remote: Remote, slow_seconds: int) -> str:
    url = remote.url.replace("\\", "\\\\").replace('"', '\\"')
    text = _CONFIG.format(protocol=remote.protocol, url=url, slow_seconds=slow_seconds)
    place = remote.directory
    if place is not None:  # the user named this directory; it may belong to somebody else
        safe = {place, place / ".git", place.resolve(), place.resolve() / ".git"}
        lines = (f'\tdirectory = "{each}"\n' for each in sorted(map(str, safe)))
        text += "[safe]\n" + "".join(line.replace("\\", "\\\\") for line in lines)
    return text


def _authorities(environment: Mapping[str, str]) -> dict[str, str]:
    """Git reads a variable of its own only; most programs read this one."""
    bundle = environment.get("GIT_SSL_CAINFO") or environment.get("SSL_CERT_FILE")
    return {"GIT_SSL_CAINFO": bundle} if bundle else {}


def _has_ended(process: int) -> bool:
    """Whether it ended; it stays a zombie, so that its group's number is not another's yet."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _limit_files(process: int, most_bytes: int) -> None:
    """Let the kernel end a file that grows past the limit between two looks; children inherit it."""
    with contextlib.suppress(ProcessLookupError, ValueError, PermissionError):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def _file(directory: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory)


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


NOT_HANDED_OUT = (
    "not our ref",
    "unadvertised object",
    "no such remote ref",
    "couldn't find remote ref",
    "remote did not send all necessary objects",
    "remote error: upload-pack: not our ref",
)
"""The server has no such object, or hands out only what a branch or a tag names."""

# First match wins. Git has one exit code for all of these; its words (in the C locale) are all there is.
_SIGNS: tuple[tuple[tuple[str, ...], Trouble, str], ...] = (
    (
        ("transport '", "not supported or disabled in libcurl"),
        Trouble.REFUSED,
        "{where} leads to a protocol that is not used.",
    ),
    (
        ("dubious ownership",),
        Trouble.NO_REPOSITORY,
        "{where} stands in a directory of another user, which git does not read.",
    ),
    (
        ("could not read Username", "Authentication failed", "returned error: 401"),
        Trouble.NO_REPOSITORY,
        "{where} is no repository that everybody may read.",
    ),
    (
        ("returned error: 403", "returned error: 407", "returned error: 429"),
        Trouble.UNREACHABLE,
        "{where} refuses this machine, or something on the way to it does.",
    ),
    (
        ("not found", "does not exist", "does not appear to be a git repository", "returned error: 404"),
        Trouble.NO_REPOSITORY,
        "There is no repository at {where}.",
    ),
    (
        ("returned error: 410", "returned error: 451", "DMCA"),
        Trouble.NO_REPOSITORY,
        "The repository at {where} was taken away.",
    ),
    (("SSL", "certificate", "TLS"), Trouble.UNREACHABLE, "No secure connection to {where} could be made."),
    (
        ("Operation too slow", "transfer closed", "timed out", "Operation timed out"),
        Trouble.UNREACHABLE,
        "{where} stopped answering.",
    ),
    (
        (
            *("Could not resolve", "Failed to connect", "Couldn't connect", "Connection refused", "unable to access"),
            *("early EOF", "hung up", "RPC failed", "unexpected disconnect"),
        ),
        Trouble.UNREACHABLE,
        "{where} gives no proper answer.",
    ),
    (
        ("possible repository corruption on the remote side",),
        Trouble.NO_COMMIT,
        "{where} is not whole: it lacks content of this commit.",
    ),
    (
        ("error in object", "fsck error", "index-pack", "inflate", "corrupt", "bad object", "protocol error"),
        Trouble.UNSOUND,
        "What {where} sent is damaged, or made to do harm.",
    ),
)


def _explained(said: str, remote: Remote) -> SourceProblem:
    """The problem behind git's words."""
    for signs, trouble, sentence in _SIGNS:
        if any(sign in said for sign in signs):
            silent = trouble in {Trouble.NO_REPOSITORY, Trouble.REFUSED} or "from proxy" in said  # which is our own
            words = "" if silent else _quoted(said, remote.secrets)
            return SourceProblem(trouble=trouble, sentence=sentence.format(where=remote.asked) + words)
    return SourceProblem(
        trouble=Trouble.UNREACHABLE, sentence=f"Git could not fetch from {remote.asked}.{_quoted(said, remote.secrets)}"
    )


def redirection(said: str, remote: Remote) -> str | None:
    """A note when the server sent git elsewhere."""
    found = re.search(r"warning: redirecting to (\S+)", said)
    if not found:
        return None
    target = re.sub(r"//[^/@]*@", "//", found[1])
    return f"The server sent us on from {remote.shown} to {clipped(target.rstrip('/'))}."


def _quoted(said: str, secrets: Iterable[str]) -> str:
    telling = ("remote: fatal: ", "fatal: ", "error: ", "remote: ")
    line = next((each for start in telling for each in said.splitlines() if each.startswith(start)), "")
    for secret in secrets:
        line = line.replace(secret, "…")
    line = re.sub(r"//[^/@\s]*@", "//", line.removeprefix("remote: fatal")).partition(": ")[2].strip()
    return f" Git says: {clipped(line)}" if line else ""
