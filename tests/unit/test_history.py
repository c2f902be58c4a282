"""Planning from recorded attempts alone: any process goes on where another one ended, and works nothing out twice."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebuilder.ecosystems.protocol import StepTask
from rebuilder.ecosystems.pypi.ecosystem import PyPI
from rebuilder.model.attempt import Attempt, CannotBeTriedError, History, Hypothesis, Limit, NotTried, Output, plan
from rebuilder.model.comparison import Level
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import Origin, SourceCommit
from tests.fakes.planning import from_published
from tests.fakes.projects import SOME_TIME, make_sdist, make_wheel
from tests.fakes.pypi import Surroundings, attempt
from tests.fakes.verifications import artifact, definition

URL = "https://example.org/owner/idna"
FILES = {
    "pyproject.toml": '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "minibackend"\n',
    "idna/__init__.py": 'version = "3.10"\n',
}
EARLIER = datetime(2023, 5, 6, 7, 8, 10, tzinfo=UTC)
REBUILT = (
    make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME.replace(day=9)),
    make_wheel("idna", "0", time=EARLIER),
)


class World:
    """One release with a source archive, a commit and every kind of sandbox."""

    def __init__(self) -> None:
        self.surroundings = Surroundings(sandboxes=frozenset({"bubblewrap", "uml"}), clock="kernel")
        self.surroundings.add_dependency(make_wheel("hatch-vcs", "0.5.0"))
        sdist = make_sdist("idna", "3.10", FILES, requires=["minibackend==1.0", "hatch-vcs"])
        self.surroundings.publish(sdist, make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME))
        sha = self.surroundings.sources.add(
            URL, {name: text.encode() for name, text in FILES.items()}, moment=1_683_356_400
        )
        tree = self.surroundings.sources.commit(URL, sha)
        assert isinstance(tree, SourceTree)
        origin = Origin(repository=URL, commit=sha, attested=True, sentence="Attested.")
        self.commit = SourceCommit(origin=origin, tree=tree)

    def process(self) -> Process:
        """What a process begins with."""
        pypi = self.surroundings.pypi
        [evidence] = pypi.evidence(pypi.parse("idna"))
        return Process(pypi, evidence, self.commit)


class Process:
    """Plans all steps, one after the other, as a coordinator does."""

    def __init__(self, pypi: PyPI, evidence: Evidence, commit: SourceCommit) -> None:
        self._pypi = pypi
        self._evidence = evidence
        self._commit = commit

    def next(self, history: History) -> Hypothesis | None:
        """What is to be tried; None when all is."""
        graph = self._pypi.steps(self._evidence, self._commit.origin)
        for step in sorted(graph.steps, key=graph.from_commit):
            commit = self._commit if graph.from_commit(step) else None
            found = self._pypi.next(StepTask(step, self._evidence, Limits(), commit), history)
            if isinstance(found, Hypothesis):
                return found
        return None


def ended(one: Hypothesis, end: int, surroundings: Surroundings) -> Attempt | NotTried:
    """One of the ways a hypothesis may end."""
    if end == 0:
        return NotTried(hypothesis=one, reason="there is no guest")
    if end <= 2:
        return attempt(one, None, Limit.WALL_TIME if end == 1 else None)
    level = (Level.IDENTICAL, Level.EQUIVALENT, Level.DIFFERENT, Level.DIFFERENT)[end - 3]
    made, wheel = attempt(one, level), REBUILT[end == 6]
    output = Output(filename=wheel.filename, sha256=surroundings.blobs.put(wheel.data), size=len(wheel.data))
    assert made.comparison is not None
    comparison = made.comparison.replace(normalisations=("zip-times",))
    return made.replace(rebuilt=output, comparison=comparison if level is Level.EQUIVALENT else made.comparison)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 5, 6, 6]), min_size=14, max_size=14))
def test_every_prefix_goes_on_identically(ends: list[int]) -> None:
    """After each recorded attempt another process plans the same next one, and the plan comes to an end."""
    world = World()
    one = world.process()
    history, planned = History(), list[Hypothesis]()
    histories = [history]
    while (following := one.next(history)) is not None:
        planned.append(following)
        end = ended(following, ends[len(planned) % len(ends)], world.surroundings)
        if isinstance(end, NotTried):
            history = History(history.attempts, (*history.not_tried, end))
        else:
            history = History(
                (*history.attempts, Attempt.model_validate_json(end.model_dump_json())), history.not_tried
            )
        histories.append(history)
        assert len(planned) < 30
    assert planned
    assert len({each.definition.digest for each in planned}) == len(planned), "nothing is run twice"
    for expected, history in zip([*planned, None], histories, strict=True):
        found = world.process().next(history)
        assert (expected and (expected.name, expected.definition.digest)) == (
            found and (found.name, found.definition.digest)
        )


def test_nothing_is_worked_out_twice() -> None:
    """Planning starts from the beginning after every attempt; versions are chosen and archives listed once."""
    world = World()
    one, surroundings = world.process(), world.surroundings
    surroundings.requires = None  # a backend that cannot be asked is not asked again, either
    history, costs = History(), list[tuple[int, ...]]()
    while (following := one.next(history)) is not None:
        costs.append((len(surroundings.programs.runs), len(surroundings.resolver.questions), len(surroundings.asked)))
        assert following == one.next(history)
        assert costs[-1] == (
            len(surroundings.programs.runs),
            len(surroundings.resolver.questions),
            len(surroundings.asked),
        )
        made = ended(following, 5, surroundings)
        assert isinstance(made, Attempt)
        history = History((*history.attempts, made))
    assert len({each.digest for each in surroundings.asked}) == len(surroundings.asked)
    assert len(costs) > 5
    assert costs[-1] > costs[0]


def test_what_is_learned_meanwhile_does_not_turn_a_plan_round() -> None:
    """Results of other processes may change which guess comes first; not for a wheel that is at hand."""
    surroundings = Surroundings()
    surroundings.publish(make_sdist("idna", "3.10"), make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME))
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("idna"))
    planning = from_published(pypi, evidence)
    first = planning.first()
    assert "source-archive-times" == first.name
    second = planning.after(attempt(first, Level.DIFFERENT))
    for _ in range(9):
        pypi.learn(evidence, (attempt(second, Level.IDENTICAL),))
    [again] = surroundings.pypi.evidence(pypi.parse("idna"))
    assert second.name == from_published(surroundings.pypi, again).first().name
    assert second.name == planning.ask(History(tuple(planning.attempts))).name  # type: ignore[union-attr]


def hypothesis(name: str, **changes: object) -> Hypothesis:
    """One of several."""
    return Hypothesis(name=name, sentence="A guess.", definition=definition(artifact(), **changes))


def test_a_repeat_is_no_answer() -> None:
    """It was made to see how stable a build is, and compares with the first; two names of one build are one."""
    one = hypothesis("one")
    repeat = attempt(one, Level.IDENTICAL).replace(repeat=True)
    first = attempt(one, Level.DIFFERENT)
    assert first == History((repeat, first)).of(hypothesis("another name"))
    assert one == plan(partial(_asking, one), History((repeat,)))


def test_what_could_not_be_tried_ends_a_plan() -> None:
    """Unless whoever plans knows another way."""
    one = hypothesis("one")
    history = History((), (NotTried(hypothesis=one, reason="there is no guest"),))
    assert plan(partial(_asking, one), history) is None
    with pytest.raises(CannotBeTriedError):
        history.of(one)


def _asking(one: Hypothesis, history: History) -> Obstacle | None:
    history.of(one)
    return None
