"""Controlled variation of real builds in the real sandbox: the factor that is in the result is the one named."""

from __future__ import annotations

from pathlib import Path

from rebuilder.config import Config
from rebuilder.model.comparison import Effect, Factor, Variation
from rebuilder.model.diagnosis import Cause
from rebuilder.model.report import Report
from rebuilder.model.verdict import Kind
from rebuilder.verification.findings import vary
from rebuilder.verification.parts import Parts
from tests.fakes.command import Installation
from tests.fakes.projects import EPOCH, build, make_sdist
from tests.fakes.registry import Registry

EMBEDDED = {
    "path": Factor.BUILD_PATH,
    "umask": Factor.UMASK,
    "locale": Factor.LOCALE,
    "zone": Factor.TIME_ZONE,
    "set": Factor.HASH_SEED,
    "host": Factor.HOST_NAME,
    "listing": Factor.FILE_ORDER,
    "user": Factor.USER,
}


def verified(registry: Registry, config: Config, embed: list[str], *, epoch: int | None) -> Report:
    """The report on a wheel that has these things of the machine it was built on in it."""
    files = {f"one/{name}.py": f"{name} = 1\n" for name in ("__init__", "b", "c", "d")}
    sdist = make_sdist("one", "1.0", files, tool=f"[tool.minibackend]\nembed = {embed!r}\n")
    registry.publish(sdist, build(sdist, epoch=epoch))
    line = Installation(config.store.parent, registry.url).verify("pypi:one==1.0").line
    return Report.model_validate_json((Path(line["report"]).parent / "report.json").read_text())


def varied(parts: Parts, report: Report) -> Variation:
    """The table of the attempt the verdict rests on."""
    assert report.decision.attempt is not None
    table = vary(parts, report.attempts[report.decision.attempt], report.evidence)
    assert table is not None
    return table


def test_every_factor_that_is_embedded_is_named(registry: Registry, config: Config, parts: Parts) -> None:
    """A build that writes down all of its surroundings flips with each of them, by the member that holds them."""
    report = verified(registry, config, list(EMBEDDED), epoch=EPOCH)
    assert Kind.STABLE is report.decision.kind
    assert report.variation is None
    table = varied(parts, report)
    assert table.steady
    effects = {row.factor: row.effect for row in table.rows}
    assert dict.fromkeys(EMBEDDED.values(), Effect.FLIPS) == {
        factor: effects[factor] for factor in EMBEDDED.values()
    }, table
    holders = [row.members for row in table.rows if row.factor in EMBEDDED.values()]
    assert all("one/_embedded.py" in members for members in holders)
    assert list(Factor) == [row.factor for row in table.rows]


def flipping(table: Variation) -> dict[Factor, Effect]:
    """The factors on which the digest depends."""
    return {row.factor: row.effect for row in table.rows if row.effect in {Effect.FLIPS, Effect.STEADIES}}


def test_only_the_factors_that_are_embedded_are_named(registry: Registry, config: Config, parts: Parts) -> None:
    """What a build does not write down does not flip its digest; the time it is told stands in the archive."""
    table = varied(parts, verified(registry, config, ["path", "set"], epoch=EPOCH))
    assert {Factor.BUILD_PATH, Factor.HASH_SEED} == flipping(table).keys() - {Factor.TIME}, table


def test_time_is_found_in_a_build_that_is_not_steady(registry: Registry, config: Config) -> None:
    """Two rebuilds differ; with the time fixed they do not, and the report says so without being asked."""
    report = verified(registry, config, ["time"], epoch=None)
    assert Kind.UNSTABLE is report.decision.kind
    assert report.variation is not None
    assert not report.variation.steady
    assert {Factor.TIME: Effect.STEADIES} == flipping(report.variation), report.variation
    assert report.diagnosis is not None
    assert [Cause.EMBEDDED_TIME] == [each.cause for each in report.diagnosis.findings]
