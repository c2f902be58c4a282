"""Variables, settings and options with which build scripts of a source leave its compiled extensions out (pure).

What a script reads from outside is followed through its syntax tree to what decides whether extensions are compiled: a
branch that makes them, a return before they are made, or the value that is given as ``ext_modules``. On the way are
names that are assigned, arguments of functions of the scripts, and what such functions give. Scripts are never run
here. Whether something found so does leave extensions out is for a build to show; the worst that a script can do is to
have a build tried in vain.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_LONGEST = 1 << 18
_MOST_NODES = 100_000
_DEEPEST = 4
"""Calls of functions that are followed from one to the other."""
_MOST = 4
"""No more switches are tried, each alone."""
CHOICES = _MOST + 2
"""What a build may be told: one of them, all together, or nothing."""
_MOST_VALUES = 2
"""Of one of them."""
_MOST_STEPS = 100_000
"""Nodes that are looked at, some of them again and again."""
_ROUNDS = 4
"""How often names are gone through, since one may be made of others that are assigned later."""

_SINKS = frozenset({"ext_modules", "cffi_modules", "rust_extensions"})
"""Keywords of ``setup`` that take what is to be compiled."""
_COMPILES = re.compile(r"cythoni[sz]e|mypycify|Extension$|^(?:ext_modules|rust_extensions|cffi_modules)$")
"""Names of what makes extensions."""
_OFF = ("no", "false", "off", "0", "n", "never")
_LEAVING = frozenset({"no", "not", "without", "disable", "disabled", "skip", "pure", "purepython", "ignore", "omit"})
_ASKING = frozenset(
    {"with", "use", "build", "force", "require", "required", "enable", "install", "compile", "only", "trace", "debug"}
)
"""Words of names: what leaves something out, and what asks for something."""
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*|[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_SETTING = re.compile(r"-{0,2}[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*")
_OPTION = re.compile(r"--[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,20}")
_LONGEST_NAME = 60
_RESERVED = re.compile(
    r"PATH|HOME|LANG|TZ|SHELL|TMPDIR|CC|CXX|CFLAGS|CPPFLAGS|LDFLAGS|ARCHFLAGS|SOURCE_DATE_EPOCH|CI|CIBUILDWHEEL|DEBUG"
    r"|(?:LC|LD|PIP|UV|XDG|GIT|SETUPTOOLS)_.*|PYTHON[A-Z]*"
)
"""Variables that mean something to other programs, or to the definition itself."""


_WITHOUT_OPTIONS = frozenset({"flit_core", "hatchling", "poetry", "pdm", "uv_build", "maturin", "mesonpy"})
"""Packages of build backends that run no ``setup.py`` which would read its options."""


class SwitchKind(StrEnum):
    """How a build is told."""

    VARIABLE = "variable"
    OPTION = "option"
    """Of the command line, that the script takes out of ``sys.argv``."""
    SETTING = "setting"
    """Of those that frontends give to a backend (PEP 517)."""


@dataclass(frozen=True)
class Switch:
    """One of them; name and value are those of the source."""

    kind: SwitchKind
    name: str
    value: str = ""

    @property
    def told(self) -> str:
        """As one would write it: ``X_NO_EXTENSIONS=1``, ``--no-extensions``, ``--config-setting=pure-python=1``."""
        if self.kind is SwitchKind.OPTION:
            return self.name
        return f"{'--config-setting=' if self.kind is SwitchKind.SETTING else ''}{self.name}={self.value}"

    @property
    def sense(self) -> int:
        """What its words say: -1 leaves something out, 1 asks for something, 0 for neither."""
        words = set(re.split(r"[-_.]+", self.name.lower()))
        if not words & (_LEAVING | _ASKING):
            return -1 if self.value.lower() in _OFF else 0
        leaves = bool(words & _LEAVING)
        return -1 if leaves is not (self.value.lower() in _OFF) else 1


_Key = tuple[SwitchKind, str]
_Keys = frozenset[_Key]
_NONE: _Keys = frozenset()
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _TooMuchError(Exception):
    """A script is so made that following it would take long."""


def extension_switches(scripts: Iterable[str]) -> tuple[tuple[Switch, ...], ...]:
    """What may leave extensions out, likeliest first; at last all of them that say so by their words.

    Args:
        scripts: Texts of the source's own build scripts; what is no Python is passed over.
    """
    trees = [tree for text in scripts if (tree := parsed(text)) is not None]
    try:
        found = _Scripts(trees)
        weights = found.deciding()
        switches = [Switch(*key, value) for key in weights for value in found.values(key)]
    except (RecursionError, _TooMuchError):
        return ()
    order = list(SwitchKind)
    ordered = sorted(
        (each for each in switches if each.sense <= 0),
        key=lambda each: (each.sense, -weights[each.kind, each.name], order.index(each.kind), each.name, each.value),
    )
    variables = [each for each in reversed(ordered) if each.sense < 0 and each.kind is SwitchKind.VARIABLE]
    together = tuple(sorted({each.name: each for each in variables}.values(), key=ordered.index))
    alone = [(each,) for each in ordered[:_MOST]]
    return (*alone, together) if 1 < len(together) <= _MOST else tuple(alone)


def applicable(switches: Sequence[Switch], backend: str, *, by_script: bool) -> bool:
    """Whether a build can be told so.

    Args:
        switches: What it would be told.
        backend: That the build calls.
        by_script: Whether ``setup.py`` is run instead, which is given options but no settings.
    """
    kinds = {each.kind for each in switches}
    options = by_script or backend.partition(".")[0] not in _WITHOUT_OPTIONS
    return not (SwitchKind.SETTING in kinds and by_script) and (options or SwitchKind.OPTION not in kinds)


def switched_off(switches: Sequence[Switch]) -> str:
    """What it is, as a sentence."""
    shown = " and ".join(each.told for each in switches)
    return (
        "The wheel is for any machine, and the build alone made none such: this one is told "
        f"{shown}, which the source's own build script reads, so that it leaves compiled extensions out."
    )


def parsed(text: str) -> ast.Module | None:
    """A build script that nobody runs; None where it is none, or large."""
    if len(text) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        return tree if sum(1 for _ in ast.walk(tree)) <= _MOST_NODES else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Scripts:
    """What flows where in some scripts, taken as one; names are not told apart by scope."""

    def __init__(self, trees: Sequence[ast.Module]) -> None:
        self._trees = trees
        nodes = [node for tree in trees for node in ast.walk(tree)]
        self._parents = {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}
        self._functions = {node.name: node for node in nodes if isinstance(node, _Function)}
        self._nodes = nodes
        self._constants = _constants(nodes)
        self._aliases: dict[str, SwitchKind] = {}
        self._compared: defaultdict[_Key, dict[str, None]] = defaultdict(dict)
        self._default: dict[_Key, str | None] = {}
        self._keys_of_name: defaultdict[str, set[_Key]] = defaultdict(set)
        self._direct: defaultdict[str, set[_Key]] = defaultdict(set)
        self._steps = 0
        for _ in range(_ROUNDS):
            for tree in trees:
                self._follow(tree.body, _NONE)
        self._compare_names()

    def deciding(self) -> Counter[_Key]:
        """What decides whether extensions are made, with how many places that make them it decides about."""
        found: Counter[_Key] = Counter()
        for node in self._nodes:
            for body, test in _branches(node):
                places = sum(map(self._makes, body))
                if places:
                    found.update(dict.fromkeys(self._keys(test), places))
            if isinstance(node, ast.keyword) and node.arg in _SINKS:
                found.update(dict.fromkeys(self._keys(node.value), 1))
        return found

    def values(self, key: _Key) -> list[str]:
        """What the script compares it with, words for no first; otherwise what counts as set, or as not."""
        if key[0] is SwitchKind.OPTION:
            return [""]
        compared = [each for each in self._compared[key] if _VALUE.fullmatch(each)]
        words = sorted((each for each in compared if each), key=lambda each: each.lower() not in _OFF)
        if not words:
            default = self._default.get(key, "")
            words = ["0", "1"] if default is None else ["1"] if default.lower() in {"", *_OFF} else ["0", ""]
        return words[:_MOST_VALUES]

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _TooMuchError

    def _follow(self, body: Sequence[ast.stmt], control: _Keys) -> None:
        """Note what each name is made of, and what decides that it is."""
        for statement in body:
            targets, value = _assigned(statement)
            if value is not None and (kind := _source(value, self._aliases)) is not None:
                self._aliases |= dict.fromkeys(targets, kind)
            if value is not None:
                keys = self._keys(value) | control
                for name in targets:
                    self._keys_of_name[name] |= keys
                    self._direct[name] |= self._keys(value)
            for node in ast.walk(statement) if value is not None or isinstance(statement, ast.Expr) else ():
                if isinstance(node, ast.Call):
                    self._pass_arguments(node)
            test = self._keys(statement.test) if isinstance(statement, ast.If | ast.While) else _NONE
            for inner in ("body", "orelse", "finalbody"):
                self._follow(getattr(statement, inner, None) or (), control | test)
            for handler in getattr(statement, "handlers", ()):
                self._follow(handler.body, control)
            if isinstance(statement, ast.With):
                for item in statement.items:
                    self._pass_calls(item.context_expr)

    def _pass_calls(self, node: ast.AST) -> None:
        for each in ast.walk(node):
            if isinstance(each, ast.Call):
                self._pass_arguments(each)

    def _pass_arguments(self, call: ast.Call) -> None:
        function = self._functions.get(_name(call.func))
        if function is None:
            return
        for name, value in _arguments(function, call):
            self._keys_of_name[name] |= self._keys(value)

    def _keys(self, node: ast.AST, bound: Mapping[str, str] | None = None, depth: int = 0) -> _Keys:
        """What an expression depends on; how an extension is compiled is not asked."""
        self._step()
        found: set[_Key] = set(self._read(node, bound or {}))
        if isinstance(node, ast.Name):
            found |= self._keys_of_name[node.id]
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if _COMPILES.search(name):
                return _NONE
            function = self._functions.get(name)
            if function is not None and depth < _DEEPEST:
                found.update(self._keys_of_call(function, node, bound or {}, depth))
        for child in ast.iter_child_nodes(node):
            found |= self._keys(child, bound, depth)
        return frozenset(found)

    def _keys_of_call(
        self, function: _Function, call: ast.Call, outer: Mapping[str, str], depth: int
    ) -> Iterator[_Key]:
        """What a function of the scripts reads for a call: with its arguments in, or else by what they look like."""
        texts = {name: text for name, value in _arguments(function, call) if (text := self._text(value, outer))}
        bound = dict(texts)
        unknown = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and (text := self._text(node.value, bound)) is not None:
                bound |= {each.id: text for each in node.targets if isinstance(each, ast.Name)}
        for statement in function.body:
            for node in ast.walk(statement):
                self._step()
                found = list(self._read(node, bound))
                yield from found
                if not found and (kind := _source(node, self._aliases)) is not None:
                    unknown.add(kind)
                if isinstance(node, ast.Call) and depth + 1 < _DEEPEST:
                    inner = self._functions.get(_name(node.func))
                    if inner is not None and inner is not function:
                        yield from self._keys_of_call(inner, node, bound, depth + 1)
        for text in texts.values():
            yield from (key for kind in unknown if (key := _key(kind, text)) is not None and _looks_like(kind, text))

    def _read(self, node: ast.AST, bound: Mapping[str, str]) -> Iterator[_Key]:
        """What one node reads from outside, if it does; notes the values it is compared with."""
        for kind, named, default in _reads(node, self._aliases):
            text = self._text(named, bound)
            key = _key(kind, text) if text is not None else None
            if key is None:
                continue
            if default is not None:
                self._default[key] = self._text(default, bound) or _other_default(default)
            self._note_values(key, node, bound)
            yield key

    def _note_values(self, key: _Key, node: ast.AST, bound: Mapping[str, str]) -> None:
        for around in self._around(node):
            if isinstance(around, ast.Compare):
                for each in (around.left, *around.comparators):
                    for element in each.elts if isinstance(each, ast.Set | ast.Tuple | ast.List) else (each,):
                        value = self._text(element, bound)
                        if value is not None and element is not node and value != key[1]:
                            self._compared[key][value] = None

    def _around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The expressions that a node is part of, from the inside."""
        while (node := self._parents.get(id(node), node)) and isinstance(node, ast.expr | ast.keyword):
            yield node

    def _compare_names(self) -> None:
        for node in self._nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                for key in self._direct[node.id]:
                    self._note_values(key, node, {})

    def _makes(self, node: ast.AST, depth: int = 0) -> int:
        """How many places in it make extensions, those of the functions it calls included."""
        found = 0
        for each in ast.walk(node):
            self._step()
            if isinstance(each, ast.Name | ast.Attribute):
                found += bool(_COMPILES.search(_name(each)))
            elif isinstance(each, ast.keyword | ast.Constant):
                found += (each.arg if isinstance(each, ast.keyword) else each.value) in _SINKS
            if isinstance(each, ast.Call) and depth < _DEEPEST and (called := self._functions.get(_name(each.func))):
                found += any(self._makes(inner, depth + 1) for inner in called.body)
        return found

    def _text(self, node: ast.AST, bound: Mapping[str, str]) -> str | None:
        """The text that an expression gives, where that is plain; None otherwise."""
        text: str | None = None
        match node:
            case ast.Constant(value=str(plain)):
                text = plain
            case ast.Name(id=name) | ast.Attribute(attr=name):
                text = bound.get(name, self._constants.get(name))
            case ast.FormattedValue(value=value):
                text = self._text(value, bound)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                text = self._joined((left, right), bound)
            case ast.JoinedStr(values=values):
                text = self._joined(values, bound)
            case ast.Call(func=ast.Attribute(value=value, attr=method), args=arguments):
                given = [self._text(each, bound) for each in (value, *arguments)]
                known = [each for each in given if each is not None]
                change = _CHANGES.get((method, len(arguments)))
                text = change(*known) if change is not None and known == given else None
            case _:
                pass
        return text if text is not None and len(text) <= _LONGEST_NAME else None

    def _joined(self, nodes: Sequence[ast.AST], bound: Mapping[str, str]) -> str | None:
        given = [self._text(each, bound) for each in nodes]
        known = [each for each in given if each is not None]
        return "".join(known) if known == given else None


