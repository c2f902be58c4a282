"""Lock files of every format as one kind of value, and which of their files a platform installs."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.consumer.lock_files import Dependency, LockedFile, dependencies
from rebuilder.consumer.platform_files import Target
from rebuilder.model.value import Sha256, Sha512
from rebuilder.toml_files import FileError

A, B, C = "a" * 64, "b" * 64, "c" * 64
LINUX = Target(environment={"sys_platform": "linux", "platform_system": "Linux"})


def read(directory: Path, name: str, text: str, target: Target = LINUX) -> list[Dependency]:
    """What a lock file with this text says."""
    file = directory / name
    file.write_text(text)
    return dependencies(file, target)


def digests(found: list[Dependency]) -> dict[str, list[str | None]]:
    """Digests by name and version."""
    return {each.label: [file.sha256 for file in each.files] for each in found}


def test_requirements(tmp_path: Path) -> None:
    """Hashes on lines of their own, markers, includes, comments, options, sources."""
    (tmp_path / "more.txt").write_text(f"delta==4 --hash=sha256:{C}  # more\n")
    found = read(
        tmp_path,
        "requirements.txt",
        f"--index-url https://index.example.org/simple\n-r more.txt\n-c constraints.txt\n"
        f"Alpha_One[x]==1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
        f"beta==2 ; sys_platform == 'win32' --hash=sha256:{A}\n"
        f"gamma @ https://files.example.org/gamma-3-py3-none-any.whl#sha256={B}\n"
        "epsilon==5\n-e ./here\nzeta==6 --hash=sha512:" + "0" * 128 + "\n",
    )
    assert digests(found) == {
        "delta==4": [C],
        "alpha-one==1.0": [A, B],
        "gamma": [B],
        "epsilon==5": [],
        "./here": [],
        "zeta==6": [None],
    }
    assert [each.problem is None for each in found] == [True, True, True, False, False, True]
    assert found[2].files[0].filename == "gamma-3-py3-none-any.whl"
    assert found[0].place.endswith("more.txt, line 1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a==1 --hash=sha256:{A}\na==1 --hash=sha256:{B}\n", "different files of a"),
        (f"a==1 --hash=sha256:{A}\na==2 --hash=sha256:{A}\n", "different files of a"),
        ("a==1 --hash=sha256:xyz\n", "cannot be understood"),
        ("a==1 --hash=sha256:abc\n", "not a SHA-256"),
        ("a == 1 = 2\n", "no requirement"),
        ("-r missing.txt\n", "does not exist"),
        # What pip reads in another way than it looks: each of these would let other files be installed.
        (f"a==1 --hash=sha256:{A} --ha=sha256:{B}\n", "'--ha=sha256:"),
        (f"a==1 --hash=sha256:{A} --h\\ash=sha256:{B} --unknown\n", "--unknown"),
        (f"a==1 --hash=sha256:{A} --ha'sh'=sha256:{B}x\n", "cannot be understood"),
        (f"a==1 --hash=sha256:{A} '--hash=sha256:{B}\n", "no closing quotation"),
        ("--requir more.txt\n", "'--requir'"),
        ("--index-url https://index.example.org -rmissing.txt\n", "does not exist"),
        ("--edit ./here\n", "'--edit'"),
        ("-q\n", "'-q'"),
        ("--hash=sha256:abc\n", "--hash"),
        ("--find-links\n", "no value"),
        ("# -*- coding: utf-7 -*-\n# +AAo-evil\n", "utf-7"),
        ("# more\u2028evil==1\n", "end a line"),
    ],
)
def test_requirements_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    """Conflicts and mistakes, each with a sentence."""
    with pytest.raises(FileError, match=words):
        read(tmp_path, "requirements.txt", text)


def test_hashes_in_disguise_are_hashes(tmp_path: Path) -> None:
    """Quotes and backslashes within a word are taken away as pip does: no second hash is overlooked."""
    for second in (f"--ha'sh'=sha256:{B}", f"--h\\ash=sha256:{B}", f"--hash 'sha256:{B}'"):
        (found,) = read(tmp_path, "requirements.txt", f"a==1 --hash=sha256:{A} {second}\n")
        assert [each.sha256 for each in found.files] == [A, B]


def test_no_binary_makes_every_file_count(tmp_path: Path) -> None:
    """Wherever it stands: then the source archive is installed, although a wheel fits."""
    names = {A: "a-1-py3-none-any.whl", B: "a-1.tar.gz"}
    (tmp_path / "more.txt").write_text("--pre --no-binary=:all:\n")
    (found,) = read(tmp_path, "requirements.txt", f"a==1 --hash=sha256:{A} --hash=sha256:{B}\n-r more.txt\n")
    files = [LockedFile(names[each.sha256 or ""], each.sha256) for each in found.files]
    assert len(LINUX.installed(files).files) == 1
    assert found.any_file
    assert len(LINUX.installed(files, any_file=found.any_file).files) == 2


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        # An installer looks at the version first, and "==1.0" is met by "1.0+more".
        (("a-1.0-cp38-abi3-manylinux1_x86_64.whl", "a-1.0+more-py3-none-any.whl"), (0, 1)),
        (("a-1.0-py3-none-any.whl", "a-2.0-py2.py3-none-any.whl"), (0, 1)),
        (("a-1.0-py3-none-any.whl", "b-1.0.tar.gz"), (0, 1)),
        (("A_b-1.0-py3-none-any.whl", "a.b-1.0.0.tar.gz"), (0,)),
        (("a-1.0.tar.gz", "a-1.0-PY3-None-ANY.whl"), (1,)),
        (("a-1.0-1a9-py3-none-any.whl", "a-1.0-2-py3-none-any.whl"), (1,)),
        (("a-1.0-2a-py3-none-any.whl", "a-1.0-2b-py3-none-any.whl"), (1,)),
        (("a-1.0-0-py3-none-any.whl", "a-1.0-py3-none-any.whl"), (0,)),
    ],
    ids=str,
)
def test_names_that_mislead(names: tuple[str, ...], taken: tuple[int, ...]) -> None:
    """Versions, projects, letters and build numbers are looked at as pip and uv do."""
    files = [LockedFile(name, Sha256(str(number) * 64)) for number, name in enumerate(names)]
    assert LINUX.installed(files).files == tuple(files[each] for each in taken)


def test_groups_of_a_workspace_that_is_no_project(tmp_path: Path) -> None:
    """What only they lead to is installed by ``uv sync`` too, and is looked at."""
    groups = 'manifest = { members = ["project"], dependency-groups = { dev = [{ name = "Hidden" }] } }\n'
    hidden = f"""
