"""Members of a wheel in a given order."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

from rebuilder.guest.finishing import NO_WHEEL
from rebuilder.guest.in_order import main, ordered


def wheel(path: Path) -> Path:
    """With three members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.py", "b.py", "c.py"):
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6))
            info.external_attr = 0o100664 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, name * 9)
    return path


def test_ordered(tmp_path: Path) -> None:
    """What is named comes first, in that order; nothing but the order changes, and back is where it was."""
    path = wheel(tmp_path / "x.whl")
    before = path.read_bytes()
    path.write_bytes(ordered(str(path), ["c.py", "gone.py", "a.py"]))
    with zipfile.ZipFile(path) as archive:
        assert ["c.py", "a.py", "b.py"] == archive.namelist()
    assert before == ordered(str(path), ["a.py", "b.py", "c.py"])


def test_build_that_leaves_nothing(tmp_path: Path) -> None:
    """The exit code of the build is the program's; a build without a wheel has one of its own."""
    order = tmp_path / "order.json"
    order.write_text(json.dumps([]))
    arguments = ["--out", str(tmp_path), "--order", str(order), "--", sys.executable, "-c"]
    assert [7, NO_WHEEL] == [main([*arguments, program]) for program in ("raise SystemExit(7)", "pass")]