def _other_default(node: ast.AST) -> str | None:
    """What is taken where nothing is read and that is no text: whether it counts as set; None where nobody knows."""
    return ("1" if node.value else "") if isinstance(node, ast.Constant) else None


_CHANGES: dict[tuple[str, int], Callable[..., str]] = {
    ("upper", 0): str.upper,
    ("lower", 0): str.lower,
    ("replace", 2): str.replace,
}
"""Methods of texts, by name and number of arguments."""


def _constants(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Names that are given one plain text, and no other value."""
    given: defaultdict[str, set[str | None]] = defaultdict(set)
    for node in nodes:
        if isinstance(node, ast.stmt):
            targets, value = _assigned(node)
            plain = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
            for name in targets:
                given[name].add(plain)
    return {name: text for name, [text, *others] in given.items() if text is not None and not others}


def _assigned(statement: ast.AST) -> tuple[list[str], ast.expr | None]:
    """Names that a statement gives a value to, a key or a part of them included; and the value."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            return [name for each in targets for name in _names(each)], value
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
            return _names(target), value
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "update"))):
            return [name], statement.value
        case ast.Return(value=value):
            return [], value
        case _:
            return [], None


def _names(target: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _arguments(function: _Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if isinstance(call.func, ast.Attribute) and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    yield from zip(names, call.args, strict=False)
    yield from ((each.arg, each.value) for each in call.keywords if each.arg is not None)


_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def _branches(node: ast.AST) -> Iterator[tuple[Sequence[ast.AST], ast.expr]]:
    """What is done or not by a test, and the test; what comes after a branch that leaves is done if it is not taken."""
    match node:
        case ast.If(test=test):
            yield (*node.body, *node.orelse), test
        case ast.IfExp(test=test):
            yield (node.body, node.orelse), test
        case ast.BoolOp(values=[*tests, last]):
            yield from (((last,), test) for test in tests)
        case _:
            pass
    for name in ("body", "orelse"):
        given = getattr(node, name, None)
        statements: list[ast.AST] = given if isinstance(given, list) else []
        for place, each in enumerate(statements):
            if isinstance(each, ast.If) and isinstance(each.body[-1], _LEAVES):
                yield statements[place + 1 :], each.test


_SOURCES = {"environ": SwitchKind.VARIABLE, "argv": SwitchKind.OPTION, "config_settings": SwitchKind.SETTING}


def _reads(node: ast.AST, aliases: Mapping[str, SwitchKind]) -> Iterator[tuple[SwitchKind, ast.expr, ast.expr | None]]:
    """Where something from outside is read: how, the expression of its name, and what is taken without it."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="get" | "pop"), args=[named, *others]):
            kind = _source(value, aliases)
            if kind is not None and kind is not SwitchKind.OPTION:
                yield kind, named, others[0] if others else None
        case ast.Call(func=function, args=[named, *others]) if _name(function) == "getenv":
            yield SwitchKind.VARIABLE, named, others[0] if others else None
        case ast.Subscript(value=value, slice=named, ctx=ast.Load()):
            kind = _source(value, aliases)
            if kind is not None and kind is not SwitchKind.OPTION:
                yield kind, named, None
        case ast.Compare(left=named, ops=[ast.In() | ast.NotIn()], comparators=[value]):
            kind = _source(value, aliases)
            if kind is not None:
                yield kind, named, None
        case ast.Call(func=ast.Attribute(value=ast.Set(elts=names), attr="intersection"), args=[value]):
            if _source(value, aliases) is SwitchKind.OPTION:
                yield from ((SwitchKind.OPTION, named, None) for named in names)
        case _:
            pass


def _source(node: ast.AST, aliases: Mapping[str, SwitchKind]) -> SwitchKind | None:
    """Which of the outer sources an expression is: by name, or one with something else in its place."""
    if isinstance(node, ast.BoolOp):
        return next((kind for each in node.values if (kind := _source(each, aliases)) is not None), None)
    name = _name(node)
    return _SOURCES.get(name) or (aliases.get(name) if isinstance(node, ast.Name) else None)


def _key(kind: SwitchKind, text: str) -> _Key | None:
    pattern = {SwitchKind.VARIABLE: _VARIABLE, SwitchKind.SETTING: _SETTING, SwitchKind.OPTION: _OPTION}[kind]
    if len(text) > _LONGEST_NAME or not pattern.fullmatch(text):
        return None
    return None if kind is SwitchKind.VARIABLE and _RESERVED.fullmatch(text) else (kind, text)


def _looks_like(kind: SwitchKind, text: str) -> bool:
    """Whether a text that may be either is the name of a variable, rather than that of a setting."""
    return text.isupper() is (kind is SwitchKind.VARIABLE)


def _name(node: ast.AST) -> str:
    """The last part of a dotted name; empty for other expressions."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
