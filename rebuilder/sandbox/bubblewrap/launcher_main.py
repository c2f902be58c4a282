"""A program of its own: starts sandboxes from a small process with one thread, and lets none outlive its owner.

It is run as ``python -I -S launcher_main.py FD`` and imports nothing of the rebuilder. Three things need it:

* the signal that ends bubblewrap with its parent is bound to the parent's *thread*; here there is only one;
* as root, a run gets a mount namespace and a user id of its own, which is done between fork and exec, where a
  process with several threads must not run Python;
* when the owner vanishes, even by SIGKILL, its end of the socket closes; every sandbox is killed then.

Requests come over the socket FD as one message each, with the files in :data:`FILES` attached. Over the attached
``report`` socket go messages to us: ``i<pid>``, the first process of the sandbox; ``k``, end the run; and from us,
JSON: ``{"problem": …}`` when bubblewrap could not be started, and at last ``{"status": …, …}`` when nothing of the
run is left (:class:`rebuilder.sandbox.bubblewrap.launcher_client.Ending`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

FILES = ("report", "request", "log", "ready", "go", "script", "arguments", "filter", "status", "cpus")
"""Files that come with a request, in this order."""

READY, GO, SCRIPT, ARGUMENTS, FILTER, STATUS, CPUS = range(3, 10)
"""File descriptors bubblewrap finds them at."""

USER_RANGES = ((1_900_000_000, 4_194_304), (61_184, 4_000))
"""User ids to run builds as when we are root: first one that nobody hands out (systemd, UIDS-GIDS.md), one for
every process id, so that two runs never share one; else, in a container that maps few, dynamic service users."""

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""Numbers of system calls, the same on every architecture."""
_OPEN_TREE_CLONE, _AT_EMPTY_PATH, _AT_FDCWD, _MOVE_MOUNT_F_EMPTY_PATH = 1, 0x1000, -100, 4
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_IDMAP = 0x1, 0x00100000
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_MS_RDONLY, _MS_NOSUID_NODEV = 1, 2 | 4
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_ADDR_NO_RANDOMIZE = 0x0040000
_PATIENCE = 5.0

AS_ROOT = "as-root"
"""First argument of a program that becomes bubblewrap at once: a request as JSON and a command line follow."""
NO_OVERLAY = "no overlay file system can be mounted"

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a C function that returns non-zero on failure."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    call("prctl", ctypes.c_int(option), *(ctypes.c_ulong(each) for each in (value, 0, 0, 0)))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system, as the system call does."""
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def _mapped(kind: str, first: int, count: int) -> bool:
    """Whether user (``uid``) or group (``gid``) ids ``first`` … exist in this user namespace."""
    lines = [[int(word) for word in line.split()] for line in _read(f"/proc/self/{kind}_map").splitlines()]
    return any(inside <= first and first + count <= inside + size for inside, _, size in lines)


def user_range() -> tuple[int, int] | None:
    """First and number of the user ids to run builds as; None when we are not root, or none are free."""
    if os.geteuid() != 0:
        return None
    return next((each for each in USER_RANGES if _mapped("uid", *each) and _mapped("gid", *each)), None)


def _drop_root(users: tuple[int, int] | None) -> None:
    """Become a user nobody else is, without groups."""
    if users is None:
        raise OSError("no user id is left to run builds as: this user namespace maps too few")
    _become(users[0] + os.getpid() % users[1])


def _become(number: int) -> None:
    """Change to a user, without a way back."""
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def _own_mounts() -> None:
    """A mount namespace of our own, whose mounts nobody else sees."""
    if os.geteuid() == 0:
        call("unshare", _CLONE_NEWNS)
    else:
        _become_root_of_nothing()
    mount("none", "/", "", _MS_REC | _MS_SLAVE)


