"""What the parts of an import share."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.core.progress import Progress
from hub.domain.images.service import ImageService
from hub.legacy.report import Report, Thing
from hub.legacy.source import Source
from hub.legacy.uploads import Uploads


@dataclass
class Run:
    """One import, or one comparison.

    ``closed`` are the companions of the original whose messages and pictures have been counted already,
    because nothing of them can come; ``ended`` those whose conversation was deleted here.
    """

    source: Source
    uploads: Uploads
    images: ImageService
    progress: Progress
    report: Report
    closed: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    async def close(self, companion_id: str, column: str) -> tuple[int, int]:
        """Count everything below a companion under one column; return (messages, pictures)."""
        below = await self.source.below(companion_id)
        things: tuple[Thing, Thing] = ("messages", "pictures")
        for thing, number in zip(things, below, strict=True):
            self.report.count(thing, column, number)
        self.closed.add(companion_id)
        return below
