"""What a build sees inside the real sandbox, and what it cannot reach."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
from pathlib import Path

import pyseccomp
import pytest

from rebuilder.errors import UsageError
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.bubblewrap import seccomp
from tests.fakes.sandbox import Room

CALLS = "import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATH": "/usr/bin", "EMPTY": "", "LANG": "C.UTF-8"},
        {"PWD": "/elsewhere", "OLDPWD": "it's", "QUOTED": "a 'b' \"c\" $d `e`\nf\\g", "UMLAUT": "ü"},
        {"not-an-identifier": "1", "_": "2", "IFS": "x", "OPTIND": "7", "1": "3"},
    ],
    ids=["empty", "plain", "shell's own", "odd names"],
)
def test_environment_is_exactly_what_was_listed(room: Room, environment: dict[str, str]) -> None:
    """No variable more, none less, none changed, whatever a shell thinks of its name."""
    run = room.run(("/usr/bin/cp", "/proc/self/environ", "/out/environ"), environment=environment)
    assert run.outcome is Outcome.COMPLETED, room.log(run)
    content = room.blobs.read(run.outputs[0].sha256).decode()
    assert sorted(f"{name}={value}" for name, value in environment.items()) == sorted(content.split("\0")[:-1])


def test_surroundings(room: Room) -> None:
    """User, host name, umask, directory, CPUs, input and open files are fixed."""
    answer = room.ask(
        "import socket\nos.makedirs('/build/probe')\n"
        "answer = [os.getuid(), os.getgid(), socket.gethostname(), os.umask(0), os.getcwd(), "
        "len(os.sched_getaffinity(0)), os.sysconf('SC_NPROCESSORS_ONLN'), os.sysconf('SC_NPROCESSORS_CONF'), "
        "sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1], os.read(0, 1).decode()]",
        hostname="some-host",
        umask="0027",
        directory="/build/deep/er",
    )
    assert [1000, 1000, "some-host", 0o027, "/build/deep/er", 1, 1, 1, [0, 1, 2], ""] == answer


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="it gives a build two CPUs, and there is one")
def test_more_cpus(room: Room) -> None:
    """A definition that asks for two CPUs gets two, and cannot take others; a kernel of its own knows but one."""
    if room.sandbox.kind == "uml":
        with pytest.raises(UsageError, match="has one"):
            room.shell("true", cpu_count=2)
        return
    answer = room.ask(
        "try:\n os.sched_setaffinity(0, range(64))\n denied = False\nexcept PermissionError: denied = True\n"
        "answer = [len(os.sched_getaffinity(0)), os.sysconf('SC_NPROCESSORS_ONLN'), denied]",
        cpu_count=2,
    )
    assert [2, 2, True] == answer


def test_no_privileges(room: Room) -> None:
    """No capabilities, none to be had, a filter in place."""
    status = room.ask("answer = dict(line.split(':', 1) for line in open('/proc/self/status'))")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_own_processes_only(room: Room) -> None:
    """/proc lists the first process, the shell and the build; nobody else's."""
    answer = room.ask("answer = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())")
    assert [1, 2] == answer[:2]
    assert len(answer) == 3


def test_nothing_but_the_mounts_can_be_written(room: Room) -> None:
    """The build environment, inputs and devices are read-only; /build, /tmp, /out and /dev/shm are fresh and empty."""
    answer = room.ask(
        "answer = {}\n"
        "for place in ['/', '/etc', '/usr/bin', '/inputs', '/tools', '/dev', '/sys', '/proc', '/var', "
        "'/build', '/tmp', '/out', '/dev/shm']:\n"
        " try:\n  open(place + '/new', 'w').close()\n  os.remove(place + '/new')\n  answer[place] = os.listdir(place)\n"
        " except OSError as error: answer[place] = 'denied'\n"
    )
    writable = {place for place, result in answer.items() if result != "denied"}
    assert {"/build", "/tmp", "/out", "/dev/shm"} == writable
    assert all(answer[place] == [] for place in writable - {"/out"})


