"""Python files that a build writes itself, told by a shape in which no code has room."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import partial

_VERSION_FILE = re.compile(r"version|__about__|scm", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9 ._+:!/()-]{0,100}")
"""Versions, dates, names of branches and commits."""
_PLACEHOLDER = re.compile(r"@[A-Za-z0-9_]{1,80}@|\$\{[A-Za-z0-9_]{1,80}\}|\{\{ ?[A-Za-z0-9_]{1,80} ?\}\}")
_MARK = "_filled_in_"
_MARKED = re.compile(rf"_{_MARK}[0-9a-f]+_")
_ABOUT_VERSIONS = re.compile(
    r"version|commit|revision|release|date|branch|build|dirty|^git|_git|^TYPE_CHECKING$|^__all__$", re.IGNORECASE
)
"""Names that a version module assigns, whatever it is called itself."""
_READ_BY_PYTHON = {"__getattr__", "__dir__", "__path__", "__builtins__", "__spec__", "__loader__", "__package__"}
"""Names of a module that say how it is imported, or are called."""
_MOST_NODES = 400


def is_version_file(name: str, content: bytes) -> bool:
    """Whether a version module, by its name or by the names in it, only assigns plain values.

    Names are given texts, numbers, None, booleans and tuples, lists or dictionaries of these, or other such names;
    annotations are names. Texts hold what versions, dates and identifiers of commits hold. The types of a checker may
    be imported where the program itself says that it is not one (``TYPE_CHECKING = False``).
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    nodes = list(ast.walk(tree))
    assigned = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    if len(nodes) > _MOST_NODES or not assigned or _READ_BY_PYTHON.intersection(assigned):
        return False
    if not _VERSION_FILE.search(name.rpartition("/")[2]) and not all(map(_ABOUT_VERSIONS.search, assigned)):
        return False
    checked = False
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.If) and checked and _is_type_check(node):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and number == 0:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        if not _assigns_plainly(node):
            return False
        checked = checked or (
            isinstance(node, ast.Assign)
            and ast.dump(node.targets[0]) == ast.dump(ast.Name("TYPE_CHECKING", ast.Store()))
            and isinstance(node.value, ast.Constant)
            and node.value.value is False
        )
    return True


def _assigns_plainly(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return all(isinstance(each, ast.Name) for each in node.targets) and _is_plain(node.value)
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and _is_type(node.annotation) and _is_plain(node.value)
    return False


def _is_plain(node: ast.expr | None) -> bool:
    if node is None or isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.Constant):
        value = node.value
        return (
            bool(_PLAIN.fullmatch(value))
            if isinstance(value, str)
            else value is None or isinstance(value, (int, float))
        )
    if isinstance(node, (ast.Tuple, ast.List)):
        return all(map(_is_plain, node.elts))
    if isinstance(node, ast.Dict):
        return all(map(_is_plain, (*node.keys, *node.values)))
    return False


def _is_type(node: ast.expr) -> bool:
    """Names, texts and what stands between brackets behind a name: nothing is called."""
    allowed = (
        ast.Name,
        ast.Load,
        ast.Subscript,
        ast.Tuple,
        ast.Constant,
        ast.BinOp,
        ast.BitOr,
        ast.Attribute,
        ast.List,
    )
    return all(isinstance(each, allowed) for each in ast.walk(node))


def _is_type_check(node: ast.If) -> bool:
    """``if TYPE_CHECKING:`` with imports of ``typing`` and aliases; whatever is not for the checker is plain."""
    if not isinstance(node.test, ast.Name) or node.test.id != "TYPE_CHECKING":
        return False
    for each in node.body:
        typing = isinstance(each, ast.ImportFrom) and each.module == "typing"
        alias = (
            isinstance(each, ast.Assign)
            and all(isinstance(to, ast.Name) for to in each.targets)
            and _is_type(each.value)
        )
        if not typing and not alias:
            return False
    return all(map(_assigns_plainly, node.orelse))


_BINDINGS = """\
from .{0} import *

__doc__ = {0}.__doc__
if hasattr({0}, '__all__'):
    __all__ = {0}.__all__"""


