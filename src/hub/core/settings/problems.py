"""What can be wrong with the settings, and the framed message that tells the operator all of it at once."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["missing", "empty", "malformed", "unknown", "unreadable", "weak"]

_HEADINGS: dict[Kind, str] = {
    "missing": "Missing settings:",
    "empty": "Empty settings:",
    "malformed": "Malformed settings:",
    "unknown": "Unknown settings:",
    "unreadable": "Unreadable files:",
    "weak": "Refused in production:",
}
_TITLE = "ENVIRONMENT VALIDATION FAILED"
_ADVICE = (
    "Set these in the environment, in .env or in config/hub.toml (its comments explain every setting),\n"
    "then start again."
)
_WIDTH = 78
_SHOWN = 60


class Problem(Struct, frozen=True, kw_only=True):
    """One thing to put right.

    ``name`` is the setting as the operator writes it (``HUB_PORT``, a key of hub.toml, a file's path),
    ``detail`` says what is expected and never holds a secret, ``origin`` is where the value came from
    ("" where there is none).
    """

    name: str
    kind: Kind
    detail: str
    origin: str = ""

    def line(self) -> str:
        """Return the problem as one line of printable text."""
        place = f" ({self.origin})" if self.origin else ""
        return printable(f"{self.name}{place}: {self.detail}")


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds every reason, in the order of their kinds."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        order = list(_HEADINGS)
        self.problems = sorted(problems, key=lambda problem: order.index(problem.kind))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """Return the framed message: plain text, no colours, no trailing newline."""
        rule = "+" + "-" * (_WIDTH - 2) + "+"
        parts = [f"{rule}\n|{_TITLE:^{_WIDTH - 2}}|\n{rule}"]
        for kind, heading in _HEADINGS.items():
            lines = [f"  {problem.line()}" for problem in self.problems if problem.kind == kind]
            if lines:
                parts.append("\n".join([heading, *lines]))
        return "\n\n".join([*parts, f"{_ADVICE}\n{rule}"])


def printable(text: str) -> str:
    """Return ``text`` on one line: what a terminal would obey or could not show is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """Return at most 60 characters of ``text``, printable."""
    text = printable(text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
