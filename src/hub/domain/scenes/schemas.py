"""Where a companion is and how it looks at the moment."""

from __future__ import annotations

from msgspec import Struct


class Scene(Struct, frozen=True, kw_only=True):
    """Where a companion is, what it wears, does and shows."""

    outfit: str
    location: str
    action: str
    expression: str


class SceneDetails(Struct, frozen=True, kw_only=True):
    """What a painter wants to know beyond the scene; not shown to clients.

    ``is_user_present`` says that the user is at the same place, and to be seen in a picture of it.
    """

    lighting: str = ""
    is_user_present: bool = False
    visual_tags: tuple[str, ...] = ()
