"""With which command line setuptools packed a wheel (pure)."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass

from rebuilder.ecosystems.pypi.requirements import BACKENDS, LEGACY_BACKEND, BuildSystem
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces
from rebuilder.model.evidence import Inspection, normal_path

_TAG = re.compile(r"(?:py|cp|pp)\d{1,4}", re.ASCII)
_TAGS = 1 << 16
"""``--universal``, or one of the tags above: three kinds of them with up to four digits."""
_DISTUTILS = re.compile(r"^\s*(?:from|import)\s+distutils\.core\b", re.MULTILINE)
ARCHITECTURE = r"(?:x86_64|i686|aarch64|arm64|armv7l|ppc64|ppc64le|s390x|riscv64|loongarch64|universal2|intel)"
_PLATFORM = re.compile(
    r"any|win32|win_amd64|win_arm64|win_ia64"
    rf"|(?:linux|manylinux1|manylinux20\d\d|(?:many|musl)linux_\d_\d{{1,2}}|macosx_\d{{1,2}}_\d{{1,2}})_{ARCHITECTURE}",
    re.ASCII,
)
_ABI = re.compile(r"none|abi3|cp\d{2,3}t?|cp3\dm", re.ASCII)
_PLATFORMS = 1 << 18
"""No more are written so."""
_WORD_CHARACTERS = 63
_BUILD = re.compile(r"\d\w{0,40}", re.ASCII)
_PACKERS = {backend.partition(".")[0] for backend in BACKENDS.values()}
"""Packages of build backends that pack wheels themselves, and say so in ``Generator``."""


SCRIPT = ("setup.py",)
NO_SCRIPT = ("-c", "import setuptools; setuptools.setup()")
"""Where the source has no ``setup.py``; the backend of setuptools does without one, too."""
PLAIN_SCRIPT = ("-c", "import setuptools; __file__ = 'setup.py'; exec(open(__file__).read())")
"""Where it is one of distutils alone, which has no ``bdist_wheel`` unless whoever runs it imports setuptools before."""


@dataclass(frozen=True)
class SetupCommand:
    """``setup.py bdist_wheel`` with its options, run in the source tree instead of a backend's hook."""

    options: tuple[str, ...]
    sentence: str
    """Why this and not the hook."""
    script: tuple[str, ...] = SCRIPT
    """What Python runs; see :data:`SCRIPT`, :data:`NO_SCRIPT` and :data:`PLAIN_SCRIPT`."""


def own_directory(source: Inspection, top: str, package: str) -> str | None:
    """Directory below ``top`` that holds a package of this name, nearest to the top; None when none does."""
    start, end = f"{top}/" if top else "", f"{package}/__init__.py"
    names = (normal_path(member.name) for member in source.members)
    found = [name[len(start) : -len(end)] for name in names if name.startswith(start) and name.endswith(f"/{end}")]
    return min((each.strip("/") for each in found), key=lambda path: (path.count("/"), path), default=None)


def setup_command(
    traces: WheelTraces, filename: str, system: BuildSystem, *, setup_py: str | None, setup_cfg: str | None
) -> SetupCommand | None:
    """The command that the wheel points to; None when the backend's hook is the better candidate.

    A source without ``[build-system]`` was packed by running ``setup.py``, as was the habit; so was one whose backend
    would have named itself; and options that show in the tags of the wheel, but not in ``setup.cfg``, were given on the
    command line, which hooks have none of.
    """
    generator = traces.generator
    if generator is None or generator.name not in {"bdist_wheel", "setuptools"}:
        return None
    if setup_py is None and not system.backend.startswith("setuptools."):
        return None
    options, seen = _options(traces, filename, setup_cfg)
    script = NO_SCRIPT if setup_py is None else PLAIN_SCRIPT if _is_plain(setup_py) else SCRIPT
    if options:
        shown = "setup.py" if setup_py is not None else "setuptools"
        sentence = f"{seen}: {' '.join(options)} was on the command line of {shown} bdist_wheel."
        return SetupCommand(options, sentence, script)
    if system.backend == LEGACY_BACKEND and generator.name == "bdist_wheel" and setup_py is not None:
        return SetupCommand((), "pyproject.toml names no backend: setup.py bdist_wheel is run.", script)
    if system.backend.partition(".")[0] in _PACKERS and setup_py is not None:
        return SetupCommand(
            (),
            f"{system.backend} names itself in the wheels it makes, this one {generator.name}: setup.py was run.",
            script,
        )
    return None


