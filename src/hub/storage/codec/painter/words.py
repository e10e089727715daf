"""What the words of a scene ask for: where it is, what time, what is worn. No word known: chance decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour

T = TypeVar("T")

_PLACES: Final = {
    "sea": "beach sea ocean shore coast seaside island harbor harbour pier lake river boat ship sailing swim "
    "swimming surf surfing waves pool bay lagoon",
    "forest": "forest wood woods woodland jungle trees tree trail camp camping campfire tent grove cabin",
    "mountains": "mountain mountains hill hills peak summit cliff valley alps hike hiking castle",
    "city": "city street streets downtown rooftop skyline town alley bridge subway station market plaza "
    "apartment balcony skyscraper traffic tower urban",
    "meadow": "park garden gardens meadow field fields grass picnic flowers orchard farm lawn vineyard "
    "countryside outside outdoors village",
    "desert": "desert dune dunes sand oasis canyon savanna savannah mars",
    "snow": "snow snowy winter ski skiing ice icy glacier christmas frozen sled",
    "space": "space stars spaceship starship galaxy planet orbit moon cosmos rocket astronaut",
    "room": "room bedroom livingroom living home house sofa couch bed indoors inside hallway attic fireplace "
    "hotel cottage bathroom bath mansion dorm",
    "kitchen": "kitchen cook cooking cooks bake baking bakes stove oven dinner breakfast lunch",
    "library": "library bookshop bookstore study office desk school classroom university studying bookshelf "
    "archive museum lab laboratory workshop studio",
    "cafe": "cafe café coffeehouse bar pub restaurant tavern bistro inn diner teahouse",
    "stage": "stage club concert party dance dancing dancefloor disco theater theatre festival "
    "karaoke cinema",
}
_ALWAYS_DARK: Final = ("space", "stage")
_TIMES: Final = {
    "dawn": "dawn sunrise morning breakfast daybreak early",
    "day": "day noon midday afternoon sunny lunch bright sunlight daylight",
    "dusk": "dusk sunset evening twilight golden dinner candlelight",
    "night": "night midnight moonlight moonlit stars starry dark nighttime late moon",
    "grey": "rain rainy raining storm stormy cloudy overcast fog foggy mist misty grey-sky drizzle",
}
_CUTS: Final = {
    "hood": "hoodie hooded sweatshirt tracksuit cloak robe bathrobe parka",
    "collar": "shirt blouse uniform suit jacket blazer coat vest waistcoat pajamas pyjamas lab-coat "
    "tuxedo denim",
    "straps": "dress gown top tank swimsuit bikini sundress nightgown camisole apron dungarees overalls",
    "high": "sweater turtleneck jumper pullover cardigan scarf armor armour spacesuit wool",
    "round": "t-shirt tshirt tee shirtless tunic jersey kimono",
}
_DYES: Final = {
    "d8504d": "red scarlet crimson ruby",
    "8e2f45": "burgundy maroon wine",
    "ef8a4a": "orange coral apricot peach",
    "f0c14f": "yellow golden gold mustard amber",
    "5f9d6a": "green emerald mint lime",
    "7d8a54": "olive khaki",
    "3f9a9a": "teal turquoise cyan aqua",
    "4a7fc9": "blue azure sapphire denim jeans",
    "2d3e6e": "navy indigo",
    "8764b8": "purple violet lavender lilac plum",
    "e58bab": "pink rose magenta fuchsia",
    "35313f": "black charcoal ebony",
    "f4f0e8": "white ivory",
    "ead9bb": "cream beige",
    "9aa0a8": "grey gray silver",
    "96674a": "brown chocolate tan leather caramel",
}
_USUAL_DYES: Final = ("c75b52", "e0a34a", "5f9d7a", "4a78b0", "8764b8", "d97f93", "3f8a8f", "f1e6d2")
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LONGEST: Final = 500


class Mood(Struct, frozen=True, kw_only=True):
    """What a card shows: names of a place, a time and a cut of clothes, and the colour of these."""

    place: str
    time: str
    cut: str
    dye: Colour


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in table.items() for word in words.split()}


_PLACE_OF = _by_word(_PLACES)
_TIME_OF = _by_word(_TIMES)
_CUT_OF = _by_word(_CUTS)
_DYE_OF = _by_word(_DYES)

PLACES: Final = tuple(_PLACES)
TIMES: Final = tuple(_TIMES)


def mood_of(captions: Sequence[str], chance: Chance) -> Mood:
    """Return what the captions ask for, and what chance says where they ask for nothing."""
    words = [word for caption in captions for word in _WORD.findall(caption[:_LONGEST].casefold())]
    place = chance.one_of(("meadow", "mountains", "sea", "room", "cafe", "forest"))
    time = chance.one_of(("dawn", "day", "dusk", "dusk", "night"))
    cut = chance.one_of(tuple(_CUTS))
    dye = chance.one_of(_USUAL_DYES)
    place = _most(words, _PLACE_OF) or place
    return Mood(
        place=place,
        time="night" if place in _ALWAYS_DARK else _most(words, _TIME_OF) or time,
        cut=_first(words, _CUT_OF) or cut,
        dye=colour(_first(words, _DYE_OF) or dye),
    )


def _most(words: Sequence[str], kinds: Mapping[str, str]) -> str | None:
    """Return what most words speak of; of several, what comes first."""
    found = [kinds[word] for word in words if word in kinds]
    return max(found, key=found.count) if found else None


def _first(words: Sequence[str], kinds: Mapping[str, str]) -> str | None:
    return next((kinds[word] for word in words if word in kinds), None)
