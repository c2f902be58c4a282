"""What the build scripts of a source read that leaves its compiled extensions out."""

from __future__ import annotations

import time

import pytest

from rebuilder.ecosystems.pypi.extension_switches import (
    CHOICES,
    Switch,
    SwitchKind,
    applicable,
    extension_switches,
    switched_off,
)

BOTH = "PYTHON_X_NO_C=1 UVX_NO_C=1"
PLAIN = """
import os, sys
from setuptools import Extension, setup
{before}
if {test}:
    modules = []
else:
    modules = [Extension('x._fast', ['fast.c'])]
setup(ext_modules=modules)
"""
BACKEND = """
import os
from contextlib import suppress
PURE_SETTING = 'pure-python'
PURE_VARIABLE = 'X_NO_EXTENSIONS'
TRACE_SETTING = 'with-tracing'
TRACE_VARIABLE = 'X_TRACING'

def _is_true(value):
    return value.lower() in {'', 'true', '1', 'on'}

def _setting(config_settings, setting, variable, *, default=False):
    for mapping, key, errors in ((config_settings, setting, KeyError), (os.environ, variable, KeyError)):
        with suppress(errors):
            return _is_true(mapping[key])
    return default

def _pure(config_settings=None):
    return _setting(config_settings, PURE_SETTING, PURE_VARIABLE)

def _tracing(config_settings=None):
    return _setting(config_settings, TRACE_SETTING, TRACE_VARIABLE)

def compiled(config_settings=None):
    tracing = _tracing(config_settings)
    if _pure(config_settings):
        yield
        return
    cythonize(['--line-trace'] if tracing else [])
    yield
"""
OPTIONS = """
import os, sys
def check_option(name):
    if '--' + name in sys.argv:
        sys.argv.remove('--' + name)
        return True
    return os.environ.get(name.replace('-', '_').upper()) == 'true'
profile = check_option('cython-profile')
compile_itself = not check_option('no-cython-compile')
def compile_modules(profile):
    from Cython.Build import cythonize
    return cythonize(['a.py'], profile=profile)
arguments = {}
if compile_itself:
    arguments['ext_modules'] = compile_modules(profile)
setup(**arguments)
"""


def told(*scripts: str) -> list[str]:
    """Each way in words."""
    return [" ".join(each.told for each in switches) for switches in extension_switches(scripts)]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("os.environ.get('BUILD_EXTENSION') == 'no'", ["BUILD_EXTENSION=no"]),
        ("os.environ.get('X_INSTALL_EXTENSIONS', 'true').lower() == 'false'", ["X_INSTALL_EXTENSIONS=false"]),
        ("'DISABLE_X_CEXT' in os.environ", ["DISABLE_X_CEXT=1"]),
        ("bool(os.environ.get('X_NO_EXTENSIONS'))", ["X_NO_EXTENSIONS=1"]),
        ("os.getenv('MSG_PUREPYTHON')", ["MSG_PUREPYTHON=1"]),
        ("os.getenv('SKIP_X', None) is not None", ["SKIP_X=1"]),
        ("int(os.environ.pop('SIMPLE_MODE', '0'))", ["SIMPLE_MODE=1"]),
        ("not os.environ.get('X_SPEEDUPS', '1')", ["X_SPEEDUPS=0", "X_SPEEDUPS="]),
        ("os.environ['X_PURE'] in ('yes', '1')", ["X_PURE=1", "X_PURE=yes"]),
        ("sys.platform == 'win32' or os.getenv('X_PURE') == '1'", ["X_PURE=1"]),
        ("'--pure' in sys.argv", ["--pure"]),
        ("{'--without-c', '-q'}.intersection(sys.argv)", ["--without-c"]),
        ("int(os.getenv('X_SPEEDUPS', 1)) == 0", ["X_SPEEDUPS=0", "X_SPEEDUPS="]),
        ("not int(os.getenv('BUILD_SPEEDUP', enabled))", ["BUILD_SPEEDUP=0"]),
        ("os.environ.get('X_FORCE_CYTHON')", []),  # whatever it is, it asks for extensions
        ("os.environ.get('X_USE_MYPYC') == '1'", []),
        ("os.environ.get('PATH') or os.environ.get('CFLAGS') or os.environ.get('PYTHONHASHSEED')", []),
        ("os.environ.get('LD_PRELOAD') or os.getenv('LC_ALL') or os.getenv('GIT_DIR') or os.getenv('UV_CACHE')", []),
        ("os.getenv('PYTHON_X_NO_C') and os.getenv('UVX_NO_C')", ["PYTHON_X_NO_C=1", "UVX_NO_C=1", BOTH]),
        ("os.environ.get('SOURCE_DATE_EPOCH') == '1700000000'", []),
        ("sys.platform == 'win32'", []),
        ("os.environ.get(name())", []),
        ("os.environ.get('X_PURE') == 'a long and free text of any kind'", ["X_PURE=1"]),
        (f"os.environ.get('X_{'PURE_' * 20}')", []),
    ],
)
def test_what_decides(test: str, expected: list[str]) -> None:
    """Name and value are the source's own; they are the likeliest first; what other programs read is none."""
    assert expected == told(PLAIN.format(before="", test=test))


