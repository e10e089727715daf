"""What is wrong with a value from outside, in words for people."""

from __future__ import annotations

from hub.core.errors import InvalidPart


def invalid_part(prefix: str, error: Exception) -> InvalidPart:
    """Say where a value is wrong and how, in words for people; ``prefix`` is the pointer of the whole."""
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").replace("[...]", "").replace("[", ".").replace("]", "")
    return InvalidPart(prefix + path.replace(".", "/"), _plain(text))


def _plain(text: str) -> str:
    """Say what a pattern is for, which clients cannot guess from its text."""
    if "matching regex" in text:
        if "a-z0-9_" in text:
            return "Only the letters a-z, digits and _ may stand here."
        if "@" in text:
            return "This is not an email address."
        if r"\s" in text:
            return "This must hold more than white space, and no NUL character."
        return "A NUL character may not stand here."
    return text + "."
