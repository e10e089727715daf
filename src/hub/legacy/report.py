"""What an import or a comparison came to: counts, and a line for everything that needs a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

Thing = Literal["users", "companions", "messages", "pictures"]
THINGS: tuple[Thing, ...] = ("users", "companions", "messages", "pictures")

#: The columns of an import's table, and of a comparison's.
IMPORT = ("imported", "already there", "deleted here", "skipped", "failed")
VERIFY = ("verified", "deleted here", "changed here", "not compared", "skipped", "damaged", "different")


class Remark(Struct, frozen=True, kw_only=True):
    """What is to be said of one row of the original. ``row`` is its table in lower case.

    ``column`` is where it was counted, or ``note`` for what was only adapted; ``is_wrong`` tells that it
    could have been read but is not here as it should be.
    """

    thing: Thing
    row: Literal["user", "companion", "message"]
    id: str
    column: str
    text: str
    is_wrong: bool = False


class Report:
    """Counts by thing and column, and remarks."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.counts: dict[Thing, Counter[str]] = {thing: Counter() for thing in THINGS}
        self.remarks: list[Remark] = []

    @property
    def is_clean(self) -> bool:
        """Whether all that can be read is here as it should be."""
        return not any(remark.is_wrong for remark in self.remarks)

    def count(self, thing: Thing, column: str, number: int = 1) -> None:
        """Count rows that need no remark."""
        self.counts[thing][column] += number

    def remark(self, remark: Remark) -> None:
        """Keep a remark, and count its row unless it is but a note."""
        self.remarks.append(remark)
        if remark.column in self.columns:
            self.count(remark.thing, remark.column)

    def render(self) -> str:
        """Return the table and the remarks, for people."""
        rows = [("", "found", *self.columns)]
        for thing in THINGS:
            counts = self.counts[thing]
            numbers = (counts.total(), *(counts[column] for column in self.columns))
            rows.append((thing, *(f"{number:,}" for number in numbers)))
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = [_line(row, widths) for row in rows]
        for column in (*self.columns, "note"):
            remarks = [each for each in self.remarks if each.column == column]
            if remarks:
                lines += ["", f"{column.capitalize()}:", *map(_words, _sorted(remarks))]
        return "\n".join(lines)

    def to_json(self) -> bytes:
        """Return the same as one JSON object."""
        counts = {
            thing: {
                "found": self.counts[thing].total(),
                **{column.replace(" ", "_"): self.counts[thing][column] for column in self.columns},
            }
            for thing in THINGS
        }
        remarks = list(_sorted(self.remarks))
        return msgspec.json.format(
            msgspec.json.encode({**counts, "clean": self.is_clean, "remarks": remarks}), indent=2
        )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *numbers = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *numbers]).rstrip()


def _words(remark: Remark) -> str:
    # Ids and names may hold anything; they are not to steer the terminal.
    words = f"  {remark.row} {remark.id}: {remark.text}"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def _sorted(remarks: Iterable[Remark]) -> list[Remark]:
    return sorted(remarks, key=lambda each: (THINGS.index(each.thing), each.row, each.id))
