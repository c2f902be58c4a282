"""Something about a file that a person wrote."""

from __future__ import annotations

from rebuilder.model.value import Value


class Remark(Value):
    """Something about a file that its author should know: a mistake, or what was skipped."""

    file: str
    line: int | None = None
    key: str | None = None
    """Such as ``watch.every``."""
    message: str

    @property
    def label(self) -> str:
        """``FILE, line N, KEY: MESSAGE``; what is not known is left out."""
        line = f"line {self.line}" if self.line else None
        return f"{', '.join(filter(None, (self.file, line, self.key)))}: {self.message}"
