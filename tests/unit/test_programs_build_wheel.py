"""The PEP 517 frontend, run as it is in the sandbox: from a zip application, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.programs.command import BYTECODE
from rebuilder.programs.pypi.frontend import HOOK_FAILED, NO_BACKEND, NO_OUTPUT, load_backend
from rebuilder.sandbox.program_runner import program_archive

BACKEND = """
import os, sys
def get_requires_for_build_wheel(config_settings=None):
    with open("left-behind", "a") as file:
        file.write("x")
    os.environ["SEEN"] = "1"
    return ["dynamic>=1"]
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    assert "SEEN" not in os.environ, "the other hook ran in this process"
    assert os.path.exists("left-behind"), "the other hook did not run"
    assert os.getcwd() not in sys.path and "" not in sys.path
    assert not any(path.endswith((".pyz", ".bytecode")) for path in sys.path)
    assert not any(path.endswith((".pyz", ".bytecode")) for path in sys.path_importer_cache)
    try:
        import rebuilder
    except ImportError:
        pass
    else:
        raise AssertionError("our own program can be imported")
    name = "x-1-py3-none-any.whl"
    open(os.path.join(wheel_directory, name), "w").close()
    return name
"""


@pytest.fixture(scope="module", params=[False, True], ids=["as it is", "with byte code"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The family as one zip application, by itself or with its byte code beside it."""
    path = tmp_path_factory.mktemp("program") / "pypi.pyz"
    path.write_bytes(program_archive("pypi"))
    if request.param:
        options = ("--application", path, "--out", f"{path}{BYTECODE}")
        subprocess.run([sys.executable, "-s", "-S", path, "bytecode", *options], check=True, timeout=300)
    return path


def call(program: Path, source: Path, *options: str, backend: str = "backend") -> subprocess.CompletedProcess[str]:
    """Run ``build_wheel`` for a source tree."""
    (source.parent / "out").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-E", "-S", program, "build_wheel", "--backend", backend, "--source", source, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=source.parent,
    )


def tree(tmp_path: Path, backend: str = BACKEND) -> Path:
    """A source tree that holds its own backend."""
    source = tmp_path / "src"
    (source / "tools").mkdir(parents=True)
    (source / "tools" / "backend.py").write_text(backend)
    return source


def test_builds_as_a_frontend_does(program: Path, tmp_path: Path) -> None:
    """Hooks run in order, in processes of their own, in the source tree, without us on the path."""
    source = tree(tmp_path)
    done = call(program, source, "--backend-path", "tools", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "x-1-py3-none-any.whl").exists()
    assert done.stdout.splitlines() == [
        "build_wheel: the backend requires dynamic>=1",
        "build_wheel: x-1-py3-none-any.whl",
    ]


def test_settings_reach_both_hooks(program: Path, tmp_path: Path) -> None:
    """As frontends give them; options that setuptools passes on are a list. What one hook does to them stays there."""
    source = tree(
        tmp_path,
        "import json\n"
        "def get_requires_for_build_wheel(settings):\n"
        "    open('asked.json', 'w').write(json.dumps(settings))\n    settings.clear()\n    return []\n"
        "def build_wheel(out, settings, metadata):\n    open('built.json', 'w').write(json.dumps(settings))\n"
        "    open(out + '/z-1-py3-none-any.whl', 'w').close()\n    return 'z-1-py3-none-any.whl'\n",
    )
    told = ("--config-setting=pure-python=a=b", "--config-setting=--global-option=--pure")
    done = call(program, source, "--backend-path", "tools", "--out", str(tmp_path / "out"), *told)
    assert done.returncode == 0, done.stderr
    expected = {"pure-python": "a=b", "--global-option": ["--pure"]}
    assert [expected] * 2 == [json.loads((source / name).read_text()) for name in ("asked.json", "built.json")]


def test_asks_for_requirements_only(program: Path, tmp_path: Path) -> None:
    """With --requires-only nothing is built."""
    result = tmp_path / "requires.json"
    done = call(program, tree(tmp_path), "--backend-path", "tools", "--requires-only", "--result", str(result))
    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text()) == {"requires": ["dynamic>=1"]}
    assert not list((tmp_path / "out").iterdir())


def test_backend_object(program: Path, tmp_path: Path) -> None:
    """``module:object.attribute`` leads to an object with the hooks; a missing optional hook is no error."""
    source = tree(
        tmp_path,
        "class Outer:\n    class inner:\n        @staticmethod\n"
        "        def build_wheel(out, settings, metadata):\n"
        "            open(out + '/y-1-py3-none-any.whl', 'w').close()\n            return 'y-1-py3-none-any.whl'\n",
    )
    options = ("--backend-path", "tools", "--out", str(tmp_path / "out"))
    done = call(program, source, *options, backend="backend:Outer.inner")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "y-1-py3-none-any.whl").exists()


@pytest.mark.parametrize(
    ("backend", "code", "words"),
    [
        ("import sys; sys.exit(0)", NO_BACKEND, "backend cannot be imported"),
        ("", HOOK_FAILED, "build_wheel failed"),
        ("def build_wheel(*a): raise SystemExit(0)", HOOK_FAILED, "build_wheel failed"),
        ("def build_wheel(*a): return 'gone.whl'", NO_OUTPUT, "'gone.whl', which is not there"),
        ("def build_wheel(*a): return 7", NO_OUTPUT, "7, which is not there"),
        ("def get_requires_for_build_wheel(s): return 'text'", HOOK_FAILED, "no list of texts"),
        ("def get_requires_for_build_wheel(s): return ['x'] * 999", HOOK_FAILED, "999 requirements"),
        ("import os\ndef get_requires_for_build_wheel(s): os.kill(os.getpid(), 9)", 128 + 9, ""),
    ],
)
def test_failures_are_told_apart(program: Path, tmp_path: Path, backend: str, code: int, words: str) -> None:
    """Each way a backend can fail has its exit code and a sentence; leaving quietly is a failure too."""
    done = call(program, tree(tmp_path, backend), "--backend-path", "tools", "--out", str(tmp_path / "out"))
    assert done.returncode == code, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("name", ["nothing.here", "json"])
def test_backend_must_be_where_the_project_says(program: Path, tmp_path: Path, name: str) -> None:
    """With a backend-path, a module from elsewhere is not taken (PEP 517)."""
    done = call(program, tree(tmp_path), "--backend-path", "tools", "--out", str(tmp_path / "out"), backend=name)
    assert done.returncode == NO_BACKEND
    assert f"{name} cannot be imported" in done.stderr


def test_output_is_required(program: Path, tmp_path: Path) -> None:
    """A call that could give no result is refused before anything runs."""
    assert call(program, tree(tmp_path), "--requires-only").returncode == 2


def test_setuptools_without_a_legacy_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 40.8 the module itself does what that does; any other attribute has to be there."""
    (tmp_path / "oldbackend.py").write_text("name = 'the module'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert "the module" == load_backend("oldbackend:__legacy__", []).name
    assert str(tmp_path) == sys.path[0]
    with pytest.raises(AttributeError):
        load_backend("oldbackend:hooks", [])
