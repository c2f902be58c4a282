"""The imports go one way, as docs/design.md draws them; modules stay small."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

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
    {"atomic_file", "byte_counter", "tar_members"},
    {
        "model",
        "errors",
        "resources",
        "programs",
        "stat_cache",
        "foreign_json",
        "foreign_yaml",
        "foreign_words",
        "clock",
        "deb822",
    },
    {"extras", "progress", "toml_files", "log", "shortage"},
    PARTS | {"store_layout", "stopwatch"},
    {"ecosystems"},
    {"vulnerabilities"},
    {"config", "site"},
    {"consumer"},
    {"interop"},
    {"verification", "doctor", "alarms", "fleet", "replay", "incident"},
    {"preflight"},
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
OWN_SERVERS = {
    "store/object_storage.py": {"obstore"},
    "fleet/broker.py": {"celery"},
    "fleet/runner_process.py": {"celery"},
}
"""These talk to servers of whoever runs the rebuilder, as the driver of the database does."""
MODULES = sorted(PACKAGE.rglob("*.py"))
assert len(MODULES) > 100


@cache
def tree(path: Path) -> ast.Module:
    """A module as it was parsed once for all tests."""
    return ast.parse(path.read_text())


def place(module: str) -> str:
    """First name below ``rebuilder`` of a dotted module name; empty for the package itself."""
    return module.split(".")[1] if module.count(".") else ""


def level(name: str) -> int:
    """Position of a part in the layers."""
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@cache
def imports(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, lazily or not; a relative import begins with a dot."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names if module == "rebuilder"}
    return found


def allowed(own: tuple[str, ...], name: str) -> bool:
    """Whether a module of the package, as the parts of its name, may import another by its name."""
    if not name.startswith("rebuilder."):
        return not name.startswith(".")
    if own[0] == "ecosystems" and len(own) > 2 and place(name) == "ecosystems":
        return name in SHARED or name.split(".")[2:3] == [own[1]]
    if place(name) in {own[0], "__version__"} or name in PROTOCOLS:
        return True
    if f"rebuilder.{'.'.join(own)}" in PROTOCOLS:
        return place(name) in {"model", "errors"}
    return level(place(name)) < level(own[0])


def test_imports_go_one_way() -> None:
    """A module imports its own part and layers below; siblings never; ecosystems never each other."""
    parts = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in MODULES}
    wrong = [f"{path} imports {name}" for path in MODULES for name in imports(path) if not allowed(parts[path], name)]
    assert [] == wrong


def test_sandbox_programs_stand_alone() -> None:
    """What runs inside the sandbox needs the standard library only."""
    programs = [path for path in MODULES if path.is_relative_to(PACKAGE / "programs")]
    needed = {(path.name, name) for path in programs for name in imports(path)}
    assert len(needed) > len(programs)
    others = [each for each in needed if not each[1].startswith("rebuilder.programs")]
    assert [] == [each for each in others if each[1].split(".")[0] not in sys.stdlib_module_names]


def test_modules_have_one_job() -> None:
    """No module over 600 lines, none without a first line of documentation, none named for nothing."""
    assert [] == [path for path in MODULES if len(path.read_text().splitlines()) > 600]
    assert [] == [path for path in MODULES if not ast.get_docstring(tree(path))]
    assert [] == [path for path in MODULES if path.stem in {"utils", "helpers", "common", "misc", "manager"}]


def test_model_does_no_input_or_output() -> None:
    """Values are values: nothing in model/ touches files, processes or the network."""
    forbidden = {"os", "subprocess", "socket", "pathlib", "httpx", "sqlalchemy", "shutil", "tempfile"}
    models = [path for path in MODULES if path.parent == PACKAGE / "model"]
    assert models
    for path in models:
        assert not forbidden & {name.split(".")[0] for name in imports(path)}, path.name


def test_values_are_replaced_with_validation() -> None:
    """Pydantic's copies take any type and keep digests worked out before; ``Value.replace`` is the one way."""
    tests = [path for path in (ROOT / "tests").rglob("*.py") if "assets" not in path.parts]  # run with older versions
    banned = re.compile(r"\.model_(copy|construct)\b")
    assert [] == [path for path in (*MODULES, *tests) if banned.search(path.read_text())], "use Value.replace"


def test_network_is_in_network_only() -> None:
    """Nothing outside network/ can open a connection; the sandbox talks to its launcher by a Unix socket pair.

    The command talks to the resident process of its user by a Unix socket.
    """
    network = {
        "httpx",
        "socket",
        "urllib.request",
        "http.client",
        "ftplib",
        "requests",
        "httpcore",
        "obstore",
        "celery",
    }
    others = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "network"]
    assert others
    for path in others:
        found = network & {"celery" if name.startswith("celery.") else name for name in imports(path)}
        found -= OWN_SERVERS.get(str(path.relative_to(PACKAGE)), set())
        if path.relative_to(PACKAGE).parts[0] == "sandbox" and found == {"socket"}:
            assert not re.search(r"AF_INET|create_connection|\.connect\(|\.bind\(", path.read_text()), path
            continue
        if path.relative_to(PACKAGE).as_posix() in {"cli/entry.py", "cli/resident.py"}:
            assert not re.search(r"AF_(?!UNIX\b)|create_connection|socketpair", path.read_text()), path
            continue
        assert not found, path


def test_examining_knows_no_ledger() -> None:
    """What examines writes to a journal; only what signs, in a process of its own, reads the ledger."""
    modules = sorted((PACKAGE / "verification").glob("*.py"))
    knowing = {path.stem for path in modules if any(".store.ledger" in name for name in imports(path))}
    assert {"signer", "log_writer", "published_keys"} == knowing
