"""The imports go one way, as docs/design.md draws them; modules stay small."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rebuilder"
PARTS = {
    "provenance",
    "environments",
    "sandbox",
    "compare",
    "diagnose",
    "signing",
    "network",
    "store",
}
LAYERS: list[set[str]] = [
    {"atomic_file"},
    {"model", "errors", "resources", "programs", "stat_cache", "foreign_json", "foreign_words", "clock"},
    {"extras", "progress", "toml_files"},
    PARTS | {"cache_counter", "store_layout", "stopwatch"},
    {"ecosystems"},
    {"config", "site"},
    {"verification", "doctor", "alarms"},
    {"wiring"},
    {"service"},
    {"cli"},
]
PROTOCOLS = {f"rebuilder.{part}.protocol" for part in PARTS}
"""What parts on one level ask of each other; a protocol imports only values and other protocols."""
SHARED = {f"rebuilder.ecosystems.{path.stem}" for path in (PACKAGE / "ecosystems").glob("*.py")} - {
    "rebuilder.ecosystems.registry"
}
"""What every ecosystem may use; the registry knows them all, and none of them knows it."""
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(module: str) -> str:
    """First name below ``rebuilder`` of a dotted module name; empty for the package itself."""
    return module.split(".")[1] if module.count(".") else ""


def level(name: str) -> int:
    """Position of a part in the layers."""
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


def imports(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, lazily or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "rebuilder"}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """A module imports its own part and layers below; siblings never; ecosystems never each other."""
    own = path.relative_to(PACKAGE).with_suffix("").parts
    if own == ("__init__",):
        return
    for name in imports(path):
        if not name.startswith("rebuilder.") or place(name) in {own[0], "__version__"} or name in PROTOCOLS:
            continue
        if f"rebuilder.{'.'.join(own)}" in PROTOCOLS:
            assert place(name) in {"model", "errors"}, f"{'.'.join(own)} imports {name}"
        assert level(place(name)) < level(own[0]), f"{'.'.join(own)} imports {name}"
    if own[0] == "ecosystems" and len(own) > 2:
        others = {name for name in imports(path) if name.startswith("rebuilder.ecosystems.")} - SHARED
        assert all(name.split(".")[2] == own[1] for name in others), f"{own} imports another ecosystem"


@pytest.mark.parametrize("path", sorted((PACKAGE / "programs").rglob("*.py")), ids=lambda path: path.name)
def test_sandbox_programs_stand_alone(path: Path) -> None:
    """What runs inside the sandbox needs the standard library only."""
    for name in imports(path):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or name.startswith("rebuilder.programs"), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_have_one_job(path: Path) -> None:
    """No module over 600 lines, none without a first line of documentation, none named for nothing."""
    text = path.read_text()
    assert len(text.splitlines()) <= 600
    assert ast.get_docstring(ast.parse(text)), "a module says in its first line what it is for"
    assert path.stem not in {"utils", "helpers", "common", "misc", "manager"}


def test_model_does_no_input_or_output() -> None:
    """Values are values: nothing in model/ touches files, processes or the network."""
    forbidden = {"os", "subprocess", "socket", "pathlib", "httpx", "sqlalchemy", "shutil", "tempfile"}
    for path in (PACKAGE / "model").glob("*.py"):
        assert not forbidden & {name.split(".")[0] for name in imports(path)}, path.name


def test_values_are_replaced_with_validation() -> None:
    """Pydantic's copies take any type and keep digests worked out before; ``Value.replace`` is the one way."""
    banned = {"model_copy", "model_construct"}
    tests = [path for path in (ROOT / "tests").rglob("*.py") if "assets" not in path.parts]  # run with older versions
    for path in (*MODULES, *tests):
        named = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not banned & named, f"{path} uses {banned & named}; use Value.replace"


def test_network_is_in_network_only() -> None:
    """Nothing outside network/ can open a connection; the sandbox talks to its launcher by a Unix socket pair."""
    network = {"httpx", "socket", "urllib.request", "http.client", "ftplib", "requests", "httpcore"}
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] == "network":
            continue
        found = network & imports(path)
        if path.relative_to(PACKAGE).parts[0] == "sandbox" and found == {"socket"}:
            assert not re.search(r"AF_INET|create_connection|\.connect\(|\.bind\(", path.read_text()), path
            continue
        assert not found, path


def test_examining_knows_no_ledger() -> None:
    """What examines writes to a journal; only the signer, in a process of its own, reads and signs in the ledger."""
    modules = sorted((PACKAGE / "verification").glob("*.py"))
    knowing = {path.stem for path in modules if any(".store.ledger" in name for name in imports(path))}
    assert {"signer"} == knowing
