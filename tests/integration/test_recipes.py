"""Recipes from the command line, in the real sandbox: a server on loopback has the source and the published files."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.command import Answer, Installation
from tests.fakes.registry import Registry
from tests.fakes.repositories import make_repository
from tests.fakes.toy import WHEEL_WORDS

PAGE = ".TH HELLO 1 @VERSION@\n.SH NAME\nhello\n"
MADE = PAGE.replace("@VERSION@", "1.0")
TAR = "tar --format=ustar --sort=name --mtime=@1577836800 --owner=0 --group=0 --numeric-owner"


@dataclass(frozen=True)
class RecipeInstallation(Installation):
    """An installation whose settings allow the server of the test."""

    @property
    def environment(self) -> dict[str, str]:
        """See :class:`Installation`."""
        return super().environment | {"REBUILDER_CONFIG": str(self.root / "rebuilder.toml")}


@pytest.fixture
def server() -> Iterator[Registry]:
    """A server with nothing on it."""
    with Registry() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path, server: Registry) -> RecipeInstallation:
    """An installation that may ask that server."""
    made = RecipeInstallation.make(tmp_path, environments_root, server.url)
    (tmp_path / "rebuilder.toml").write_text(f'[network]\nreachable = ["{server.base}"]\n')
    return RecipeInstallation(made.root, made.index_url)


def source() -> bytes:
    """The archive that upstream released."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("hello-1.0/hello.1.in")
        member.size, member.mtime = len(PAGE), 1_577_836_800
        archive.addfile(member, io.BytesIO(PAGE.encode()))
    return buffer.getvalue()


