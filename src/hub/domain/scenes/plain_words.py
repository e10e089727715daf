"""A model's words made plain: one bounded line without markup, and nothing where they say nothing."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = frozenset("\u200c\u200d")  # parts of words in Persian and Hindi, and of emoji
_TAG = re.compile(r"</?[A-Za-z!][^<>]{0,200}>")
_MARKUP = re.compile(r"[<>{}\[\]|`*_#~\\]+")
_AROUND = " \t\"'“”„‚‘’«».,;:!-–—/…"  # noqa: RUF001 - the quotes and dashes of many languages
_NO_WORD = re.compile(r"[\W_]+")

# After cleaning, in lower case, without punctuation.
_NOTHING = frozenset(
    """
    none|nothing|null|nil|n a|na|unknown|undefined|unspecified|unclear|unsure|undetermined|indeterminate
    same|as usual|as before|same as before|same as above|the same|unchanged|no change|no changes|not changed
    not specified|not mentioned|not stated|not described|not given|not known|not clear|not applicable
    not available|not provided|not visible|not relevant|none specified|none mentioned|no information
    default|current|previous|any|anything|various|empty|string|text|value|example|true|false|yes|no|tbd
    keine|keiner|keines|nichts|unbekannt|unverändert|keine angabe|nicht angegeben|wie vorher|gleich
    inconnu|inconnue|aucun|aucune|inchangé|non précisé|desconocido|desconocida|ninguno|ninguna|sin cambios
    sconosciuto|nessuno|неизвестно|без изменений|нет|未知|无|不明|なし|unbekannter ort
    """.replace("\n", "|")
    .replace("    ", "")
    .split("|")
)
_BEGINS_WITH_NOTHING = re.compile(
    r"""(?:
    not\ (?:(?:explicitly|specifically|clearly)\ )?
        (?:specified|mentioned|stated|described|given|provided|known)
    |no\ changes?|unchanged|without\ changes?|no\ (?:specific|particular|information|mention)
    |(?:the\ )?same\ (?:as|outfit|clothes)
    |(?:unknown|unspecified|unclear)\ (?:outfit|clothes|clothing|location|place|action|expression|lighting)
    )\b""",
    re.VERBOSE,
)
_VAGUE_OUTFIT = frozenset(
    {"casual", *(f"casual {what}" for what in ("clothes", "clothing", "wear", "outfit", "attire", "dress"))}
)


def plain(text: str, limit: int) -> str:
    """Return the text as one line of at most ``limit`` characters, cut between words where it can be."""
    text = text[: limit * 8].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _MARKUP.sub(" ", _TAG.sub(" ", text))
    line = " ".join("".join(_visible(character) for character in text).split()).strip(_AROUND)
    if len(line) > limit:
        line = line[: limit + 1].rpartition(" ")[0] or line[:limit]
    return line.strip(_AROUND)


def _visible(character: str) -> str:
    if character in _JOINERS:
        return character
    return " " if unicodedata.category(character)[0] in "CZ" or character == "\ufffd" else character


def says_nothing(line: str, *, vague_outfit: bool = False) -> bool:
    """Tell whether a plain line is only a way of saying that there is nothing to say."""
    words = _NO_WORD.sub(" ", line.lower()).strip()
    if not any(character.isalpha() for character in words):
        return True
    if words in _NOTHING or _BEGINS_WITH_NOTHING.match(words):
        return True
    return vague_outfit and words in _VAGUE_OUTFIT
