"""Runs a build definition with its inputs taken from the blobs."""

from __future__ import annotations

from collections.abc import Mapping

from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError, SandboxUnavailableError
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.sandbox.prepared import Prepared
from rebuilder.sandbox.protocol import Sandbox
from rebuilder.store.protocol import Blobs


class LocalRunner:
    """Callable as :class:`rebuilder.sandbox.protocol.Runner`.

    Args:
        sandboxes: By their kind.
        environments: Where build environments come from.
        blobs: Where inputs are.
        prepared: Keeps what definitions begin with; None: each runs as it is written.
    """

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
        """Run it, if everything it names is here, with the digests it names.

        Raises:
            SandboxUnavailableError: there is no such sandbox, or this machine cannot give its isolation.
            BuildEnvironmentError: the build environment cannot be had.
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
        return sandbox.run(definition, root=environment.root, layers=environment.layers, inputs=inputs)

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