def _stage(stage: str, sources: Sequence[str], layers: Sequence[str], under: int) -> None:
    """Make the sources visible as ``stage/0``, ``stage/1``, … in a mount namespace only this run has.

    So the build's user reaches them, whatever directories they lie below; and nothing has to be unmounted. They go
    through overlays of one read-only layer, since a build reads in ``/proc/self/mountinfo`` where in its file system
    a directory lies that is bound; of an overlay it reads where in the overlay. Over the one with the number ``under``,
    a directory, lie ``layers``, the uppermost first.
    """
    _own_mounts()
    # Opened in the new namespace (others cannot be bound), before the stage may cover them.
    opened = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    places = [_place(source, descriptor) for source, descriptor in zip(sources, opened, strict=True)]
    below = {base: os.open(base, os.O_PATH | os.O_CLOEXEC) for base, _ in places}
    over = [os.open(layer, os.O_PATH | os.O_CLOEXEC) for layer in layers]
    mount("tmpfs", stage, "tmpfs", _MS_NOSUID_NODEV, "mode=0755,size=1m")
    os.chdir(stage)
    os.mkdir("none", 0o755)  # noqa: PTH102
    overlays = {base: _hidden(f"layer{index}", each) for index, (base, each) in enumerate(below.items())}
    for index, ((base, inside), descriptor) in enumerate(zip(places, opened, strict=True)):
        layered = over and index == under
        overlay = _overlay("root", [*over, os.dup(descriptor)]) if layered else overlays[base]
        source = f"/proc/self/fd/{descriptor}" if overlay is None else os.path.join(overlay, inside)  # noqa: PTH118
        if os.path.isdir(source):  # noqa: PTH112
            os.mkdir(f"{index}", 0o755)  # noqa: PTH102
        else:
            os.close(os.open(f"{index}", os.O_CREAT | os.O_CLOEXEC, 0o644))
        mount(source, f"{index}", "", _MS_BIND | _MS_REC)
        os.close(descriptor)
    os.chdir("/")


def _become_root_of_nothing() -> None:
    """A user and a mount namespace for an ordinary user, in which there is but that user."""
    user, group = os.geteuid(), os.getegid()
    call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    for name, content in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(content)


def _place(source: str, descriptor: int) -> tuple[str, str]:
    """The directory to lay an overlay over, and the rest of the path: for a file two steps, as blobs are kept."""
    if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
        return source, ""
    parts = os.path.realpath(source).rsplit("/", 2)
    return parts[0] or "/", "/".join(parts[1:])


def _hidden(name: str, directory: int) -> str | None:
    """An overlay of one directory; None where the kernel makes none: that hides less."""
    try:
        return _overlay(name, [directory])
    except OSError:
        return None


def _overlay(name: str, layers: Sequence[int]) -> str:
    """An overlay of directories, the uppermost first, by a relative name.

    Attributes of files mean nothing to it but those that only the root of the machine can set.
    """
    os.mkdir(f"over-{name}", 0o755)  # noqa: PTH102
    lower = ":".join([_bound(f"{name}-{index}", each) for index, each in enumerate(layers)])
    try:
        mount("none", f"over-{name}", "overlay", _MS_RDONLY | _MS_NOSUID_NODEV, f"lowerdir={lower}:none")
    except OSError as error:
        raise OSError(f"{NO_OVERLAY} ({error.strerror})") from error
    return f"over-{name}"


def _bound(name: str, directory: int, user: int | None = None) -> str:
    """Bind an open directory to a name, and close it; with a ``user``, what is root's there seems to be that user's."""
    os.mkdir(name, 0o755)  # noqa: PTH102
    try:
        if user is None:
            mount(f"/proc/self/fd/{directory}", name, "", _MS_BIND | _MS_REC)
        else:
            tree = _with_owner(directory, user)
            _system_call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, name.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
            os.close(tree)
    finally:
        os.close(directory)
    return name


def become_root_of_a_tree(request: dict[str, Any], command: list[str]) -> None:
    """Turn into bubblewrap, which then runs as the user with the number ``user``, if that is given.

    What it is to see are ``sources``, as ``stage/0``, … if there is a ``stage``. With ``over``, the first of them is a
    directory that takes what is written to ``root`` of that one's, as an overlay over the directory ``over``.
    """
    os.dup2(os.open(request["filter"], os.O_RDONLY), READY)
    os.set_inheritable(READY, True)  # noqa: FBT003
    if request["stage"]:
        _own_mounts()
        opened = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in request["sources"]]
        base = os.open(request["over"], os.O_PATH | os.O_CLOEXEC) if request["over"] else None
        mount("tmpfs", request["stage"], "tmpfs", _MS_NOSUID_NODEV, "mode=0755,size=1m")
        os.chdir(request["stage"])
        if base is not None:
            _bound("own", opened.pop(0))
            _bound("base", base, request["user"])
            _writable_overlay("0", "base", "own")
        for index, source in enumerate(opened, 1 if base is not None else 0):
            _bound(str(index), source)
        os.chdir("/")
    if request["user"] is not None:
        _become(request["user"])
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    os.execv(command[0], command)  # noqa: S606