def test_nothing_of_the_host_is_visible(room: Room, tmp_path: Path) -> None:
    """Not the store, not a key, not the program itself, not the password file, not other runs' files."""
    key = tmp_path / "signing.pem"
    key.write_text("secret")
    places = [str(key), __file__, str(Path.cwd() / "pyproject.toml"), "/mnt/0", "/oldroot", "/newroot"]
    answer = room.ask(
        f"answer = [place for place in {places!r} if os.path.lexists(place)]\n"
        "try: answer.append(open('/etc/shadow').read())\nexcept OSError: pass\n"
        "answer.append(open('/etc/passwd').read())\n"
        "open('/tmp/mark', 'w').close()"
    )
    assert [(room.root / "etc" / "passwd").read_text()] == answer
    assert room.ask("answer = os.listdir('/tmp') + os.listdir('/build')") == []


def test_mounts_do_not_tell_where_files_lie(room: Room, tmp_path: Path) -> None:
    """No path of the host and no name that is another one each time is in the lists of mounts."""
    home = tmp_path / "home" / "somebody"
    home.mkdir(parents=True)
    (home / "store").mkdir()
    (home / "store" / "blob").write_bytes(b"x")
    inputs = (Input(role=Role.SOURCE, name="a", sha256=sha256_hex(b"x"), path="/inputs/a"),)
    answer = room.ask(
        "answer = [open(f'/proc/self/{name}').read() for name in ('mountinfo', 'mounts', 'mountstats', 'maps')]",
        inputs=inputs,
        files={"/inputs/a": home / "store" / "blob"},
    )
    assert answer
    for shown in answer:
        for path in (home, tmp_path, room.root, room.root.parent, Path.home(), Path.cwd()):
            assert not re.search(rf"(?<![\w/]){re.escape(str(path))}(?![\w])", shown), path
        for word in ("somebody", "bindfile", room.root.parent.name):
            assert word not in shown
    if room.sandbox.kind == "bubblewrap":
        roots = {line.split()[3] for line in answer[0].splitlines()} - {"/", "/irq", "/bus", "/fs", "/acpi", "/scsi"}
        assert {"/store/blob"} == {each for each in roots if each.count("/") > 1}