[[package]]
name = "hidden"
version = "1"
source = {{ registry = "https://index.example.org/simple" }}
wheels = [{{ url = "https://files.example.org/hidden-1-py3-none-any.whl", hash = "sha256:{C}" }}]
"""
    assert "hidden==1" not in digests(read(tmp_path, "uv.lock", UV + hidden))
    assert "hidden==1" in digests(read(tmp_path, "uv.lock", groups + UV + hidden))


def test_two_halves_of_one_file(tmp_path: Path) -> None:
    """Version 2 of package-lock.json says everything twice, and who reads the other half installs other bytes."""
    good, other = ("sha512-" + base64.b64encode(bytes([each] * 64)).decode() for each in (1, 2))
    row = {"version": "1.0", "resolved": "https://npm.example.org/a/-/a-1.0.tgz"}
    for second, fine in (({"a": row | {"integrity": good}}, True), ({"a": row | {"integrity": other}}, False)):
        document = {"packages": {"node_modules/a": row | {"integrity": good}}, "dependencies": second}
        if fine:
            assert len(read(tmp_path, "package-lock.json", json.dumps(document))) == 1
        else:
            with pytest.raises(FileError, match="two things of node_modules/a"):
                read(tmp_path, "package-lock.json", json.dumps(document))


def test_a_line_twice_is_one(tmp_path: Path) -> None:
    """The same line in two files is no conflict."""
    (tmp_path / "more.txt").write_text(f"a==1 --hash=sha256:{A}\n")
    assert len(read(tmp_path, "requirements.txt", f"-r more.txt\na==1 --hash=sha256:{A}\n")) == 1


PYLOCK = f"""
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "alpha"
version = "1.0"
[[packages.wheels]]
url = "https://files.example.org/alpha-1.0-py3-none-any.whl"
hashes = {{sha256 = "{A}"}}
[packages.sdist]
name = "alpha-1.0.tar.gz"
url = "https://files.example.org/x"
hashes = {{sha256 = "{B}"}}
[[packages]]
name = "beta"
version = "2"
marker = "sys_platform == 'win32'"
[[packages.wheels]]
name = "beta-2-py3-none-any.whl"
url = "https://files.example.org/y"
hashes = {{sha256 = "{C}"}}
[[packages]]
name = "gamma"
[packages.vcs]
type = "git"
url = "https://git.example.org/gamma"
commit-id = "{"0" * 40}"
"""


def test_pylock(tmp_path: Path) -> None:
    """Names from addresses; markers; what is no file."""
    found = read(tmp_path, "pylock.toml", PYLOCK)
    assert digests(found) == {"alpha==1.0": [A, B], "gamma": []}
    assert [each.filename for each in found[0].files] == ["alpha-1.0-py3-none-any.whl", "alpha-1.0.tar.gz"]
    assert found[1].problem is not None
    assert "beta==2" in digests(read(tmp_path, "pylock.toml", PYLOCK, Target(every=True)))


UV = f"""
version = 1
requires-python = ">=3.11"
[[package]]
name = "project"
version = "0.1"
source = {{ editable = "." }}
dependencies = [
    {{ name = "alpha", extra = ["fast"] }},
    {{ name = "winonly", marker = "sys_platform == 'win32'" }},
]
[package.dev-dependencies]
dev = [{{ name = "tested" }}]
[[package]]
name = "alpha"
version = "1.0"
source = {{ registry = "https://index.example.org/simple" }}
dependencies = [{{ name = "beta" }}]
sdist = {{ url = "https://files.example.org/alpha-1.0.tar.gz", hash = "sha256:{A}", size = 1 }}
wheels = [{{ url = "https://files.example.org/alpha-1.0-py3-none-any.whl", hash = "sha256:{B}", size = 1 }}]
[package.optional-dependencies]
fast = [{{ name = "speed" }}]
slow = [{{ name = "unused" }}]
""" + "".join(
    f"""