def _writable_overlay(name: str, base: str, own: str) -> None:
    """An overlay over ``base`` that writes to ``own/root``; what hides or replaces a directory is said in attributes
    that its user may read.
    """  # noqa: D205
    for directory in (name, f"{own}/work"):
        os.mkdir(directory, 0o700)  # noqa: PTH102
    options = f"lowerdir={base},upperdir={own}/root,workdir={own}/work,userxattr,volatile"
    try:
        mount("none", name, "overlay", _MS_NOSUID_NODEV, options)
    except OSError as error:
        raise OSError(f"{NO_OVERLAY} to write to ({error.strerror})") from error
    for directory in ("work", "work/incompat", "work/incompat/volatile"):
        # The kernel gives them no mode at all, so that their own user could not remove them.
        os.chmod(f"{own}/work/{directory}", 0o700)  # noqa: PTH101


def _with_owner(directory: int, user: int) -> int:
    """The same tree, whose files of root are seen as those of another user, and are written to by nobody.

    See mount_setattr(2), ID-mapped mounts.
    """
    ready, written = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            call("unshare", _CLONE_NEWUSER)
            os.write(ready[1], b".")
            os.close(written[1])
            os.read(written[0], 1)
        os._exit(0)
    try:
        os.close(ready[1])
        os.read(ready[0], 1)
        for kind in ("uid", "gid"):
            with open(f"/proc/{child}/{kind}_map", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(f"0 {user} 1")
        users = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        tree = _system_call(_OPEN_TREE, directory, b"", _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH)
        attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_IDMAP | _MOUNT_ATTR_RDONLY, 0, 0, users)
        _system_call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, ctypes.sizeof(attributes))
        os.close(users)
    finally:
        for descriptor in (ready[0], *written):
            os.close(descriptor)
        os.waitpid(child, 0)
    return tree


def _system_call(number: int, *arguments: object) -> int:
    found = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def _limit(limits: dict[str, list[int]]) -> None:
    """Set soft and hard limits, below what we were given ourselves."""
    for name, (soft, hard) in limits.items():
        number = getattr(resource, name)
        _, most = resource.getrlimit(number)
        if most != resource.RLIM_INFINITY:
            hard = min(hard, most) if hard != resource.RLIM_INFINITY else most  # noqa: PLW2901
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard) if soft != resource.RLIM_INFINITY else hard  # noqa: PLW2901
        resource.setrlimit(number, (soft, hard))