def packed() -> bytes:
    """The archive with the page, packed at another time than the recipe says and compressed by another program."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.USTAR_FORMAT, compresslevel=1) as archive:
        directory = tarfile.TarInfo("man")
        directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, 1_577_000_000
        archive.addfile(directory)
        page = tarfile.TarInfo("man/hello.1")
        page.size, page.mtime = len(MADE), 1_577_000_000
        archive.addfile(page, io.BytesIO(MADE.encode()))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """Of published bytes."""
    return hashlib.sha256(data).hexdigest()


def recipe(server: Registry, targets: dict[str, bytes], **changes: str) -> str:
    """The recipe, with everything it names published."""
    archive = source()
    fields = {
        "environment": "trixie",
        "source": f'url = "{server.serve("/hello-1.0.tar.gz", archive)}"\nsha256 = "{sha256(archive)}"',
        "directory": "hello-1.0",
        "commands": f'"sed s/@VERSION@/$VERSION/ hello.1.in > hello.1 && echo $VERSION > hello.txt",\n'
        f'"mkdir man && cp hello.1 man/ && {TAR} -cf hello.tar man",\n"gzip -n < hello.tar > hello.tar.gz"',
    } | changes
    text = f'name = "hello"\nversion = "1.0"\nenvironment = "{fields["environment"]}"\n'
    text += f'directory = "{fields["directory"]}"\ncommands = [\n{fields["commands"]}\n]\n'
    text += f'\n[source]\n{fields["source"]}\n\n[variables]\nVERSION = "1.0"\n'
    for name, data in targets.items():
        url = server.serve(f"/released/{name}", data)
        text += f'\n[[targets]]\nurl = "{url}"\nsha256 = "{sha256(data)}"\n'
    return text


def verified(installation: RecipeInstallation, text: str) -> Answer:
    """What the command says of a recipe."""
    path = installation.root / "hello.toml"
    path.write_text(text)
    return installation.verify(f"generic:{path}")


def test_targets_of_one_recipe(server: Registry, installation: RecipeInstallation) -> None:
    """Two files by the build alone, an archive with recorded values written, and no word about wheels anywhere."""
    targets = {"hello.1": MADE.encode(), "hello.txt": b"1.0\n", "hello.tar.gz": packed()}
    answer = verified(installation, recipe(server, targets))
    verdicts = {line["subject"]["filename"]: line["verdict"] for line in answer.lines}
    assert {"hello.1": "reproduced", "hello.txt": "reproduced", "hello.tar.gz": "reproduced"} == verdicts, answer.words
    assert 0 == answer.code
    reports = [json.loads(Path(each["report"]).with_name("report.json").read_bytes()) for each in answer.lines]
    assert [1, 1, 1] == [len(each["attempts"]) for each in reports]
    assert [False, True, True] == [each["attempts"][0]["shared"] for each in reports], "it is built once"
    assert 1 == len({each["attempts"][0]["run"]["started"] for each in reports})
    assert 1 == len({line["definition"] for line in answer.lines})
    assert len(targets) == len(answer.lines)
    for line in answer.lines:
        assert "pkg:generic/hello@1.0" == line["subject"]["purl"]
        page = Path(line["report"])
        files = [each for each in page.parent.iterdir() if each.suffix in {".html", ".json", ".jsonl"}]
        assert len(files) > 3
        for each in files:
            assert not WHEEL_WORDS.findall(each.read_text()), each
        assert {"source-to-file": line["verdict"]} == line["trail"]["steps"]
        (build,) = [each for each in files if re.fullmatch(r"definition-\d+\.json", each.name)]
        assert sha256(targets[line["subject"]["filename"]]) not in build.read_text()


def test_other_content_differs(server: Registry, installation: RecipeInstallation) -> None:
    """A file that the source does not give differs, and says where."""
    answer = verified(installation, recipe(server, {"hello.1": MADE.replace("hello", "goodbye").encode()}))
    assert (1, "differs") == (answer.code, answer.line["verdict"]), answer.words


def test_a_target_that_is_not_made(server: Registry, installation: RecipeInstallation) -> None:
    """The file of another target does not stand for it; verified again, all is built again, once."""
    text = recipe(server, {"hello.1": MADE.encode(), "bye.1": b"x"})
    for _ in range(2):
        answer = verified(installation, text)
        verdicts = {line["subject"]["filename"]: line["verdict"] for line in answer.lines}
        assert {"hello.1": "reproduced", "bye.1": "build-failed"} == verdicts, answer.words
        reports = [json.loads(Path(each["report"]).with_name("report.json").read_bytes()) for each in answer.lines]
        assert [False, True] == [each["attempts"][0]["shared"] for each in reports]


def test_nothing_is_left(server: Registry, installation: RecipeInstallation) -> None:
    """A command that fails, and one that makes no such file, are builds that failed."""
    for commands in ('"exit 3"', '"true"'):
        answer = verified(installation, recipe(server, {"hello.1": b"x"}, commands=commands))
        assert (3, "build-failed") == (answer.code, answer.line["verdict"]), answer.words


def test_the_published_file_is_no_source(server: Registry, installation: RecipeInstallation) -> None:
    """A recipe whose source is the file itself is refused: what sees it can copy it."""
    answer = verified(installation, recipe(server, {"copy.tar.gz": source()}, commands='"true"'))
    assert (3, "unsupported") == (answer.code, answer.line["verdict"]), answer.words


def test_from_a_commit(server: Registry, installation: RecipeInstallation, tmp_path: Path) -> None:
    """The tree of a commit, with its tags, from a mirror on this machine."""
    repository = make_repository(tmp_path / "upstream")
    commit = repository.commit({"hello.1.in": PAGE})
    settings = installation.root / "rebuilder.toml"
    settings.write_text(
        f'{settings.read_text()}\n[sources.mirrors]\n"https://forge.example.org/hello" = "{repository.path}"\n'
    )
    text = recipe(
        server,
        {"hello.1": MADE.encode()},
        environment="trixie-git",
        directory=".",
        source=f'repository = "https://forge.example.org/hello"\ncommit = "{commit}"',
        commands='"test -d .git && sed s/@VERSION@/$VERSION/ hello.1.in > hello.1"',
    )
    answer = verified(installation, text)
    assert (0, "reproduced") == (answer.code, answer.line["verdict"]), answer.words
    assert {"commit-to-file": "reproduced"} == answer.line["trail"]["steps"]
    answer = verified(installation, text.replace(commit, "0" * 40))
    assert (3, "inputs-missing") == (answer.code, answer.line["verdict"]), answer.words
    assert answer.line["sentence"] == answer.line["trail"]["why"]["commit-to-file"]


@pytest.mark.parametrize("path", ["/released/hello.1", "/hello-1.0.tar.gz"])
def test_a_file_that_cannot_be_had(server: Registry, installation: RecipeInstallation, path: str) -> None:
    """Gone: missing, for everybody. Refused, or another one: our trouble until it stays so."""
    text = recipe(server, {"hello.1": MADE.encode()})
    server.remove(path)
    answer = verified(installation, text)
    assert (3, "inputs-missing") == (answer.code, answer.line["verdict"]), answer.words
    assert path in answer.line["sentence"]
    server.serve(path, b"other")
    answer = verified(installation, text)
    assert (4, "infra-error") == (answer.code, answer.line["verdict"]), answer.words
    assert "the verdict is inputs-missing" in answer.line["problem"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('environment = "trixie"', 'environment = "potato"', "line 3, environment: 'potato' is no build environment"),
        ('version = "1.0"\nenv', "version = 1.0\nenv", "line 2, version: must be a text in quotes"),
        ("[variables]", "[variable]", "variable: is not known here (“variables” is)"),
        ('directory = "hello-1.0"', 'directory = "../x"', "line 4, directory: must be a path"),
        ("[[targets]]\nurl", "[[targets]]\nurI", "targets.uri: is not known here (“url” is)"),
        ("[source]\nurl", "[source]\ncommit", "source.commit: is not written"),
        ("commands = [", "commands = [[", "is not readable as TOML"),
    ],
)
def test_bad_recipes(server: Registry, installation: RecipeInstallation, old: str, new: str, said: str) -> None:
    """One sentence with the file, the line and the key; wrong use; nothing is fetched."""
    text = recipe(server, {"hello.1": b"x"})
    assert old in text
    answer = verified(installation, text.replace(old, new, 1))
    assert 2 == answer.code, answer.words
    assert f"{installation.root / 'hello.toml'}" in answer.words
    assert said.lower() in " ".join(answer.words.split()).lower(), answer.words
    assert 0 == server.count()
