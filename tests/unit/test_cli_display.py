"""What a person sees while verifying."""

from __future__ import annotations

import io
from pathlib import Path

from rebuilder.cli.display import Display
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Artifact, PublishedFile, Subject
from rebuilder.model.report import Stage
from rebuilder.model.text import visible
from rebuilder.model.value import Sha256
from rebuilder.verification.coordinator import Verified
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

ARTIFACT = Artifact(
    ecosystem="pypi",
    purl="pkg:pypi/x@1",
    name="x",
    version="1",
    file=PublishedFile(filename="x-1-py3-none-any.whl", url="urn:x", sha256=Sha256("0" * 64)),
)


def test_stages_are_plain_lines_when_not_on_a_terminal() -> None:
    """A log file shows every stage with the subject in front."""
    stream = io.StringIO()
    with Display(stream) as display:
        display.subject("pypi:x==1")
        display.stage(Stage.FETCH)
        display.stage(Stage.BUILD, "source-date-epoch")
    assert stream.getvalue() == "pypi:x==1: fetch\npypi:x==1: build source-date-epoch\n"


def test_fault_is_a_sentence_with_a_hint() -> None:
    """Our own trouble is told as such."""
    stream = io.StringIO()
    with Display(stream) as display:
        display.fault(
            Subject(ecosystem="pypi", name="x", asked="pypi:x"), UnavailableError("It is down.", hint="Wait.")
        )
        display.result(Verified(ARTIFACT, fault=UnavailableError("Gone.")), Path("/site"))
    assert "It is down.\n    Wait.\n" in stream.getvalue()
    assert "infra-error  x-1-py3-none-any.whl" in stream.getvalue()
    assert "Gone." in stream.getvalue()


def test_several_are_counted_at_the_end() -> None:
    """Of a lock file with a hundred lines nobody wants to count verdicts; of one file there is nothing to count."""
    stream, blobs = io.StringIO(), MemoryBlobs()
    done = reports.reproduced(blobs)
    with Display(stream) as display:
        display.result(Verified(done.artifact, signed=reports.signed(done)), Path("/site"))
        display.totals()
        assert "in all" not in stream.getvalue()
        display.result(Verified(done.artifact, signed=reports.signed(done)), Path("/site"))
        display.fault(Subject(ecosystem="pypi", name="x", asked="pypi:x"), UnavailableError("It is down."))
        display.totals()
    assert stream.getvalue().endswith("3 in all: 2 reproduced, 1 could not be looked at.\n")


def test_what_could_not_be_tried_is_said_with_the_verdict() -> None:
    """Somebody who asked for a clock must see on the terminal, too, that there was none."""
    stream, blobs = io.StringIO(), MemoryBlobs()
    done = reports.reproduced(blobs).replace(remarks=("The recorded clock\x1b was not tried.",))
    with Display(stream) as display:
        display.result(Verified(done.artifact, signed=reports.signed(done)), Path("/site"))
    assert "\n    The recorded clock⟨U+001B⟩ was not tried.\n" in stream.getvalue()


def test_terminal_escapes_are_made_visible() -> None:
    """Names from a registry cannot move the cursor, recolour the screen or reorder the text."""
    assert visible("a\x1b[31mb\u202ec\nd") == "a⟨U+001B⟩[31mb⟨U+202E⟩c⟨U+000A⟩d"
    assert visible("käse ✓") == "käse ✓"