def is_bindings_package(path: str, content: bytes) -> bool:
    """Whether a package only hands on the extension module of its own name: maturin writes it where there is none."""
    folder, _, name = path.rpartition("/")
    module = folder.rpartition("/")[2]
    try:
        return name == "__init__.py" and ast.unparse(ast.parse(content)) == ast.unparse(
            ast.parse(_BINDINGS.format(module))
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


_CACHED = re.compile(r"(?P<folder>.*?)__pycache__/(?P<module>[^/.]+)\.[a-z]+-?\d+(?:\.opt-\d)?\.pyc")
_QUARTER, _DAY = 900, 15 * 3600
_OLDEST = 315_532_800 + 2 * 86400
"""The beginning of 1980 in every time zone: where packers and image builders have times begin."""


def cached_module(path: str) -> str | None:
    """The path of the module that a file of byte code lies beside; None where it lies elsewhere."""
    found = _CACHED.fullmatch(path)
    return f"{found['folder']}{found['module']}.py" if found else None


def is_never_loaded(head: bytes, seconds: int) -> bool:
    """Whether Python takes byte code for out of date, whatever an installer makes of the times in the archive.

    It names the time of the module it was made from (https://docs.python.org/3/reference/import.html#pyc-invalidation).
    Installers give modules the time of the installation, or that of the archive, which has no time zone.

    Args:
        head: Its first 16 bytes at least.
        seconds: Time of the module in the archive, as if that were in UTC.
    """
    if len(head) < 16 or head[4:8] != bytes(4):
        return False  # no time is looked at, or none is there
    stamp = int.from_bytes(head[8:12], "little")
    if not _OLDEST < stamp < seconds + _DAY:
        return False  # modules may be given a time that stands for none, or be installed at one to come
    apart = abs(stamp - seconds)
    return apart > _DAY or 2 < apart % _QUARTER < _QUARTER - 2


def fills_template(template: bytes, content: bytes) -> bool:
    """Whether a Python file is a template of the source with plain values in it, and nothing else changed.

    Both are read as programs. They must be the same but for placeholders (``@NAME@`` and the like): inside of a text
    one may stand for a piece of that text, and by itself for one constant. Such a text is the value of a name, or goes
    into a container, to a method of texts or to a function of the template, and the template has nothing that runs
    texts: no value becomes code, or a place of it.
    """
    marked = _PLACEHOLDER.sub(lambda match: f"_{_MARK}{match[0].encode().hex()}_", template.decode("utf-8", "replace"))
    try:
        tree = ast.parse(marked)
        nodes = list(ast.walk(tree))
        names = {each.id for each in nodes if isinstance(each, ast.Name)}
        names |= {each.attr for each in nodes if isinstance(each, ast.Attribute)}
        names |= {each.name.rpartition(".")[2] for each in nodes if isinstance(each, ast.alias)}
        own = _PLAIN_CALLS | {each.name for each in nodes if isinstance(each, ast.FunctionDef)}
        return _MARK in marked and not names & _RUNS_TEXTS and _filled(tree, ast.parse(content), own)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


_PLAIN_CALLS = {"bool", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}
_TEXT_METHODS = {"lower", "lstrip", "replace", "rstrip", "split", "splitlines", "strip", "upper"}
_VALUE = r"[^\x00-\x1f\x7f]{0,2000}"
"""Of a placeholder: versions, options of compilers, paths, in one line."""
_RUNS_TEXTS = _READ_BY_PYTHON | {
    *(
        "exec",
        "eval",
        "compile",
        "execfile",
        "import_module",
        "__import__",
        "importlib",
        "runpy",
        "builtins",
        "getattr",
    ),
    *(
        "system",
        "popen",
        "Popen",
        "subprocess",
        "ctypes",
        "CDLL",
        "loads",
        "load",
        "pickle",
        "marshal",
        "environ",
        "codecs",
    ),
    *(
        "setattr",
        "globals",
        "locals",
        "vars",
        "__dict__",
        "modules",
        "spec_from_file_location",
        "run_path",
        "run_module",
    ),
}
"""Names with which a text becomes code, or says where code is."""


def _filled(before: object, after: object, own: Collection[str]) -> bool:
    """Whether the second is the first with values; ``own``: functions of the template."""
    value = getattr(after, "value", None)
    if isinstance(before, ast.Name) and _MARKED.fullmatch(before.id):
        return isinstance(after, ast.Constant) and (not isinstance(value, str) or bool(re.fullmatch(_VALUE, value)))
    if isinstance(before, ast.Constant) and isinstance(before.value, str) and _MARK in before.value:
        pattern = _VALUE.join(map(re.escape, _MARKED.split(before.value)))
        return isinstance(after, ast.Constant) and isinstance(value, str) and bool(re.fullmatch(pattern, value))
    if isinstance(before, ast.AST) and isinstance(after, ast.AST) and type(before) is type(after):
        if not _takes_values(before, own):
            return ast.dump(before) == ast.dump(after)
        return all(_filled(getattr(before, name, None), getattr(after, name, None), own) for name in before._fields)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(partial(_filled, own=own), before, after))
    return type(before) is type(after) and before == after


