"""The text of a reply while it is being written."""

from __future__ import annotations


class ReplyText:
    """Collects what a model says so that what was streamed is exactly what will be stored.

    White space at the start is dropped; white space at the end is held back until something follows it,
    so that a reply never ends in blanks that clients have seen and the stored message has not.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._held = ""
        self.length = 0

    def add(self, text: str) -> str:
        """Take what the model said and return what of it may be shown now; often the same."""
        text = self._held + text
        if self.length == 0:
            text = text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
            self._parts.append(shown)
            self.length += len(shown)
        return shown

    def __str__(self) -> str:
        """Return everything shown so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""
