"""Conditional requests: which entity tags a client names, and whether they fit."""

from __future__ import annotations

import re
from typing import Annotated

from litestar.params import HeaderParameter

from hub.core.errors import FieldError
from hub.core.etags import ANYTHING, Expected

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# Blanks behind a tag belong to it: there is one way to read each list, so that a wrong one is soon known.
_PLACE = rf"[ \t]*(?:{_TAG}[ \t]*)?"
_TAGS = re.compile(rf"{_PLACE}(?:,{_PLACE})*\Z")
_EACH = re.compile(_TAG)

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        max_length=2000,
        description="The `ETag` that was read: if it has changed meanwhile, 412 is answered.",
    ),
]


def expected(if_match: str | None) -> Expected:
    """Return what a request expects to find.

    Weak tags are left out: If-Match compares strongly (RFC 9110, 13.1.1), so they never fit.

    Raises:
        FieldError: the header is not well-formed.
    """
    if if_match is None or if_match.strip(" \t") == "*":
        return ANYTHING
    tags = _EACH.findall(if_match)
    if not tags or not _TAGS.match(if_match):
        raise FieldError("/If-Match", "Send the ETag as it was given, with its quotes, or an asterisk.")
    return Expected(frozenset(tag for tag in tags if not tag.startswith("W/")))


def has_already(if_none_match: str, tag: str) -> bool:
    """Tell whether If-None-Match names a tag; it compares weakly."""
    if if_none_match.strip() == "*":
        return True
    return tag in (each.removeprefix("W/") for each in _EACH.findall(if_none_match))
