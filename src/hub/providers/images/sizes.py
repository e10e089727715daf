"""Sizes that OpenAI's kind of image servers take, and the one that is nearest to what was ordered."""

from __future__ import annotations

import math
import re

from msgspec import Struct

_SIZE = re.compile(r"(?<![\dx])(\d{2,4})x(\d{2,4})(?![\dx])")

_AFTER = {"exact": "auto", "nearest": "auto", "auto": "none"}

Size = tuple[int, int]


class Dialect(Struct, frozen=True, kw_only=True):
    """What a server takes. ``sizes``: those that it named, if it named any; "auto": its own choice."""

    response_format: bool = True
    size: str = "exact"  # exact, nearest, auto or none
    sizes: tuple[Size, ...] = ()

    def fields(self, width: int, height: int) -> dict[str, object]:
        """Return what a request says in this dialect."""
        told: dict[str, object] = {"response_format": "b64_json"} if self.response_format else {}
        if self.size == "exact":
            told["size"] = f"{width}x{height}"
        elif self.size == "nearest":
            told["size"] = "{}x{}".format(*nearest((width, height), self.sizes))
        elif self.size == "auto":
            told["size"] = "auto"
        return told

    def simpler(self, status: int, body: bytes, asked: Size) -> Dialect | None:
        """Return what to try after this refusal; None if it is about something else."""
        words = body.decode("utf-8", "replace").lower()
        if status not in (400, 422):
            return None
        if self.response_format and "response_format" in words:
            return Dialect(response_format=False, size=self.size, sizes=self.sizes)
        if "size" not in words or self.size == "none":
            return None
        sizes = _named(words, asked) if self.size == "exact" else ()
        size = "nearest" if sizes else _AFTER[self.size]
        return Dialect(response_format=self.response_format, size=size, sizes=sizes)


def nearest(asked: Size, sizes: tuple[Size, ...]) -> Size:
    """Return the size with the nearest shape, and of those the one nearest in area."""
    width, height = asked

    def distance(size: Size) -> tuple[float, float]:
        shape = math.log(size[0] / size[1]) - math.log(width / height)
        area = math.log(size[0] * size[1]) - math.log(width * height)
        return round(abs(shape), 3), abs(area)

    return min(sizes, key=distance)


def _named(words: str, asked: Size) -> tuple[Size, ...]:
    found = dict.fromkeys((int(width), int(height)) for width, height in _SIZE.findall(words))
    found.pop(asked, None)
    return tuple(size for size in found if min(size) > 0)
