"""A PKCS#11 token in software: SoftHSM from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rebuilder.signing.keys import PASSPHRASE

LABEL = "rebuilder"
PIN = "468203"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


class Token:
    """An empty token with a PIN, below a directory."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("softhsm2-util")
        module = next((each for each in MODULES if Path(each).exists()), None)
        assert program, "There is no softhsm2-util: make test-packages"
        assert module, "There is no libsofthsm2.so: make test-packages"
        self._program = program
        self._directory = directory
        (directory / "tokens").mkdir(parents=True)
        configuration = directory / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration), "PYKCS11LIB": module, PASSPHRASE: PIN}
        """What a process needs to use it."""
        self._run("--init-token", "--free", "--so-pin", "9" * 8)

    def make_key(self, number: int) -> str:
        """Put a new key of P-256 there; give its address."""
        file = self._directory / f"{number}.pem"
        private = ec.generate_private_key(ec.SECP256R1())
        file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._run("--import", str(file), "--token", LABEL, "--id", f"{number:02x}")
        file.unlink()
        return f"hsm:{number}?label={LABEL}"

    def _run(self, *words: str) -> None:
        subprocess.run(
            [self._program, *words, "--label", LABEL, "--pin", PIN],
            env=os.environ | self.environment,
            check=True,
            capture_output=True,
        )
