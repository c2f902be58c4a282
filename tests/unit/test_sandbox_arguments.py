"""What bubblewrap is told, and definitions that cannot be run as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.bubblewrap import arguments, launcher_main
from tests.fakes.sandbox import definition

TRUE = ("/usr/bin/true",)


def entry(path: str) -> Input:
    """An input somewhere."""
    return Input(role=Role.SOURCE, name="x", sha256=sha256_hex(b""), path=path)


@pytest.mark.parametrize(
    ("commands", "changes", "told"),
    [
        ((), {}, "no commands"),
        (((),), {}, "no commands"),
        ((("",),), {}, "no commands"),
        ((("A=B", "x"),), {}, "“=”"),
        ((("a\0b",),), {}, "NUL"),
        ((TRUE,), {"environment": {"A": "\0"}}, "NUL"),
        ((TRUE,), {"environment": {"A=B": "x"}}, "“=”"),
        ((TRUE,), {"environment": {"": "x"}}, "empty"),
        ((TRUE,), {"umask": "8"}, "umask"),
        ((TRUE,), {"umask": "0022; rm"}, "umask"),
        ((TRUE,), {"umask": "1022"}, "umask"),
        ((TRUE,), {"hostname": ""}, "host name"),
        ((TRUE,), {"hostname": "-x"}, "host name"),
        ((TRUE,), {"hostname": "a" * 65}, "host name"),
        ((TRUE,), {"cpu_count": 0}, "no CPU"),
        ((TRUE,), {"clock": datetime(2020, 1, 1, tzinfo=UTC)}, "clock"),
        ((TRUE,), {"limits": Limits(wall_seconds=0)}, "limit"),
        ((TRUE,), {"limits": Limits(processes=-1)}, "limit"),
        ((TRUE,), {"directory": "/"}, "directory"),
        ((TRUE,), {"directory": "/build/../etc"}, "directory"),
        ((TRUE,), {"directory": "/buildx"}, "directory"),
        ((TRUE,), {"directory": "build"}, "directory"),
        ((TRUE,), {"inputs": (entry("/etc/passwd"),)}, "/etc/passwd"),
        ((TRUE,), {"inputs": (entry("/inputs"),)}, "/inputs"),
        ((TRUE,), {"inputs": (entry("/inputs/../etc/x"),)}, "not below"),
        ((TRUE,), {"inputs": (entry("/inputs//x"),)}, "not below"),
        ((TRUE,), {"inputs": (entry("/inputs/x"), entry("/inputs/x"))}, "two inputs"),
        ((TRUE,), {"inputs": (entry("/inputs/x"), entry("/inputs/x/y"))}, "two inputs"),
    ],
)
def test_refused(commands: tuple[tuple[str, ...], ...], changes: dict[str, Any], told: str) -> None:
    """The sentence says what is wrong; nothing is guessed."""
    with pytest.raises(UsageError, match="cannot be run") as caught:
        arguments.check(definition(*commands, **changes))
    assert told in str(caught.value)


@pytest.mark.parametrize("changes", [{"umask": "027"}, {"directory": "/tmp/x"}, {"hostname": "a.b-c"}])
def test_accepted(changes: dict[str, Any]) -> None:
    """What is unusual but clear is run."""
    arguments.check(definition(TRUE, inputs=(entry("/inputs/a/b"), entry("/tools/b")), **changes))


def test_isolation_is_always_asked_for() -> None:
    """No definition can leave out an isolation."""
    words = arguments.options(definition(TRUE), root="/root-file-system", inputs={}, cpus_listed=False).split(b"\0")
    for option in (b"--unshare-all", b"--unshare-user", b"--disable-userns", b"--die-with-parent", b"--new-session"):
        assert option in words
    for option in (b"--clearenv", b"--seccomp", b"--json-status-fd"):
        assert option in words
    assert not {b"--share-net", b"--bind", b"--cap-add"} & set(words)
    devices = [words[at + 1 : at + 3] for at, word in enumerate(words) if word == b"--dev-bind"]
    assert [[b"/dev/full", b"/dev/zero"]] == devices
    assert words.index(b"/proc") < words.index(b"/proc/1")
    assert words[words.index(b"--ro-bind") + 1 :][:2] == [b"/root-file-system", b"/"]


def test_words_of_a_definition_stay_words() -> None:
    """Options cannot be smuggled in by values: each word is one word, and the shell's words are quoted."""
    hostile = definition(("/bin/echo", "--bind", "$(id)", "a\nb", "'"), environment={"A": "--bind / /"})
    words = arguments.options(hostile, root="/r", inputs={}, cpus_listed=True).split(b"\0")
    assert words[words.index(b"--setenv") + 1 :][:2] == [b"A", b"--bind / /"]
    assert b"/bin/echo --bind '$(id)' 'a\nb' ''\"'\"'' || exit $?\n" in arguments.script(hostile)


def test_file_descriptors_fit_a_shell() -> None:
    """Shells redirect descriptors of one digit only."""
    assert max(launcher_main.READY, launcher_main.GO, launcher_main.SCRIPT) <= 9
    assert (
        len(
            {launcher_main.READY, launcher_main.GO, launcher_main.SCRIPT, launcher_main.ARGUMENTS, launcher_main.FILTER}
        )
        == 5
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cpu_count": 2}, "2 CPUs"),
        ({"clock": datetime(1969, 12, 31, tzinfo=UTC)}, "1969"),
        ({"clock": datetime(2500, 1, 1, tzinfo=UTC)}, "2500"),
    ],
)
def test_refused_by_a_kernel_of_its_own(changes: dict[str, Any], told: str) -> None:
    """It has one CPU, and a clock that counts from 1970."""
    with pytest.raises(UsageError, match=told):
        arguments.check(definition(TRUE, **changes), "uml")
    arguments.check(definition(TRUE, clock=datetime(2020, 1, 1, tzinfo=UTC)), "uml")


def test_the_last_command_waits_for_the_clock() -> None:
    """Earlier commands do not hold the descriptors by which the clock is asked for, nor does the last."""
    text = arguments.script(definition(TRUE, ("/bin/date",), clock=datetime(2020, 1, 1, tzinfo=UTC))).decode()
    first, asked, closed, last = (
        text.index("/usr/bin/true 3>&- 4<&- || exit $?\n"),
        text.index("printf c >&3 && read -r go <&4 || exit 125\n"),
        text.index("exec 3>&- 4<&-\n"),
        text.index("\n/bin/date || exit $?\n"),
    )
    assert first < asked < closed < last
