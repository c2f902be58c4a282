"""``compare_binaries PUBLISHED REBUILT --result PATH``: how far the compiled members of two wheels are the same.

Functions are compared by their instructions, with addresses replaced by what they stand for. ``objdump`` gets nothing
but the code of functions: no header, no name and no table of a file reaches it.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import os
import re
import subprocess
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import IO, Any

from rebuilder.programs.answer import answered
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import Entry
from rebuilder.programs.binary.code import CODE_BYTES, Code, Function
from rebuilder.programs.binary.view import MalformedError, View, text

MEMBERS = 200
"""Most pairs that are compared."""
_LISTED = 40
_OBJDUMP = "/usr/bin/objdump"
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(.*)")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_BRANCH = re.compile(r"^(?:(?:bnd|notrack|data16) )*(?:callq?|j[a-z]+|loop\w*|xbegin|b|bl|b\.\w+|cbn?z|tbn?z)\s")
_RELATIVE = re.compile(r"-?0x[0-9a-f]+\(%rip\)")
_COMMENT = re.compile(r"\s*# 0x([0-9a-f]+)\s*$")
_GAP = b"\x90" * 16
"""Between functions: an instruction that a function is cut off in does not reach into the next one."""
_TEXT = re.compile(rb"[\x20-\x7e\t]{5,}")
_TEXTS = 100_000


def main(argv: list[str]) -> int:
    """Compare; 0 whatever the result."""
    parser = argparse.ArgumentParser(prog="compare_binaries")
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("rebuilt", metavar="REBUILT")
    with tempfile.TemporaryDirectory() as directory:
        return answered(parser, argv, lambda given: compare(given.published, given.rebuilt, directory))


def compare(published: str, rebuilt: str, directory: str) -> dict[str, Any]:
    """Compare the compiled members that two archives have under the same name."""
    theirs = _extracted(published, os.path.join(directory, "published"))
    ours = _extracted(rebuilt, os.path.join(directory, "rebuilt"))
    pairs = [(name, theirs[name], ours[name]) for name in theirs if name in ours][:MEMBERS]
    return {"members": [{"member": text(os.fsencode(name)), **_pair(*paths)} for name, *paths in pairs]}


def _extracted(path: str, directory: str) -> dict[str, str]:
    """ELF members by name, each in a file of a name of ours."""
    os.mkdir(directory)
    found: dict[str, str] = {}

    def receive(entry: Entry) -> IO[bytes] | None:
        if entry.kind != "file" or not re.search(r"\.so(?:\.[\w.]+)?$", entry.name) or len(found) >= 2 * MEMBERS:
            return None
        found[entry.name] = os.path.join(directory, str(len(found)))
        return open(found[entry.name], "wb")

    read_archive(path, raw=False, receive=receive)
    return found


def _pair(left: str, right: str) -> dict[str, Any]:
    """How one file compares with another."""
    with open(right, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    try:
        with _mapped(left) as published, _mapped(right) as rebuilt:
            return {"rebuilt_sha256": digest, **_compared(Code(View(published)), Code(View(rebuilt)))}
    except MalformedError as error:
        return {"rebuilt_sha256": digest, "problem": str(error)}


def _mapped(path: str) -> mmap.mmap:
    if not os.path.getsize(path):
        raise MalformedError("It is empty.")
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _compared(published: Code, rebuilt: Code) -> dict[str, Any]:
    if published.machine != rebuilt.machine:
        raise MalformedError("They are for different processors.")
    sections = [{each.name: each.content for each in side.places if each.flags & 2} for side in (published, rebuilt)]
    same = [name for name in sections[0] if name in sections[1] and sections[0][name].raw() == sections[1][name].raw()]
    texts = [_texts(each) for each in (published, rebuilt)]
    moved = [Counter((each.kind, each.symbol) for each in side.relocations.values()) for side in (published, rebuilt)]
    return {
        **_functions(published, rebuilt),
        "sections_equal": _names(same),
        "sections_different": _names(name for name in sections[0] if name in sections[1] and name not in same),
        "strings": [len(each) for each in texts],
        "strings_published": _names(sorted(texts[0] - texts[1])),
        "strings_rebuilt": _names(sorted(texts[1] - texts[0])),
        "imports": [len(published.imports), len(rebuilt.imports)],
        "imports_published": _names(sorted(published.imports - rebuilt.imports)),
        "imports_rebuilt": _names(sorted(rebuilt.imports - published.imports)),
        "relocations": [len(published.relocations), len(rebuilt.relocations)],
        "relocations_equal": moved[0] == moved[1],
    }


def _names(found: Iterable[bytes]) -> list[str]:
    return [text(each, 120) for each in list(found)[:_LISTED]]


def _texts(code: Code) -> set[bytes]:
    """Texts in read-only data."""
    found: set[bytes] = set()
    for each in code.places:
        if each.name.startswith(b".rodata") and len(found) < _TEXTS:
            found.update(_TEXT.findall(each.content.raw(0, CODE_BYTES))[:_TEXTS])
    return found


def _functions(published: Code, rebuilt: Code) -> dict[str, Any]:
    """How many functions have equal instructions, and which have not; those of the published file count."""
    both = [key for key in published.functions if key in rebuilt.functions]
    left, right = (_instructions(side, [side.functions[key] for key in both]) for side in (published, rebuilt))
    different = [key for index, key in enumerate(both) if left[index] != right[index]]
    return {
        "functions": len(published.functions),
        "functions_rebuilt": len(rebuilt.functions),
        "functions_equal": len(both) - len(different),
        "functions_different": _names(name for name, _ in different),
        "functions_missing": _names(key[0] for key in published.functions if key not in rebuilt.functions),
        "functions_added": _names(key[0] for key in rebuilt.functions if key not in published.functions),
        "named": published.named,
    }


def _instructions(code: Code, wanted: list[Function]) -> list[bytes]:
    """A digest for each function over its instructions, with addresses replaced by what they stand for.

    Functions may overlap in a hostile file: each is laid out by itself.
    """
    if sum(each.size for each in wanted) > CODE_BYTES:
        raise MalformedError(f"It has more than {CODE_BYTES >> 20} MB of code that would have to be compared.")
    if not wanted:
        return []
    digests = [hashlib.sha256() for _ in wanted]
    places: list[int] = []
    with tempfile.NamedTemporaryFile() as file:
        for each in wanted:
            places.append(file.tell())
            file.write(each.code + _GAP)
        file.flush()
        command = [_OBJDUMP, "-D", "-z", "-b", "binary", "-m", code.machine, "--no-show-raw-insn", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for line in process.stdout or ():
                found = _INSTRUCTION.match(line.decode("ascii", "replace"))
                if found:
                    offset = int(found[1], 16)
                    index = bisect_right(places, offset) - 1
                    if offset < places[index] + wanted[index].size:
                        folded = _folded(code, wanted[index], places[index], found[2].strip())
                        digests[index].update(f"{folded}\n".encode())
        if process.returncode:
            raise MalformedError("Its code could not be taken apart.")
    return [each.digest() for each in digests]


def _folded(code: Code, function: Function, place: int, instruction: str) -> str:
    """One instruction, as it would be wherever function and data lie."""

    def meant(address: int) -> str:
        address = (address - place + function.address) & 0xFFFFFFFFFFFFFFFF
        inside = address - function.address
        return f"+{inside:#x}" if 0 <= inside < function.size else f"[{code.stands_for(address)}]"

    comment = _COMMENT.search(instruction)
    if comment:
        return _RELATIVE.sub(meant(int(comment[1], 16)) + "(%rip)", instruction[: comment.start()])
    if _BRANCH.match(instruction):
        return _ADDRESS.sub(lambda found: meant(int(found[0], 16)), instruction)
    return instruction