[[package]]
name = "{name}"
version = "1"
source = {{ registry = "https://index.example.org/simple" }}
wheels = [{{ url = "https://files.example.org/{name}-1-py3-none-any.whl", hash = "sha256:{C}", size = 1 }}]
"""
    for name in ("beta", "speed", "unused", "winonly", "tested")
)


def test_uv_lock(tmp_path: Path) -> None:
    """What the project leads to here, extras and groups included; with all platforms, everything."""
    found = digests(read(tmp_path, "uv.lock", UV))
    assert found == {"alpha==1.0": [B, A], "beta==1": [C], "speed==1": [C], "tested==1": [C]}
    assert {"unused==1", "winonly==1"} <= digests(read(tmp_path, "uv.lock", UV, Target(every=True))).keys()


POETRY = f"""
[[package]]
name = "alpha"
version = "1.0"
files = [
    {{file = "alpha-1.0-py3-none-any.whl", hash = "sha256:{A}"}},
    {{file = "alpha-1.0.tar.gz", hash = "sha256:{B}"}},
]
[[package]]
name = "beta"
version = "2"
markers = "sys_platform == \\"win32\\""
files = [{{file = "beta-2-py3-none-any.whl", hash = "sha256:{C}"}}]
[[package]]
name = "gamma"
version = "3"
files = []
[package.source]
type = "git"
url = "https://git.example.org/gamma"
[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "{A}"
"""


def test_poetry_lock(tmp_path: Path) -> None:
    """Files by name; markers; what comes from a repository."""
    found = read(tmp_path, "poetry.lock", POETRY)
    assert digests(found) == {"alpha==1.0": [A, B], "gamma==3": []}
    assert found[1].problem is not None


@pytest.mark.parametrize(
    "text", ["", "x = ", "package = 3\nversion = 1", "[[package]]\nversion = 1\n[metadata]\n", "lock-version = '9.0'"]
)
def test_lock_files_that_are_none(tmp_path: Path, text: str) -> None:
    """One sentence, whatever is wrong."""
    with pytest.raises(FileError):
        read(tmp_path, "uv.lock", text)


def test_package_lock(tmp_path: Path) -> None:
    """SHA-512 of each package; links and packages for other systems are left out; version 1 is nested."""
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode()
    row = {
        "version": "1.0.0",
        "resolved": "https://registry.example.org/alpha/-/alpha-1.0.0.tgz",
        "integrity": integrity,
    }
    document = {
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "project"},
            "node_modules/alpha": row,
            "node_modules/@scope/beta": row | {"version": "2.0.0"},
            "node_modules/@scope/beta/node_modules/alpha": row | {"version": "0.9.0"},
            "node_modules/other": row | {"os": ["win32"]},
            "node_modules/linked": {"resolved": "packages/linked", "link": True},
            "node_modules/open": {"version": "1.0.0"},
        },
    }
    found = read(tmp_path, "package-lock.json", json.dumps(document))
    labels = ["alpha==1.0.0", "@scope/beta==2.0.0", "alpha==0.9.0", "open==1.0.0"]
    assert [each.label for each in found] == (labels if sys.platform != "win32" else [*labels, "other==1.0.0"])
    assert found[0].files == (LockedFile("alpha-1.0.0.tgz", None, Sha512(hashlib.sha512(b"x").hexdigest())),)
    assert found[-1].problem is not None
    nested = {"lockfileVersion": 1, "dependencies": {"alpha": row | {"dependencies": {"beta": row}}}}
    assert [each.name for each in read(tmp_path, "package-lock.json", json.dumps(nested))] == ["alpha", "beta"]
    with pytest.raises(FileError):
        read(tmp_path, "package-lock.json", '{"packages": 3}')


def test_a_report_of_pip(tmp_path: Path) -> None:
    """Exactly what pip chose."""
    row = {
        "download_info": {
            "url": "https://files.example.org/alpha-1.0-py3-none-any.whl",
            "archive_info": {"hash": f"sha256={A}", "hashes": {"sha256": A}},
        },
        "metadata": {"name": "Alpha", "version": "1.0"},
    }
    (found,) = read(tmp_path, "report.json", json.dumps({"version": "1", "install": [row]}))
    assert (found.label, found.files) == (
        "alpha==1.0",
        (LockedFile("alpha-1.0-py3-none-any.whl", Sha256(A)),),
    )


def test_files_and_environments(tmp_path: Path) -> None:
    """A file by its bytes; an installed package only where it says from which file it came."""
    wheel = tmp_path / "alpha-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (found,) = dependencies(wheel, LINUX)
    assert found.files[0].sha256 == hashlib.sha256(b"wheel").hexdigest()
    assert [each.name for each in dependencies(tmp_path, LINUX)] == [wheel.name]
    site = tmp_path / "venv/lib/python3.11/site-packages"
    for name, said in (
        ("alpha", {"url": "https://x/y.whl", "archive_info": {"hashes": {"sha256": A}}}),
        ("beta", None),
    ):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if said is not None:
            (info / "direct_url.json").write_text(json.dumps(said))
    (tmp_path / "venv/pyvenv.cfg").touch()
    alpha, beta = dependencies(tmp_path / "venv", LINUX)
    assert (alpha.files[0].sha256, alpha.problem) == (A, None)
    assert beta.problem is not None
    with pytest.raises(FileError, match="no environment"):
        dependencies(site / "alpha-1.0.dist-info", LINUX)


def named(*names: str) -> list[LockedFile]:
    """Files with these names."""
    return [LockedFile(name, Sha256(hashlib.sha256(name.encode()).hexdigest())) for name in names]


def chosen(*names: str) -> list[str | None]:
    """Which of them an installer takes here."""
    return [each.filename for each in Target().installed(named(*names)).files]


def test_the_file_of_this_platform() -> None:
    """The best tag, then the highest build number; the source archive last; those of other platforms never."""
    from packaging.tags import sys_tags

    best = next(sys_tags())
    ours = f"a-1-{best}.whl"
    pure, source = "a-1-py3-none-any.whl", "a-1.tar.gz"
    mac, windows = "a-1-cp311-cp311-macosx_99_0_arm64.whl", "a-1-cp311-cp311-win_arm64.whl"
    assert chosen(mac, pure, source, ours, windows) == [ours]
    assert chosen(mac, source, pure) == [pure]
    assert chosen(mac, source) == [source]
    assert chosen("a-1-2-py3-none-any.whl", "a-1-10-py3-none-any.whl", pure) == ["a-1-10-py3-none-any.whl"]
    assert chosen("a-1-cp999-cp999-aix_1.whl", "a-1.exe") == []


def test_pip_takes_the_same_file(tmp_path: Path) -> None:
    """The order is pip's own: it is asked which of the files in a directory it would install."""
    from packaging.tags import sys_tags

    tags = [str(each) for each in sys_tags()]
    names = [f"thing-1.0-{tag}.whl" for tag in ("py3-none-any", tags[0], tags[len(tags) // 2], "py2.py3-none-any")]
    names.append(f"thing-1.0-3-{tags[len(tags) // 2]}.whl")
    while len(names) > 1:
        for name in names:
            write_wheel(tmp_path / name)
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--no-index"]
        command += ["--find-links", str(tmp_path), "--report", str(tmp_path / "report.json"), "-q", "thing"]
        subprocess.run(command, check=True, capture_output=True)
        url = json.loads((tmp_path / "report.json").read_text())["install"][0]["download_info"]["url"]
        taken = url.rpartition("/")[2]
        # Of files with one tag and one build number the order of the index decides: then all of them count.
        assert taken in chosen(*names)
        assert len(chosen(*names)) <= 2
        names.remove(taken)
        (tmp_path / taken).unlink()


def write_wheel(path: Path) -> None:
    """A wheel with nothing in it."""
    import zipfile

    info = "thing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def test_files_without_names() -> None:
    """One file is the one; of several nobody knows which."""
    one, two = LockedFile(None, Sha256(A)), LockedFile(None, Sha256(B))
    assert Target().installed([one]).files == (one,)
    found = Target().installed([one, two])
    assert (found.files, found.unnamed) == ((), (one, two))
    assert Target(every=True).installed([one, two]).files == (one, two)
