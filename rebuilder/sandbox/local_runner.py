"""Runs a build definition with its inputs taken from the blobs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError, RebuilderError, SandboxUnavailableError
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.value import Sha256
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.prepared import Prepared
from rebuilder.sandbox.protocol import Sandbox
from rebuilder.store.protocol import Blobs


class LocalRunner:
    """Callable as :class:`rebuilder.sandbox.protocol.Runner`; without ``prepared``, definitions run as they are."""

    def __init__(
        self,
        sandboxes: Mapping[str, Sandbox],
        environments: Environments,
        blobs: Blobs,
        prepared: Prepared | None = None,
    ) -> None:
        self._prepared = prepared
        self._sandboxes = sandboxes
        self._environments = environments
        self._blobs = blobs

    def __call__(self, definition: BuildDefinition) -> Run:
        """Run it, if everything it names is here, with the digests it names, and its environment is whole afterwards.

        Raises:
            SandboxUnavailableError: there is no such sandbox, or this machine cannot give its isolation.
            BuildEnvironmentError: the build environment cannot be had, or was changed or removed while it was used.
            StoreError: an input is not stored, or is damaged.
            SandboxFaultError: the sandbox itself failed.
        """
        sandbox = self._sandboxes.get(definition.sandbox)
        if sandbox is None:
            raise SandboxUnavailableError(
                f"The build definition asks for the sandbox {definition.sandbox!r}; "
                f"here there is {', '.join(sorted(self._sandboxes))}."
            )
        environment = self._environment(definition.toolchain)
        inputs = {each.path: self._blobs.path(each.sha256) for each in definition.inputs}
        if self._prepared is not None:
            definition, inputs = self._prepared.taken(definition, environment, inputs)
        run = sandbox.run(definition, root=environment.root, layers=environment.layers, inputs=inputs)
        self._environments.by_digest(environment.sha256)  # what was changed under a build says nothing of it
        return run

    def _environment(self, wanted: EnvironmentRef) -> BuildEnvironment:
        """The one with the digest, whatever its name stands for now; made when it is not here and may come out so."""
        try:
            return self._environments.by_digest(wanted.sha256)
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError:
            made = self._environments.get(wanted.name)
            if made.sha256 != wanted.sha256:
                raise
            return made


_NO_DIGEST = Sha256("0" * 64)
_MOUNT_POINTS = ("build", "dev", "inputs", "out", "proc", "sys", "tmp", "tools")
_PARTS = ("usr", "bin", "lib", "lib32", "lib64")


def check_isolation() -> list[str]:
    """Start a sandbox with this machine's own programs in it.

    Returns:
        What keeps it from working, as sentences, each with the command that mends it; empty when it works.
    """
    bubblewrap = Bubblewrap()
    try:
        with tempfile.TemporaryDirectory(prefix="rebuilder-trial-") as directory:
            root = Path(directory)
            root.chmod(0o755)
            sources = _borrow_programs(root)
            with bubblewrap.run(_definition(sources), root, sources) as ended:
                code = ended.exit_code
                if code == 0:
                    return []
                return [f"A sandbox could be started, but a command in it ended with exit code {code}."]
    except RebuilderError as error:
        return [f"{error} {error.hint}".strip() if error.hint else str(error)]
    except OSError as error:
        return [f"A sandbox could not be tried ({error})."]
    finally:
        bubblewrap.close()


def _borrow_programs(root: Path) -> dict[str, Path]:
    """Make a root directory whose programs are links to inputs, and those inputs the machine's own directories."""
    for name in _MOUNT_POINTS:
        (root / name).mkdir()
    sources = {}
    for name in _PARTS:
        own = Path("/", name)
        if own.is_symlink():
            (root / name).symlink_to(own.readlink())
        elif own.is_dir():
            (root / name).symlink_to(f"/inputs/{name}")
            sources[f"/inputs/{name}"] = own
    return sources


def _definition(sources: dict[str, Path]) -> BuildDefinition:
    return BuildDefinition(
        build_type="tag:rebuilder,2026:trial/v1",
        purl="pkg:generic/trial",
        targets=("none",),
        inputs=tuple(Input(role=Role.BUILD_TOOL, name=path, sha256=_NO_DIGEST, path=path) for path in sources),
        toolchain=EnvironmentRef(name="trial", sha256=_NO_DIGEST),
        commands=(("true",),),
        environment={"PATH": "/usr/bin:/bin"},
        limits=Limits(wall_seconds=30, cpu_seconds=30),
    )
