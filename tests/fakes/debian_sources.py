"""A tiny Debian source package, built as the archive's builders build one, into packages that an archive then has."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rebuilder.environments.protocol import Environments
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.store.protocol import Blobs
from tests.fakes.clock import FixedClock
from tests.fakes.debian_archive import need

CONTROL = """Source: tiny
Maintainer: a test <a@example.org>
Build-Depends: dpkg-dev
Standards-Version: 4.7.0
Rules-Requires-Root: binary-targets

Package: tiny
Architecture: any
Description: a program

Package: tiny-common
Architecture: all
Description: a text
"""
CHANGELOG = """tiny (1.0) unstable; urgency=medium

  * The first one.

 -- a test <a@example.org>  Wed, 01 Jan 2025 10:11:12 +0000
"""
RULES = """#!/usr/bin/make -f
architecture := $(shell dpkg-architecture -qDEB_HOST_ARCH)
clean:
\trm -rf debian/tiny debian/tiny-common debian/files
build build-arch build-indep:
binary: binary-arch binary-indep
binary-arch:
\ttest "$$(id -u)" = 0
\tmkdir -p debian/tiny/DEBIAN debian/tiny/usr/bin debian/tiny/usr/share/doc/tiny
\tgcc $(shell dpkg-buildflags --get CFLAGS) -g -o debian/tiny/usr/bin/tiny tiny.c
\tif grep -q binary-only debian/changelog; then awk '/^[a-z]/ && NR > 1 { exit } { print }' debian/changelog \\
\t\t| gzip -9n >debian/tiny/usr/share/doc/tiny/changelog.Debian.$(architecture).gz; fi
\tdpkg-gencontrol -ptiny -Pdebian/tiny
\tdpkg-deb --build debian/tiny ..
binary-indep:
\tmkdir -p debian/tiny-common/DEBIAN debian/tiny-common/usr/share/tiny
\tpwd >debian/tiny-common/usr/share/tiny/where
\tdpkg-gencontrol -ptiny-common -Pdebian/tiny-common
\tdpkg-deb --build debian/tiny-common ..
"""
PROGRAM = '#include <stdio.h>\nint main(void) { return printf("%s\\n", __FILE__) < 0; }\n'
FILES = {
    "debian/control": CONTROL,
    "debian/changelog": CHANGELOG,
    "debian/rules": RULES,
    "debian/source/format": "3.0 (native)\n",
    "tiny.c": PROGRAM,
}
ENTRY = """tiny (1.0+b1) sid; urgency=low, binary-only=yes

  * Binary-only non-maintainer upload for {}; no source changes.
  * Rebuild against another libc.

 -- a builder <builder@builds.example.org>  Thu, 02 Jan 2025 11:12:13 +0000

"""


def source_package(place: Path, changes: Mapping[str, str] | None = None) -> Path:
    """Write the source package; its ``.dsc``, with the archive of its files beside it."""
    tree = place / "tiny-1.0"
    for name, text in {**FILES, **(changes or {})}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "debian/rules").chmod(0o755)
    command = [need("dpkg-source", "dpkg-dev"), "--build", tree.name]
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=300)
    return place / "tiny_1.0.dsc"


@dataclass(frozen=True)
class Builder:
    """A builder of the archive: the build environment, and where a build's files go."""

    environments: Environments
    blobs: Blobs
    scratch: Path

    def build(
        self, dsc: Path, option: str, entry: str | None = None, *, directory: str = "/build/reproducible-path"
    ) -> list[Path]:
        """The packages that ``dpkg-buildpackage -A`` or ``-B`` makes of a source package, in the order of names."""
        environment = self.environments.get("trixie-build")
        tar = dsc.with_name("tiny_1.0.tar.xz")
        inputs = tuple(
            Input(
                role=Role.SOURCE, name=each.name, sha256=self.blobs.put(each.read_bytes()), path=f"/inputs/{each.name}"
            )
            for each in (dsc, tar)
        )
        script = "dpkg-source -x /inputs/tiny_1.0.dsc && cd tiny-1.0"
        if entry is not None:
            script += ' && printf "%s\\n" "$ENTRY" | cat - debian/changelog >../new && mv ../new debian/changelog'
        script += f" && dpkg-buildpackage -us -uc -rfakeroot-tcp {option} && cp ../*.deb /out/"
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        definition = BuildDefinition(
            build_type="tag:example.org,2026:builder",
            purl="pkg:deb/debian/tiny@1.0",
            targets=("tiny",),
            inputs=inputs,
            toolchain=EnvironmentRef(name=environment.name, sha256=environment.sha256),
            commands=(("/bin/sh", "-ec", script),),
            environment=variables | ({"ENTRY": entry.removesuffix("\n")} if entry is not None else {}),
            directory=directory,
            limits=Limits(),
        )
        sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=self.scratch)
        run = LocalRunner({sandbox.kind: sandbox}, self.environments, self.blobs)(definition)
        assert run.outcome is Outcome.COMPLETED, self.blobs.read(run.log_sha256).decode()
        found = []
        for each in sorted(run.outputs, key=lambda each: each.filename):
            found.append(dsc.with_name(each.filename))
            found[-1].write_bytes(self.blobs.read(each.sha256))
        return found
