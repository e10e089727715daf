"""The text of a reply while it is being written."""

from __future__ import annotations

import unicodedata

# After these, and before those, a new word stands apart.
_CLOSING = frozenset(".,;:!?…\"'”’»)]}*_%")  # noqa: RUF001 - quotation marks
_OPENING = frozenset("“‘«([{")  # noqa: RUF001 - as above
_UNSPACED = frozenset(
    ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "IDEOGRAPHIC", "FULLWIDTH")
)


class ReplyText:
    """Collects what a model says so that what was streamed is exactly what will be stored.

    White space at the start is dropped; white space at the end is held back until something follows it,
    so that a reply never ends in blanks that clients have seen and the stored message has not.

    With a ``prefix``, the text of a message that is continued, the whole begins with that.
    """

    def __init__(self, prefix: str = "") -> None:
        self._parts = [prefix] if prefix else []
        self._prefix = prefix
        self._held = ""
        self._start = len(prefix)
        self.length = len(prefix)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said so far."""
        return self.length == self._start

    def add(self, text: str) -> str:
        """Take what the model said and return what of it may be shown now; often the same."""
        text = self._held + text
        if self.is_empty:
            text = joined(self._prefix, text) if self._prefix else text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
            self._parts.append(shown)
            self.length += len(shown)
        return shown

    def __str__(self) -> str:
        """Return everything shown so far, behind the prefix."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""


def joined(prefix: str, text: str) -> str:
    """Return a text as it goes on from another one.

    Where neither has white space at the seam, a blank comes between a word or closing mark and a word or
    opening mark; other marks, and scripts that are written without blanks, join as they are. Where both have
    some, that of the prefix stays.
    """
    first = text[:1]
    if not first.strip() or not prefix or prefix[-1].isspace():
        return text.lstrip() if prefix[-1:].isspace() else text
    before, after = prefix[-1], first
    stands_apart = (before.isalnum() or before in _CLOSING) and (after.isalnum() or after in _OPENING)
    return f" {text}" if stands_apart and not (_is_unspaced(before) or _is_unspaced(after)) else text


def _is_unspaced(character: str) -> bool:
    """Tell whether a character is of a script that has no blanks between words."""
    name = unicodedata.name(character, "").split(" ")[0]
    return name in _UNSPACED
