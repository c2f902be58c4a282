"""Where a policy is enforced: what passes, what is said of it and counted, for installers and clusters alike."""

from __future__ import annotations

import json
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Any

from rebuilder.consumer.answer import Answer
from rebuilder.consumer.gate import Gate
from rebuilder.model.text import visible

_MOST_ASKED = 10_000
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered."""

    status: str
    """Code and reason phrase."""
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def send(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """As a WSGI server wants it (PEP 3333)."""
        start_response(self.status, [*self.headers, ("Content-Length", str(len(self.body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


def text(status: str, body: str) -> Reply:
    """An answer in words."""
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{visible(body)}\n".encode())


def document(status: HTTPStatus, value: Any, indent: int | None = None) -> Reply:
    """An answer in JSON."""
    head = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Reply(f"{status.value} {status.phrase}", head, json.dumps(value, indent=indent).encode())


class Enforcement:
    """Any thread may use it.

    Args:
        gate: Says what meets the policy.
        audit: Let everything through, and only report what would not pass.
    """

    def __init__(self, gate: Gate, *, audit: bool = False) -> None:
        self.gate, self.audit = gate, audit
        self._asked: OrderedDict[str, Answer] = OrderedDict()
        """Files that were asked for, by name and digest, with what was answered."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def broken(self) -> str | None:
        """What is wrong with a rebuilder as a whole, so that nothing is let through, as a sentence; None: nothing."""
        return visible(f"rebuilder: {self.gate.refused[0]}", _LONGEST) if self.gate.refused and not self.audit else None

    def against(self, answer: Answer) -> str | None:
        """Why a file is not let through, as a sentence; None: it is."""
        if self.audit:
            return None
        return self.broken if answer.standing.passes else sentence(answer)

    def note(self, answer: Answer) -> None:
        """Remember and count what was asked for, and say once what does not pass."""
        key = f"{answer.name} {answer.file.digest if answer.file is not None else ''}"
        outcome = "allowed" if answer.standing.passes or self.audit else "blocked"
        with self._lock:
            new = key not in self._asked
            self._asked[key] = answer
            self._counts["blocked" if self.broken else outcome, answer.standing.value] += 1
            while len(self._asked) > _MOST_ASKED:
                self._asked.popitem(last=False)
        if new and not answer.standing.passes:
            print(f"{'audit' if self.audit else 'refused'}: {visible(sentence(answer))}", file=sys.stderr, flush=True)  # noqa: T201

    def decided(self, result: str) -> None:
        """Count a request of somebody who asks about many files at once."""
        with self._lock:
            self._requests[result] += 1

    def page(self, path: str) -> Reply | None:
        """What whatever enforces a policy has: a report at ``/``, metrics, and a probe; None: it is another address."""
        if path == "/":
            return self._report()
        if path == "/metrics":
            return Reply("200 OK", (("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),), self._metrics())
        return text("200 OK", "Requests are answered.") if path == "/healthz" else None

    def _report(self) -> Reply:
        """What was asked for, and what of it does not pass."""
        with self._lock:
            asked = list(self._asked.values())
        found = {
            "mode": "audit" if self.audit else "enforce",
            "total": len(asked),
            "passed": sum(each.standing.passes for each in asked),
            "refused": self.gate.refused,
            "unread": self.gate.unread,
            "files": [each.document() | {"passes": each.standing.passes} for each in asked],
        }
        return document(HTTPStatus.OK, found, 1)

    def _metrics(self) -> bytes:
        """Prometheus' text format; the labels are words of ours, with nothing to escape."""
        with self._lock:
            counts, requests = sorted(self._counts.items()), sorted(self._requests.items())
        name = "rebuilder_policy_files_total"
        lines = [f"# HELP {name} Files that were asked for, by what came of it.", f"# TYPE {name} counter"]
        lines += [f'{name}{{outcome="{how}",standing="{why}"}} {count}' for (how, why), count in counts]
        name = "rebuilder_policy_requests_total"
        lines += [f"# HELP {name} Requests for admission, by what was answered.", f"# TYPE {name} counter"]
        lines += [f'{name}{{result="{result}"}} {count}' for result, count in requests]
        name = "rebuilder_policy_rebuilders_refused"
        lines += [f"# HELP {name} Rebuilders that are not what they must be: nothing passes.", f"# TYPE {name} gauge"]
        return "\n".join([*lines, f"{name} {len(self.gate.refused)}", ""]).encode()


def sentence(answer: Answer) -> str:
    """Why a file does not pass, in one line, with the address of a report where there is one."""
    report = next((each.report for each in answer.votes if each.report is not None), None)
    how = "is let through" if answer.standing.passes else "does not pass"
    words = f"rebuilder: {answer.name} {how} ({answer.standing}): {answer.sentence}"
    shown = visible(words, _LONGEST).encode("ascii", "replace").decode()
    return f"{shown} Report: {report}" if report is not None and report.isascii() else shown