@pytest.mark.parametrize(
    ("before", "test"),
    [
        ("pure = os.environ.get('X_PURE')", "pure is not None and pure.lower() == 'true'"),
        ("from os import environ\npure = environ.get('X_PURE', 'false') == 'true'\noff = pure", "off"),
        ("off = False\nif os.getenv('X_PURE') == 'true':\n    off = True", "off"),
        ("def asked():\n    return os.getenv('X_PURE') == 'true'", "asked()"),
        ("def asked(name):\n    return os.getenv(f'X_{name.upper()}') == 'true'", "asked('pure')"),
        ("NAME = 'X_PURE'", "os.environ.get(NAME) == 'true'"),
        ("env = os.environ\nread = env.get('X_PURE')", "read == 'true'"),
    ],
)
def test_what_is_read_is_followed(before: str, test: str) -> None:
    """Through names, functions and their arguments."""
    assert ["X_PURE=true"] == told(PLAIN.format(before=before, test=test))


@pytest.mark.parametrize(
    "script",
    [
        "import os\nsetup(ext_modules=[] if os.getenv('NO_C') else [Extension('x', ['x.c'])])",
        "import os\nsetup(ext_modules=not os.getenv('NO_C') and [Extension('x', ['x.c'])])",
        "import os\nkw = {}\nif not os.getenv('NO_C'):\n    kw['ext_modules'] = cythonize('x.pyx')\nsetup(**kw)",
        "import os\nclass build:\n  def run(self):\n    if os.getenv('NO_C'):\n      return\n    cythonize('x.pyx')",
        "import os\ndef run(c):\n  if c:\n    setup(ext_modules=m)\n  else:\n    setup()\nrun(not os.getenv('NO_C'))",
        "import os\nr = []\nif not os.getenv('NO_C'):\n    r.append(RustExtension('x'))\nsetup(rust_extensions=r)",
        "import os\nmods = []\nif not os.getenv('NO_C'):\n    mods += mypycify(['x.py'])\nsetup(ext_modules=mods)",
        "import os\ndef make():\n  return cythonize('x')\nif not os.getenv('NO_C'):\n  make()",
    ],
)
def test_ways_to_decide(script: str) -> None:
    """A branch, a value, a return before it, an argument; extensions of several kinds."""
    assert ["NO_C=1"] == told(script)