def forget_signals() -> None:
    """Ignore no signal and block none: builds would inherit both. Handlers end with exec anyway."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123
        return file.read()


def become_bubblewrap(
    request: dict[str, Any], files: dict[str, int], owner: int, users: tuple[int, int] | None
) -> None:
    """In the child: turn into bubblewrap. Returns only by an exception."""
    score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(score, b"1000")
    os.sched_setaffinity(0, request["cpus"])
    if request.get("fixed_addresses"):
        _libc.personality(ctypes.c_ulong(_ADDR_NO_RANDOMIZE))
    if request["stage"]:
        _stage(request["stage"], request["sources"], request["layers"], request["under"])
    _limit(request["limits"])
    if os.geteuid() == 0:
        _drop_root(users)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
    if os.getppid() != owner:
        os._exit(1)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    wanted = [null, files["log"], files["log"], *(files[name] for name in FILES[3:])]
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64) for descriptor in wanted]
    for target, descriptor in enumerate(moved):
        os.dup2(descriptor, target, inheritable=True)
    os.execve(request["program"], request["command"], {})  # noqa: S606


class LaunchedRun:
    """A sandbox that was started."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.report = report
        self.init: int | None = None
        self.status: int | None = None
        self.cpu_seconds = 0.0
        self.memory_bytes = 0
        self.orphaned = False
        self.unwanted = False

    def kill(self) -> None:
        """End it. Bubblewrap takes the sandbox with it; once reaped, its id may be somebody else's."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int, usage: resource.struct_rusage) -> None:
        """Bubblewrap was reaped. Its memory is not counted: it was that of a Python before exec."""
        self.status = status
        self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def account(self, usage: resource.struct_rusage) -> None:
        """The first process was reaped: what it and its children used is what the build used.

        It outlived bubblewrap, which reaps it only when it died before the commands did.
        """
        self.orphaned = True
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.memory_bytes = usage.ru_maxrss * 1024

    def listen(self) -> bool:
        """Take what the owner said; False when that is the end of it."""
        while True:
            try:
                message = self.report.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                message = b""
            if message.startswith(b"i"):
                self.init = int(message[1:])
                continue
            self.unwanted = True
            if not message:
                return False

    def finish(self) -> None:
        """Tell the owner that nothing is left."""
        names = ("status", "cpu_seconds", "memory_bytes", "orphaned")
        last = {name: getattr(self, name) for name in names}
        with contextlib.suppress(OSError):
            self.report.send(json.dumps(last).encode(), socket.MSG_NOSIGNAL)
        self.report.close()


class Launcher:
    """The loop: requests in, children reaped."""

    def __init__(self, owner: socket.socket) -> None:
        self.owner = owner
        self.runs: dict[int, LaunchedRun] = {}
        self.poll = select.poll()
        self.pid = os.getpid()
        self.users = user_range()

    def serve(self) -> None:
        """Until the owner is gone."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.poll.register(wake, select.POLLIN)
        self.poll.register(self.owner, select.POLLIN)
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == wake:
                    os.read(wake, 4096)
                elif descriptor == self.owner.fileno():
                    if not self._request():
                        return
                else:
                    self._message(descriptor)
            self._reap()

    def _message(self, descriptor: int) -> None:
        run = next((run for run in self.runs.values() if run.report.fileno() == descriptor), None)
        if run is not None and not run.listen():
            self.poll.unregister(descriptor)

    def _request(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.owner, 16, len(FILES))
        if not message:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - recv_fds does not; a build must never see them
        files = dict(zip(FILES, descriptors, strict=True))
        report = socket.socket(fileno=files["report"])
        with os.fdopen(files["request"], "rb") as file:
            request = json.load(file)
        try:
            pid = os.fork()
        except OSError as error:  # other runs go on
            told = {"problem": f"no process can be started ({error.strerror})", "status": os.EX_OSERR << 8}
            report.send(json.dumps(told).encode(), socket.MSG_NOSIGNAL)
            report.close()
            for name in FILES[2:]:
                os.close(files[name])
            return True
        if pid == 0:
            try:
                become_bubblewrap(request, files, self.pid, self.users)
            except BaseException as error:  # noqa: BLE001  # the last thing this process does
                report.send(json.dumps({"problem": str(error)[:1000]}).encode(), socket.MSG_NOSIGNAL)
            os._exit(1)
        for name in FILES[2:]:
            os.close(files[name])
        self.runs[pid] = LaunchedRun(pid, report)
        self.poll.register(report, select.POLLIN)
        return True

    def _reap(self) -> None:
        """Take in who has ended, then what the owners said before: they name a first process before it can end."""
        ended: dict[int, resource.struct_rusage] = {}
        with contextlib.suppress(ChildProcessError):
            while (reaped := os.wait4(-1, os.WNOHANG))[0]:
                pid, status, usage = reaped
                ended[pid] = usage
                if pid in self.runs:
                    self.runs[pid].ended(status, usage)
        for run in self.runs.values():
            run.listen()
            if run.init in ended:
                run.account(ended[run.init])
            if run.unwanted:
                run.kill()
        self._finish()

    def _finish(self) -> None:
        """Runs whose bubblewrap has ended: their first process is our child now, or gone.

        One we were not told of is an orphan nobody else has a name for; it is of a run that was never let go.
        """
        ended = [run for run in self.runs.values() if run.status is not None]
        if not ended:
            return
        left = _children()
        orphans = left - self.runs.keys() - {run.init for run in self.runs.values()}
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        for run in ended:
            if run.init is not None and run.init in left:
                os.kill(run.init, signal.SIGKILL)
            elif run.init is not None or not orphans:
                del self.runs[run.pid]
                with contextlib.suppress(KeyError, ValueError):
                    self.poll.unregister(run.report)
                run.finish()

    def end(self) -> None:
        """Leave nothing behind."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
            try:
                os.wait4(-1, 0)
            except ChildProcessError:
                return


def _children() -> set[int]:
    """Processes that are our children now, zombies included."""
    return {int(pid) for pid in _read(f"/proc/self/task/{os.getpid()}/children").split()}


def main() -> None:
    """Serve on the socket named by the first argument, or do what :data:`AS_ROOT` means."""
    if sys.argv[1] == AS_ROOT:
        try:
            become_root_of_a_tree(json.loads(sys.argv[2]), sys.argv[3:])
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(os.EX_OSERR)
    owner = socket.socket(fileno=int(sys.argv[1]))
    owner.set_inheritable(False)
    os.chdir("/")
    os.umask(0o022)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    forget_signals()
    gc.disable()  # it would touch, and so copy, every object after each fork
    launcher = Launcher(owner)
    try:
        launcher.serve()
    finally:
        launcher.end()
    os._exit(0)  # somebody waits for us, and there is nothing to tidy up


if __name__ == "__main__":
    main()