def option_choices(options: tuple[str, ...]) -> int:
    """How many command lines there could be that are like this one: of a closed set, but for a build number."""
    choices = 1
    for option in options:
        name, _, value = option.partition("=")
        if name in {"--build-number", "--build"}:
            choices *= (10 if value.isdecimal() else _WORD_CHARACTERS) ** len(value)
        else:
            size = _PLATFORMS if name in {"--plat-name", "--platform-tag"} else _TAGS
            choices *= size ** len(value.split("."))
    return choices


def name_parts(filename: str) -> tuple[str | None, str, str, str]:
    """Build number and tags of a wheel's file name: ``(None, "py3", "none", "any")``."""
    parts = filename.removesuffix(".whl").split("-")
    build = parts[2] if len(parts) == 6 and _BUILD.fullmatch(parts[2]) else None
    python, abi, platform = parts[-3:] if len(parts) > 3 else ("", "", "")
    return build, python, abi, platform


def version_choices(version: str) -> int:
    """How many versions there could be of this length, written with the same kinds of characters."""
    kinds = ((11, r"[0-9.]+"), (40, r"[0-9a-z.+!_-]+"))
    characters = next((number for number, kind in kinds if re.fullmatch(kind, version)), 66)
    return int(characters ** len(version))


def retag_options(made: str, published: str) -> tuple[str, ...]:
    """Options of ``wheel tags`` that give a pure wheel the published name; none where it has it, or they cannot."""
    before, after = name_parts(made), name_parts(published)
    if made.split("-")[:2] != published.split("-")[:2] or before[0] is not None or before[2:] != ("none", "any"):
        return ()
    names = ("--build", "--python-tag", "--abi-tag", "--platform-tag")
    known = (_BUILD, _TAG, _ABI, _PLATFORM)
    options = []
    for name, pattern, old, new in zip(names, known, before, after, strict=True):
        if new is not None and new != old:
            if not all(pattern.fullmatch(each) for each in new.split(".")):
                return ()
            options.append(f"{name}={new}")
    return tuple(options)


def _options(traces: WheelTraces, filename: str, setup_cfg: str | None) -> tuple[tuple[str, ...], str]:
    options: list[str] = []
    seen: list[str] = []
    build, _, abi, platform = name_parts(filename)
    tags = {tag.split("-")[0] for tag in traces.tags}
    configured = _configured_tags(setup_cfg)
    if tags != configured and abi == "none":
        if tags == {"py2", "py3"}:
            options.append("--universal")
        elif len(tags) == 1 and _TAG.fullmatch(tag := next(iter(tags))):
            options.append(f"--python-tag={tag}")
        seen.append(
            f"The wheel is for {' and '.join(sorted(tags))}, setup.cfg alone would make it one for "
            f"{' and '.join(sorted(configured))}"
        )
    if abi == "none" and platform != "any" and _PLATFORM.fullmatch(platform) and traces.root_is_purelib:
        options.append(f"--plat-name={platform}")
        seen.append("The wheel is tagged for a platform that nothing in it is compiled for")
    if build is not None:
        options.append(f"--build-number={build}")
        seen.append("The file name has a build number")
    return tuple(options), "; ".join(seen)


def _is_plain(setup_py: str) -> bool:
    return "setuptools" not in setup_py and bool(_DISTUTILS.search(setup_py))


def _configured_tags(setup_cfg: str | None) -> set[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(setup_cfg or "")
    except configparser.Error:
        return {"py3"}
    for section in ("bdist_wheel", "wheel"):
        if parser.get(section, "universal", fallback="0").strip().lower() in {"1", "true", "yes", "on"}:
            return {"py2", "py3"}
        for name in ("python_tag", "python-tag"):
            tag = parser.get(section, name, fallback="").strip()
            if tag:
                return set(tag.split("."))
    return {"py3"}
