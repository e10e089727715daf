"""What the page says, in each language: gettext catalogues whose ids are the English sentences."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Literal

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

FOLDER = Path(__file__).parent / "locales"

Language = Literal["en", "de"]

#: The languages of the page by their code, as each calls itself.
LANGUAGES: dict[Language, str] = {"en": "English", "de": "Deutsch"}
DEFAULT: Language = "en"


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a sentence that is said later, in whichever language."""
    return text


class Words:
    """One language's catalogue, for templates and Python (``translations``) and for scripts."""

    def __init__(self, language: Language, catalog: Catalog) -> None:
        self.language = language
        self._catalog = catalog
        compiled = io.BytesIO()
        write_mo(compiled, catalog)
        compiled.seek(0)
        self.translations = Translations(compiled)

    def gettext(self, text: str, **values: object) -> str:
        """Say a sentence, with values in place of ``%(name)s``."""
        said: str = self.translations.gettext(text)
        return said % values if values else said

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """Say a sentence about a number of things."""
        said: str = self.translations.ngettext(one, many, number)
        return said % {"num": number, **values}

    def module(self) -> bytes:
        """Return the words that scripts say, as a JavaScript module."""
        words = {_key(each): each.string for each in self._catalog if _is_for_scripts(each)}
        plural = self._catalog.plural_expr
        return (
            f"export default {json.dumps(words, ensure_ascii=False, sort_keys=True)};\n"
            f"export const plural = (n) => Number({plural});\n"
        ).encode()


def _is_for_scripts(message: Message) -> bool:
    return bool(message.id) and any(name.endswith(".js") for name, _ in message.locations)


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


@cache
def words_in(language: Language) -> Words:
    """Return the words of one of :data:`LANGUAGES`."""
    file = FOLDER / f"{language}.po"
    if not file.exists():  # the sentences in the code are the English ones
        return Words(language, Catalog(locale=language))
    with file.open("rb") as opened:
        return Words(language, read_po(opened, locale=language))
