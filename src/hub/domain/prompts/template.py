"""One text with placeholders: read strictly once, filled in without a mistake from then on."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class TemplateError(ValueError):
    """The text is no template; says what is wrong with it."""


class Template:
    """Paragraphs with ``$name`` or ``${name}`` in them; ``$$`` is a dollar sign.

    Values are only text, whatever stands in them. A paragraph with a placeholder that has nothing to say is
    left out.
    """

    def __init__(self, text: str, *, known: frozenset[str], required: frozenset[str] = frozenset()) -> None:
        """Read it; raises ``TemplateError`` for placeholders that are malformed, unknown or missing."""
        text = text.replace("\r\n", "\n").strip()
        self._paragraphs = [string.Template(part) for part in _BLANK_LINES.split(text) if part]
        if not all(part.is_valid() for part in self._paragraphs):
            raise TemplateError("a $ that begins no placeholder; write $$ for a dollar sign")
        names = {name for part in self._paragraphs for name in part.get_identifiers()}
        if unknown := sorted(names - known):
            raise TemplateError(f"${unknown[0]} is not known here; known are {_listed(known)}")
        if missing := required - names:
            raise TemplateError(f"it has to contain {_listed(missing)}")

    def fill(self, values: Mapping[str, str]) -> list[str]:
        """Return the paragraphs with values in place of the placeholders; all that are known need one."""
        return [
            part.substitute(values)
            for part in self._paragraphs
            if all(values[name].strip() for name in part.get_identifiers())
        ]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names)) or "none"
