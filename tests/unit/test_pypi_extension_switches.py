"""Variables with which a source leaves its compiled extensions out."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.extension_switches import extension_switches, switched_off
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces

EXTENSION = (
    "from setuptools import Extension, setup\nimport os\nsetup(ext_modules=[Extension('x._fast', ['fast.c'])])\n"
)


def traces(*tags: str, purelib: bool = True) -> WheelTraces:
    """Of a wheel with these tags."""
    return WheelTraces(
        dist_info="x-1.dist-info",
        generator=None,
        root_is_purelib=purelib,
        tags=tags,
        uniform_time=None,
        times={},
        source_umask=None,
        generated_umask=None,
        create_system=3,
        generated_line_ends="lf",
    )


PURE = traces("py3-none-any")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("if os.environ.get('BUILD_EXTENSION') == 'no': pass", {"BUILD_EXTENSION": "no"}),
        ('off = os.environ.get("X_INSTALL_EXTENSIONS", "true").lower() == "false"', {"X_INSTALL_EXTENSIONS": "false"}),
        ("if 'DISABLE_X_CEXT' in os.environ: pass", {"DISABLE_X_CEXT": "1"}),
        ("x = os.environ.get('X_EXTENSIONS')\noff = x is not None and x.lower() == 'false'", {"X_EXTENSIONS": "false"}),
        ("NO_EXTENSIONS = bool(os.environ.get('X_NO_EXTENSIONS'))", {"X_NO_EXTENSIONS": "1"}),
        ("if os.getenv('MSG_PUREPYTHON'): pass", {"MSG_PUREPYTHON": "1"}),
        ("pure = os.environ.get('SETUPPY_FORCE_PURE')", {"SETUPPY_FORCE_PURE": "1"}),
        ("os.environ.get('X_USE_MYPYC', None) == '1'", {"X_USE_MYPYC": "0"}),
        ("os.environ.get('X_CYTHON_TRACING')", {}),
        ("if os.environ.get('X_ENABLE_SPEEDUPS'): pass", {}),  # any value turns them on
        ("speedups = bool(os.getenv('X_SPEEDUPS', ''))", {}),
        ("if 'X_SPEEDUPS' in os.environ: pass", {}),
        ("if os.environ.get('X_SPEEDUPS', '1') and True: pass", {"X_SPEEDUPS": "0"}),
        ("if os.getenv('X_SPEEDUPS') != 'off': pass", {"X_SPEEDUPS": "off"}),
        ("os.environ.get('X_FORCE_CYTHON')", {}),
        ("os.environ['PATH']; os.environ['LD_LIBRARY_PATH']; os.environ.get('CFLAGS')", {}),
        ("'BUILD_EXTENSION'", {"BUILD_EXTENSION": "0"}),
        ("", {}),
    ],
)
def test_switches(line: str, expected: dict[str, str]) -> None:
    """Name and value are the source's own; one that is about something else is none."""
    script = EXTENSION + line
    assert expected == dict(
        extension_switches(PURE, [script if "environ" in line or "getenv" in line else script + "\nos.environ"])
    )


def test_scripts_of_a_backend_in_the_tree() -> None:
    """What compiles, and what reads the variable, may be in two files."""
    scripts = ["def build(): cythonize()", "import os\nNAME = 'X_NO_EXTENSIONS'\nos.environ[NAME]"]
    assert (("X_NO_EXTENSIONS", "1"),) == extension_switches(PURE, scripts)
    assert () == extension_switches(PURE, scripts[1:])


@pytest.mark.parametrize("compiled", [traces("cp313-cp313-linux_x86_64", purelib=False), traces("py3-none-win32")])
def test_a_wheel_for_one_platform_has_them(compiled: WheelTraces) -> None:
    """Nothing is switched off for it."""
    assert () == extension_switches(compiled, [EXTENSION + "os.environ.get('BUILD_EXTENSION') == 'no'"])


def test_few_are_set() -> None:
    """However many a script names; and the sentence has them."""
    names = "".join(f"os.environ.get('X{number}_NO_EXTENSIONS')\n" for number in range(9))
    found = extension_switches(PURE, [EXTENSION + names])
    assert 4 == len(found)
    assert "X0_NO_EXTENSIONS=1 and X1_NO_EXTENSIONS=1" in switched_off(found)
