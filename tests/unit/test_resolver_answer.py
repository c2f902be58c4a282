"""Reading what uv answers, without uv."""

from __future__ import annotations

import pytest

from rebuilder.errors import UnavailableError
from rebuilder.network.resolver import is_statement_about_releases, read_lock, reason

WHEEL = '{ url = "https://u:p@example.org/a-1.0-py3-none-any.whl#x", hashes = { sha256 = "' + "0" * 64 + '" } }'
NO_SOLUTION = "error: No solution found when resolving dependencies\n"


def lock(wheels: str, name: str = "a") -> str:
    """A lock file with one package."""
    return f'lock-version = "1.0"\n[[packages]]\nname = "{name}"\nversion = "1.0"\nwheels = [{wheels}]\n'


def test_pin_of_a_lock_file() -> None:
    """Credentials and fragments of addresses are left out."""
    (pin,) = read_lock(lock(WHEEL), python_version="3.13", machine="x86_64")
    assert ("a-1.0-py3-none-any.whl", "https://example.org/a-1.0-py3-none-any.whl") == (pin.filename, pin.url)


def test_platform_wheel_is_preferred_for_its_machine_only() -> None:
    """As uv and pip do."""
    other = WHEEL.replace("py3-none-any", "cp313-cp313-manylinux_2_17_aarch64")
    text = lock(f"{WHEEL}, {other}")
    chosen = {
        machine: read_lock(text, python_version="3.13", machine=machine)[0].filename
        for machine in ("x86_64", "aarch64")
    }
    assert {"x86_64": "a-1.0-py3-none-any.whl", "aarch64": "a-1.0-cp313-cp313-manylinux_2_17_aarch64.whl"} == chosen


@pytest.mark.parametrize(
    "text",
    [
        "not TOML",
        "",
        "packages = 1",
        "packages = [1]",
        lock(""),
        lock("1"),
        lock('{ url = "https://example.org/a-1.0-py3-none-any.whl" }'),
        lock(WHEEL.replace("0" * 64, "0" * 63)),
        lock(WHEEL.replace("https://u:p@", "file:///")),
        lock(WHEEL.replace("-py3-none-any", "")),
        lock(WHEEL.replace("py3-none-any", "cp312-cp312-win_amd64")),
    ],
)
def test_other_answers_are_trouble(text: str) -> None:
    """A lock file of another shape, without digest or without a wheel that fits."""
    with pytest.raises(UnavailableError):
        read_lock(text, python_version="3.13", machine="x86_64")


def test_reason_is_one_paragraph() -> None:
    """Causes, then hints, then warnings; advice on uv's options and passwords left out."""
    stderr = (
        "warning: `a-1.0.whl` is missing an upload date\n"
        f"{NO_SOLUTION}  cause: Because a needs b,\n         c cannot be had.\n\n"
        "hint: `a` was filtered. Consider using `--magic` to go on.\n"
        "hint: see https://user:secret@example.org/simple\nResolved nothing in 1ms\n"
    )
    assert (
        "Because a needs b, c cannot be had. `a` was filtered. see https://example.org/simple. "
        "`a-1.0.whl` is missing an upload date."
    ) == reason(stderr)


def test_reason_is_bounded_and_printable() -> None:
    """Uv quotes what anybody may have published."""
    assert "uv gave no reason." == reason("")
    long = reason(f"error: \x1b[31m{'x' * 5000}")
    assert 1500 == len(long)
    assert long.isprintable()


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (NO_SOLUTION, True),
        (f"warning: something\n{NO_SOLUTION}  cause: x", True),
        ("error: Request failed after 1 retry in 1.7s\n", False),
        (f"error: Received some unexpected JSON\n{NO_SOLUTION}", False),
        (f"{NO_SOLUTION}hint: An index URL (http://x) could not be queried (401 Unauthorized)", False),
        (f"{NO_SOLUTION}hint: An index (http://x) returned a 403 Forbidden error, but", False),
        (f"{NO_SOLUTION}  cause: a==1 was yanked (reason: An index returned a 403 Forbidden)", True),
        ("", False),
    ],
)
def test_statement_about_releases(stderr: str, expected: bool) -> None:
    """Only the resolver's own headline, and only when the index let us in (the real uv is tested elsewhere)."""
    assert expected is is_statement_about_releases(stderr)
