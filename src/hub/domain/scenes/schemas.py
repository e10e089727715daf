"""Where a companion is and how it looks at the moment."""

from __future__ import annotations

import msgspec
from msgspec import Struct

_NOTHING_SAID = "as usual"


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


class Setting(Struct, frozen=True, kw_only=True):
    """All that is known of how things stand with a companion."""

    scene: Scene
    details: SceneDetails


def told(scene: Scene) -> dict[str, str]:
    """Return the scene's words by name, for a prompt: none of them is empty."""
    words: dict[str, str] = msgspec.structs.asdict(scene)
    return {name: word if word.strip() else _NOTHING_SAID for name, word in words.items()}
