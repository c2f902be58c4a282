"""What is run of a package.json's scripts, and what is not."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.npm.scripts import LONGEST, UnreadableScript, commands, is_left_out, ways_to_build


def ways(scripts: dict[str, str], above: dict[str, str] | None = None) -> list[tuple[str, list[str], list[str]]]:
    """Name, commands and what is left out, of each way."""
    found = ways_to_build(scripts, "packages/own", above)
    return [(each.name, [step.command for step in each.steps], list(each.left_out)) for each in found]


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ({"test": "mocha"}, []),
        ({"build": "tsc"}, [("build", ["tsc"], [])]),
        ({"prepare": "npm run build", "build": "del out && tsc"}, [("lifecycle", ["del out", "tsc"], [])]),
        (
            {"prepare": "tshy", "prepublishOnly": "git push origin --follow-tags"},
            [("lifecycle", ["tshy"], ["git push origin --follow-tags"])],
        ),
        (
            {"prepare": "husky install || true", "build": "rollup -c"},
            [("build", ["rollup -c"], [])],
        ),
        (
            {"prepublishOnly": "npm test && yarn build", "build": "run-s build:*", "build:a": "a", "build:b": "b"},
            [("lifecycle", ["a", "b"], ["npm test"])],
        ),
        ({"prebuild": "rm lib", "build": "babel", "postbuild": "cp"}, [("build", ["rm lib", "babel", "cp"], [])]),
        ({"build": "npm run build"}, []),
        ({"build": "FOO=1 webpack; npm publish"}, [("build", ["FOO=1 webpack"], ["npm publish"])]),
    ],
)  # fmt: skip
def test_ways(scripts: dict[str, str], expected: object) -> None:
    """The likeliest first; calls are followed, also in circles."""
    assert expected == ways(scripts)


def test_the_repository_builds_what_the_package_does_not() -> None:
    """Its scripts run in its own directory."""
    [way] = ways_to_build({"test": "x"}, "packages/own", {"build": "lerna run build"})
    assert ("repository-build", "") == (way.name, way.steps[0].directory)


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        ("git push", True),
        ("npx np", True),
        ("CI=1 npm version patch", True),
        ("npm run release", True),
        ("pnpm publish --access public", True),
        ("./node_modules/.bin/mocha test", True),
        ("tsc --noEmit", True),
        ("a | git commit -F -", True),
        ("cross-env NODE_ENV=production rollup -c", False),
        ("eslint --fix src", False),
        ("echo 'git push'", False),
        ("node scripts/publish.js", False),
    ],
)
def test_left_out(command: str, left_out: bool) -> None:
    """By the words of a shell, not by what a text holds."""
    assert left_out == is_left_out(command)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a && b; c", ["a", "b", "c"]),
        ("a || b && c", ["a || b", "c"]),
        ("echo 'x && y' && z", ["echo 'x && y'", "z"]),
        ("a > /dev/null 2>&1 && b", ["a > /dev/null 2>&1", "b"]),
        ("cd sub && npm run build", ["cd sub && npm run build"]),
        ("for f in *; do cp $f x; done", ["for f in *; do cp $f x; done"]),
        ("echo $(date) && b", ["echo $(date) && b"]),
        ("", []),
        ("unclosed ' quote", ["unclosed ' quote"]),
    ],
)
def test_commands(text: str, expected: list[str]) -> None:
    """What is more than commands in a row stays one."""
    assert expected == commands(text)


def test_huge_scripts_are_refused() -> None:
    """Nobody writes them by hand."""
    with pytest.raises(UnreadableScript, match="8,193 characters"):
        ways_to_build({"build": "x" * (LONGEST + 1)}, "")


def test_calls_that_multiply_are_refused() -> None:
    """Each script calls the next one twice."""
    scripts = {f"s{number}": f"npm run s{number + 1} && npm run s{number + 1}" for number in range(40)}
    with pytest.raises(UnreadableScript, match="more than 200 commands"):
        ways_to_build({"build": "npm run s0", **scripts}, "")
