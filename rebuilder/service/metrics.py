"""Metrics for Prometheus, made from the ledger whenever they are asked for.

So they are right with many processes and after a restart, and counters never go backwards. Every ``serve`` on one
ledger tells the same: an expression over several of them takes the maximum, not the sum. docs/operate/metrics.md
lists them all.

What is only counted is kept in the ledger under these names and labels (see :func:`tallies`):

``cache``, ``KIND:hit`` or ``KIND:miss``
    questions to a cache.
``inputs``, ``complete`` or ``incomplete``
    attempts by whether each input of their definition says what it is and where it is from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.figures import Figures, ProcessFigures
from rebuilder.model.report import Report

_LONGEST_KIND = 50
"""Characters; a label has room for 64."""


def tallies(report: Report, cache_hits: Mapping[str, tuple[int, int]]) -> dict[tuple[str, str], int]:
    """What an examined artifact adds to what is only counted, by name and label; zeroes are left out.

    Args:
        report: Of the artifact.
        cache_hits: Kind of cache to how often it had what was asked for, and how often not, meanwhile.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for kind, (hits, misses) in cache_hits.items():
        counted["cache", f"{kind[:_LONGEST_KIND]}:hit"] += hits
        counted["cache", f"{kind[:_LONGEST_KIND]}:miss"] += misses
    for attempt in report.attempts:
        counted["inputs", "complete" if _complete(attempt.hypothesis.definition) else "incomplete"] += 1
    return {key: number for key, number in counted.items() if number}


def _complete(definition: BuildDefinition) -> bool:
    """Whether a bill of materials of the build lacks nothing; digests are never missing.

    Build dependencies and tools need a version and an address. What the build starts from needs an address, its own
    or the definition's. What we made ourselves needs neither.
    """
    for each in definition.inputs:
        if each.role in {Role.BUILD_DEPENDENCY, Role.BUILD_TOOL} and not (each.version and each.uri):
            return False
        if each.role is Role.SOURCE and not (each.uri or definition.source):
            return False
    return True


def scrape(figures: Callable[[], Figures], place: Callable[[], ProcessFigures]) -> bytes:
    """All metrics in Prometheus' text format; a ledger that does not answer is a metric too, not an error.

    Args:
        figures: Gives what the ledger says; see ``Statistics.figures``.
        place: Gives what this process sees beside it.
    """
    from prometheus_client import CollectorRegistry, generate_latest  # workers count, and have no use for it

    from rebuilder.service.metric_families import Metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(figures, place))
    return generate_latest(registry)