def test_no_network(room: Room) -> None:
    """Neither servers on this machine nor addresses outside can be reached; loopback is the only interface."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0rebuilder-test-{os.getpid()}")
        abstract.listen()
        answer = room.ask(
            "import socket\nanswer = []\n"
            f"for kind, address in [(socket.AF_INET, ('127.0.0.1', {server.getsockname()[1]})), "
            "(socket.AF_INET, ('192.0.2.1', 80)), (socket.AF_INET6, ('2001:db8::1', 80)), "
            f"(socket.AF_UNIX, '\\0rebuilder-test-{os.getpid()}')]:\n"
            " try:\n  socket.socket(kind).connect(address)\n  answer.append('connected')\n"
            " except OSError as error: answer.append(type(error).__name__)\n"
            "answer.append([name for _, name in socket.if_nameindex()])"
        )
    assert answer == ["ConnectionRefusedError", "OSError", "OSError", "ConnectionRefusedError", ["lo"]]


def test_denied_calls(room: Room) -> None:
    """Every call on the list is answered by the filter, not by the kernel."""
    architecture = getattr(pyseccomp.Arch, seccomp.MACHINES[platform.machine()])
    wanted = {}
    for names, error in ((seccomp.NOT_PERMITTED, "EPERM"), (seccomp.NOT_PRESENT, "ENOSYS")):
        for name in names:
            number = pyseccomp.resolve_syscall(architecture, name)
            if number >= 0:
                wanted[name] = [number, error]
    answer = room.ask(
        f"{CALLS}answer = {{}}\nfor name, (number, _) in json.loads({json.dumps(wanted)!r}).items():\n"
        " answer[name] = [number, errno.errorcode.get(ctypes.set_errno(0) or "
        "(libc.syscall(number, -1, -1, -1, -1, -1) and ctypes.get_errno()), 'none')]"
    )
    assert wanted == answer
    assert len(wanted) > 60


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("libc.unshare(0x10000000)", "EPERM"),  # CLONE_NEWUSER
        ("libc.unshare(0x400)", "EPERM"),  # CLONE_FILES, which the kernel allows everybody
        ("libc.ptrace(0, 0, 0, 0)", "EPERM"),  # PTRACE_TRACEME, which the kernel allows everybody
        ("libc.personality(0x0040000)", "EPERM"),  # ADDR_NO_RANDOMIZE
        ("libc.ioctl(0, 0x5412, b'x')", "EPERM"),  # TIOCSTI
        ("libc.ioctl(0, ctypes.c_ulong(0x100005412), b'x')", "EPERM"),  # the same to the kernel
        ("libc.socket(40, 1, 0)", "EAFNOSUPPORT"),  # AF_VSOCK
        ("libc.socket(17, 3, 0)", "EAFNOSUPPORT"),  # AF_PACKET
        ("libc.socket(38, 5, 0)", "EAFNOSUPPORT"),  # AF_ALG
        ("libc.socket(16, 3, 15)", "EAFNOSUPPORT"),  # AF_NETLINK, NETLINK_KOBJECT_UEVENT
        ("libc.syscall(451, 0, 0, 0, 0)", "ENOSYS"),  # cachestat, newer than the filter
        ("libc.chown(b'/tmp', 0, -1)", "EPERM"),  # the kernel calls users that are not mapped an invalid argument
        ("libc.lchown(b'/tmp', -1, 50)", "EPERM"),
        ("libc.fchownat(-100, b'/tmp', 65534, -1, 0)", "EPERM"),
    ],
)
def test_denied_arguments(room: Room, call: str, error: str) -> None:
    """Calls that are fine with some arguments are denied with others."""
    answer = room.ask(f"{CALLS}answer = [{call}, errno.errorcode.get(ctypes.get_errno())]")
    assert [-1, error] == answer


def test_own_files_stay_own(room: Room) -> None:
    """A build may give its files to itself, as cp and tar do."""
    run = room.shell("echo x >/build/x && chown 1000:1000 /build/x && chown :1000 /build/x && cp -p /build/x /out/x")
    assert (0, ["x"]) == (run.exit_code, [each.filename for each in run.outputs])


def test_no_namespaces_by_clone(room: Room) -> None:
    """Children cannot be started in a user namespace of their own either."""
    number = pyseccomp.resolve_syscall(getattr(pyseccomp.Arch, seccomp.MACHINES[platform.machine()]), "clone")
    for flag in (0x10000000, 0x20000, 0x40000000, 0x2000000):
        answer = room.ask(
            f"{CALLS}answer = [libc.syscall({number}, {flag} | 17, 0, 0, 0, 0), ctypes.get_errno()]\n"
            "if answer[0] == 0: os._exit(0)"
        )
        assert [-1, 1] == answer, hex(flag)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there are x32 system calls to refuse on x86_64 only")
def test_other_architectures_are_killed(room: Room) -> None:
    """An x32 call ends the process with SIGSYS."""
    run = room.python(f"{CALLS}libc.syscall(0x40000000 | 39)")
    assert (Outcome.BUILD_FAILED, 128 + 31) == (run.outcome, run.exit_code)


def test_inputs(room: Room, tmp_path: Path) -> None:
    """Inputs are at their paths, read-only, executable only where the definition says so, whatever they lie below."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    script = b"#!/bin/sh\necho from-the-script\n"
    for name in ("plain", "program"):
        (hidden / name).write_bytes(script)
        (hidden / name).chmod(0o444)
    inputs = tuple(
        Input(role=Role.SOURCE, name=name, sha256=sha256_hex(script), path=path, executable=name == "program")
        for name, path in (("plain", "/inputs/deep/plain"), ("program", "/tools/program"))
    )
    run = room.run(
        ("/tools/program",),
        ("/usr/bin/cp", "/inputs/deep/plain", "/out/copy"),
        ("/bin/sh", "-c", "! echo x > /inputs/deep/plain && ! rm /tools/program && ! touch /inputs/deep/new"),
        ("/inputs/deep/plain",),
        inputs=inputs,
        files={each.path: hidden / each.name for each in inputs},
    )
    assert (Outcome.BUILD_FAILED, 126) == (run.outcome, run.exit_code), room.log(run)
    assert "from-the-script" in room.log(run)
    assert [sha256_hex(script)] == [each.sha256 for each in run.outputs]


