"""What stands for a companion that has no picture: the first letter of its name, on a colour of its own."""

from __future__ import annotations

import unicodedata
from uuid import UUID

#: How many colours the style sheet has.
HUES = 12

_JOINER = "\N{ZERO WIDTH JOINER}"
#: What belongs to the character before it: accents, variation selectors, and joiners.
_ATTACHED = ("Mn", "Me", "Mc", "Cf")


def initial(name: str) -> str:
    """Return the first letter of a name as readers see it, with all its accents."""
    name = name.strip()
    letter = name[:1]
    for character in name[1:]:
        if unicodedata.category(character) not in _ATTACHED and not letter.endswith(_JOINER):
            break
        letter += character
    return letter.upper()


def hue(companion_id: UUID) -> int:
    """Return the number of a companion's colour, which stays the same whatever it is called."""
    return companion_id.int % HUES
