"""Where a companion is and how it looks at the moment."""

from __future__ import annotations

from msgspec import Struct


class Scene(Struct, frozen=True, kw_only=True):
    """Where a companion is, what it wears, does and shows."""

    outfit: str
    location: str
    action: str
    expression: str
