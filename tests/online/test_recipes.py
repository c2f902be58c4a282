"""The recipes that are shipped, with the bytes that they name, which Debian's archive has too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rebuilder.ecosystems.generic.recipe import parse_recipe
from rebuilder.store.blobs import DiskBlobs

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
RECIPE = ROOT / "schedules" / "examples" / "gnu-gpl.toml"


def from_debian(path: str, into: Path) -> bytes:
    """A file of the archive that apt is set to use, fetched by apt."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    repositories = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    url = f"{repositories[0].rstrip('/')}/{path}"
    subprocess.run(["/usr/lib/apt/apt-helper", "download-file", url, into / "file"], check=True)
    return (into / "file").read_bytes()


def test_the_text_of_a_licence(tmp_path: Path, environments_root: Path) -> None:
    """Both files are in Debian's archive byte for byte; what is stored by its digest is not fetched again."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "toolchains").symlink_to(environments_root.absolute())
    blobs = DiskBlobs(store / "blobs")
    recipe = parse_recipe(RECIPE, RECIPE.read_text())
    assert recipe.source.sha256 == blobs.put(from_debian("pool/main/h/hello/hello_2.10.orig.tar.gz", tmp_path))
    assert recipe.targets[0].sha256 == blobs.put(Path("/usr/share/common-licenses/GPL-3").read_bytes())
    command = [str(BIN / "rebuilder"), "verify", "--json", "--store", str(store), "--keys", str(tmp_path / "keys")]
    done = subprocess.run([*command, f"generic:{RECIPE}"], stdout=subprocess.PIPE, check=False)
    line = json.loads(done.stdout)
    assert (0, "reproduced") == (done.returncode, line["verdict"]), line
    assert recipe.targets[0].sha256 == line["rebuilt"]["sha256"]