@pytest.mark.parametrize(
    "script",
    [
        "import os\nsetup(ext_modules=[Extension('x', ['x.c'], define_macros=[('T', os.getenv('NO_TRACE'))])])",
        "import os\nsetup(ext_modules=cythonize('x.pyx', annotate=os.environ.get('NO_HTML') == '1'))",
        "import os\nif os.getenv('NO_TESTS'):\n    packages.remove('t')\nsetup(ext_modules=[Extension('x', ['x.c'])])",
        "import os\nif os.getenv('NO_DOCS'):\n    build_docs = None\nsetup(packages=['x'])",
        "if config['NO_C']:\n    pass\nelse:\n    cythonize('x')",
        "def build(: no python",
    ],
)
def test_what_decides_about_something_else(script: str) -> None:
    """How an extension is compiled, other branches, other mappings."""
    assert [] == told(script)


def test_a_backend_of_the_source() -> None:
    """Names are constants that one function hands to another, for a variable and a setting; tracing is another."""
    assert ["X_NO_EXTENSIONS=1", "--config-setting=pure-python=1"] == told(BACKEND)


def test_an_option_taken_out_by_hand() -> None:
    """A function of the script makes the option and the variable of one name."""
    assert ["NO_CYTHON_COMPILE=true", "--no-cython-compile"] == told(OPTIONS)


def test_scripts_are_taken_as_one() -> None:
    """A name that one gives a value, another reads."""
    names = "VARIABLE = 'X_NO_EXTENSIONS'"
    assert ["X_NO_EXTENSIONS=1"] == told(names, PLAIN.format(before="", test="os.getenv(names.VARIABLE)"))


def test_several_are_told_together_at_last() -> None:
    """Each leaves out one extension; few are tried at all, however many a script reads."""
    part = "if not os.getenv('{0}'):\n    modules.append(Extension('{0}', ['x.c']))\n"
    start, end = "import os\nmodules = []\n", "setup(ext_modules=modules)\n"
    two = start + part.format("NO_A") + part.format("NO_B") + end
    assert ["NO_A=1", "NO_B=1", "NO_A=1 NO_B=1"] == told(two)
    many = start + "".join(part.format(f"NO_{number}X") for number in range(40)) + end
    assert 4 == len(told(many)) < CHOICES


def test_where_they_can_be_told() -> None:
    """``setup.py`` has options and no settings, a backend that runs none has no options."""
    option, setting = (Switch(SwitchKind.OPTION, "--pure"),), (Switch(SwitchKind.SETTING, "pure-python", "1"),)
    variable = (Switch(SwitchKind.VARIABLE, "X_PURE", "1"),)
    assert [True, False, True] == [applicable(each, "any", by_script=True) for each in (option, setting, variable)]
    backends = ("setuptools.build_meta", "own", "hatchling.build", "poetry.core.masonry.api")
    assert [True, True, False, False] == [applicable(option, each, by_script=False) for each in backends]
    assert applicable(setting, "own", by_script=False)
    assert "told X_PURE=1, which" in switched_off(variable)


@pytest.mark.parametrize(
    "script",
    [
        "x = " + "(" * 150 + "1" + ")" * 150,
        "x = " + "-" * 5000 + "1",
        "x = " + "+".join(["a"] * 3000),
        "a = '" + "x" * 300_000 + "'",
        "\n".join(f"def f{n}(a):\n  return " + "+".join(f"f{m}(os.environ)" for m in range(40)) for n in range(40)),
        "\n".join(f"def f{n}(a):\n  return f{n + 1}(f{n + 1}(f{n + 1}(os.getenv(a))))" for n in range(200)),
        "x = " + "f(" * 60 + "os.getenv('A')" + ")" * 60 + "\ndef f(a):\n  return f(f(f(f(a))))",
        "NO = 'a'\n" + "NO = NO.replace('a', 'a' * 1)\n" * 2000,
        "\0",
        "if os.getenv('\ud800'): cythonize()",
    ],
)
def test_hostile_scripts(script: str) -> None:
    """They cost little, and give nothing but what they read."""
    start = time.process_time()
    assert set(told(script + "\nif x: setup(ext_modules=[])")) <= {"A=1"}
    assert time.process_time() - start < 60  # and not for ever