def _takes_values(node: ast.AST, own: Collection[str]) -> bool:
    """Whether texts below it are only kept under a name, changed, or given to a function of the template."""
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute):
            return called.attr in _TEXT_METHODS
        return isinstance(called, ast.Name) and called.id in own
    return not isinstance(node, ast.Assign) or all(isinstance(each, ast.Name) for each in node.targets)


_PATCH = re.compile(
    rb"(?:\n*|\"{6} )# start delvewheel patch\n(?P<patch>.{1,8000}?)\n# end delvewheel patch(?:\n+|\Z)", re.DOTALL
)
_PATCH_NAME = re.compile(r"_delvewheel_(?:patch|init_patch)_[0-9_]{1,20}")
_PATCH_CALLS = re.compile(
    r"os\.(?:add_dll_directory|path\.(?:abspath|join|dirname|isdir|isfile|exists))|_delvewheel_(?:init_)?patch_[0-9_]{1,20}"
)
_PATCH_NODES = (
    *(ast.FunctionDef, ast.arguments, ast.Import, ast.alias, ast.If, ast.NamedExpr, ast.Assign, ast.Expr, ast.Delete),
    *(ast.Call, ast.Name, ast.Attribute, ast.Constant, ast.Load, ast.Store, ast.Del, ast.Module),
)


def without_delvewheel(content: bytes) -> list[bytes]:
    """What a module may have been before delvewheel put its patch in; empty when it did not, or the patch is another.

    The patch of delvewheel adds the directory of the libraries that it copied in to those where Windows looks. Nothing
    is called in it but that, its own function and functions about paths.
    """
    found = _PATCH.search(content)
    if found is None or not _is_patch(found["patch"]):
        return []
    before, after = content[: found.start()], content[found.end() :]
    # How many empty lines there were is not known.
    return [before + b"\n" * number + after for number in range(5)]


def _is_patch(patch: bytes) -> bool:
    try:
        tree = ast.parse(patch)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(map(_may_be_in_patch, ast.walk(tree)))


def _may_be_in_patch(node: ast.AST) -> bool:
    name, value = getattr(node, "id", ""), getattr(node, "value", None)
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list and _PATCH_NAME.fullmatch(node.name) is not None
    if isinstance(node, ast.Import):
        return [(each.name, each.asname) for each in node.names] == [("os", None)]
    if isinstance(node, ast.Call):
        return not node.keywords and _PATCH_CALLS.fullmatch(ast.unparse(node.func)) is not None
    if isinstance(node, (ast.Attribute, ast.Name)) and not isinstance(node.ctx, ast.Load):
        return name == "libs_dir" or _PATCH_NAME.fullmatch(name) is not None
    if isinstance(node, ast.Constant):
        return value is None or (isinstance(value, str) and re.fullmatch(r"\.|[\w.-]+\.libs", value) is not None)
    return isinstance(node, _PATCH_NODES)