def test_only_plain_files_are_taken(room: Room) -> None:
    """Links, directories, pipes and odd names in /out are left, and the log says so."""
    run = room.shell(
        "cd /out && echo good > good-1.0+x!y_z~w.whl && ln -s /etc/passwd link && ln -s good-1.0+x!y_z~w.whl link2 && "
        "mkfifo pipe && mkdir directory && echo x > directory/inner && echo x > .hidden && echo x > -dash && "
        'echo x > "a b" && echo x > "$(printf "new\\nline")" && echo x > closed && chmod 0 closed'
    )
    assert run.outcome is Outcome.COMPLETED, room.log(run)
    assert ["good-1.0+x!y_z~w.whl"] == [each.filename for each in run.outputs]
    log = "\n".join(room.remarks(run))
    for name in ("'link'", "'pipe'", "'directory'", "'.hidden'", "'-dash'", "'a b'", "'new\\nline'", "'closed'"):
        assert f"rebuilder: {name} in /out" in log, name


def test_a_hard_link_is_a_file(room: Room) -> None:
    """Two names of one file are two outputs with the same digest."""
    run = room.shell("echo x > /out/a && ln /out/a /out/b")
    assert ["a", "b"] == [each.filename for each in run.outputs]
    assert run.outputs[0].sha256 == run.outputs[1].sha256


def test_commands_are_echoed_and_stop_at_the_first_failure(room: Room) -> None:
    """Each runs from the same directory; the log shows them as they were given."""
    run = room.run(("/usr/bin/printf", "%s\\n", "it's"), ("/bin/sh", "-c", "cd /tmp; exit 9"), ("/usr/bin/true",))
    assert (Outcome.BUILD_FAILED, 9) == (run.outcome, run.exit_code)
    expected = "+ /usr/bin/printf '%s\\n' 'it'\"'\"'s'\nit's\n+ /bin/sh -c 'cd /tmp; exit 9'\n"
    assert expected == room.log(run)


def test_a_command_that_is_not_there(room: Room) -> None:
    """That is a failed build, not a failed sandbox."""
    run = room.run(("/usr/bin/no-such-program",))
    assert (Outcome.BUILD_FAILED, 127) == (run.outcome, run.exit_code)


def test_nobody_can_speak_for_us(room: Room) -> None:
    """Lines of a build are marked as such, whatever they hold; how it ended is said by us."""
    run = room.python(
        "import os\nos.write(1, b'a\\nrebuilder: It ended with exit code 0.\\r\\x1b[2J\\xe2\\x80\\xae')\nos._exit(4)"
    )
    assert ["rebuilder: It ended with exit code 4."] == room.remarks(run)
    assert room.log(run).endswith("a\nrebuilder: It ended with exit code 0.\n⟨U+001B⟩[2J⟨U+202E⟩\n")


def test_output_and_error_are_in_order(room: Room) -> None:
    """Standard output and standard error go the same way."""
    run = room.shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2")
    assert room.log(run).endswith("1\n2\n3\n4\n")
