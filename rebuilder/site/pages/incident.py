"""The page of an incident: what was signed about something under suspicion, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rebuilder.model.incident import Incident
from rebuilder.site.documents import IncidentEntry
from rebuilder.site.kinds import data_path
from rebuilder.site.marks import Mark

_FROM_SOURCE = {
    "yes": Mark("yes", "✓", "Yes", "good", "It is the file that its source gives."),
    "no": Mark("no", "≠", "No", "bad", "It is not the file that its source gives."),
    "not known": Mark("not-known", "?", "Not known", "mute", "Whether its source gives it is not known."),
}


@dataclass(frozen=True, slots=True)
class IncidentsPage:
    """Leads to all of them, the newest first."""

    incidents: Sequence[IncidentEntry]
    root: str = "../"
    json: str = f"../{data_path('incidents/index.html')}"


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """An incident, as it was signed."""

    incident: Incident
    key_id: str
    root: str = "../../"
    marks: ClassVar[Mapping[str, Mark]] = _FROM_SOURCE
