"""Makes ``packed.json``: one small package, packed with many versions of npm, pnpm and yarn.

``python3 pack_with_versions.py NODES TOOL@VERSION:NODE …``, as root (the files get owners), in an empty directory.
``NODES/VERSION/node`` are executables of Node; the package managers are fetched by ``npm pack``.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MANIFEST = {
    "name": "sample",
    "version": "1.0.0",
    "main": "lib/index.js",
    "bin": {"x": "bin/cli.js"},
    "files": ["lib", "bin", "dist", "*.d.ts"],
}
FILES = (
    *("README.md", "LICENSE", "CHANGELOG.md", "NOTICE", ".npmrc", ".npmignore", "package-lock.json", "types.d.ts"),
    *(
        "bin/cli.js",
        "lib/index.js",
        "lib/Index2.js",
        "lib/a.js",
        "lib/B.js",
        "lib/c.min.js",
        "lib/.hidden",
        "lib/z.json",
    ),
    *("lib/sub/x.mjs", "lib/10.js", "lib/9.js", "lib/a-b.js", "lib/a_b.js", "lib/a.d.ts", "lib/a.js.map"),
    *("lib/exec.sh", "lib/group.js", "lib/ro.js", f"dist/{'n' * 90}/file.js"),
)
MODES = {"lib/exec.sh": 0o755, "lib/group.js": 0o664, "lib/ro.js": 0o444}
ENVIRONMENT = {
    "CI": "1",
    "npm_config_ignore_scripts": "true",
    "npm_config_registry": "http://127.0.0.1:9/",
    "npm_config_update_notifier": "false",
    "YARN_ENABLE_IMMUTABLE_INSTALLS": "0",
    "YARN_ENABLE_NETWORK": "0",
    "YARN_ENABLE_TELEMETRY": "0",
    "YARN_NODE_LINKER": "node-modules",
}
PROGRAMS = ("bin/npm-cli.js", "bin/pnpm.cjs", "bin/pnpm.mjs", "bin/yarn.js")


def make_package(root: Path) -> None:
    """Write the files, each with a time and with the owner of a Mac's first user."""
    for number, name in enumerate(FILES):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
        path.chmod(MODES.get(name, 0o644))
        os.utime(path, (1400000000, 1400000000.25 + number * 3600))
    (root / "package.json").write_text(json.dumps(MANIFEST, indent=2) + "\n")
    os.utime(root / "package.json", (1400000000, 1400000000))
    for path in root.rglob("*"):
        os.chown(path, 501, 20)


def pack(tool: str, nodes: Path, node: str) -> bytes:
    """The tarball that a version of a package manager makes of the package."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(["npm", "pack", tool, "--silent"], cwd=home, check=True, capture_output=True)
        [tarball] = Path(home).glob("*.tgz")
        place = Path(home, "tool")
        place.mkdir()
        subprocess.run(["tar", "xzf", tarball, "-C", place, "--strip-components=1"], check=True)
        package = Path(home, "package")
        make_package(package)
        program = next(place / each for each in PROGRAMS if (place / each).exists())
        command = [nodes / node / "node", program]
        environment = {
            **ENVIRONMENT,
            "HOME": home,
            "npm_config_cache": f"{home}/cache",
            "PATH": f"{nodes / node}:/usr/bin:/bin",
        }
        if tool.startswith("@yarnpkg/"):
            (package / "yarn.lock").touch()
            subprocess.run([*command, "install"], cwd=package, env=environment, check=True, capture_output=True)
        subprocess.run([*command, "pack"], cwd=package, env=environment, check=True, capture_output=True)
        [packed] = package.glob("*.tgz")
        return packed.read_bytes()


def main() -> None:
    """Pack with every version that is named."""
    made = {}
    for each in sys.argv[2:]:
        tool, _, node = each.rpartition(":")
        made[tool] = {"node": node, "tarball": base64.b64encode(pack(tool, Path(sys.argv[1]), node)).decode()}
    Path("packed.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
