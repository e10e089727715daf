"""Collect what the page says: ``python tools/words.py`` writes ``hub.pot`` and updates each language.

Sentences are found in templates, in the page's Python and in its scripts. The files have neither dates nor
numbers of lines, so that they change only when the words do.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

PAGES = Path(__file__).resolve().parents[1] / "src" / "hub" / "web" / "pages"
LOCALES = PAGES / "locales"
TEMPLATE = "hub.pot"

_KEYWORDS = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}

_METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]

#: As the page itself reads its templates (``hub.web.pages.rendering``).
_OPTIONS = {
    "templates/**.html": {
        "newstyle_gettext": "true",
        "trimmed": "true",
        "trim_blocks": "true",
        "lstrip_blocks": "true",
        "silent": "false",
    }
}

#: What differs from one run to the next, or is nobody's business.
_HEADERS_TO_DROP = re.compile(
    r'^"(?:POT-Creation-Date|PO-Revision-Date|Project-Id-Version|Report-Msgid-Bugs-To|Last-Translator'
    r'|Language-Team|Generated-By): .*\\n"\n',
    re.MULTILINE,
)

_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_SENTENCE = rf"({_STRING}(?:\s*\+\s*{_STRING})*)"
_CALL = re.compile(r"(?<!function )(?<![\w$.])(_|N_|ngettext)\(")
_ONE = re.compile(rf"\s*{_SENTENCE}\s*,?\s*\)")
_TWO = re.compile(rf"\s*{_SENTENCE}\s*,\s*{_SENTENCE}\s*,")
#: Those that have lines of their own: elsewhere it may be an ``image/*``.
_COMMENT = re.compile(r"^\s*(?:/\*.*?\*/|//[^\n]*)", re.MULTILINE | re.DOTALL)


def sentences(script: str) -> Iterator[tuple[int, str | tuple[str, str]]]:
    """Find what a script says: the line and the sentence, or both forms of it.

    Babel's own way loses what stands in templates within templates, which lit-html's are made of.

    Raises:
        ValueError: a sentence is not written as a plain string, so that nobody could translate it.
    """
    script = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), script)
    for call in _CALL.finditer(script):
        line = script.count("\n", 0, call.start()) + 1
        found = (_TWO if call[1] == "ngettext" else _ONE).match(script, call.end())
        if found is None:
            raise ValueError(f"line {line}: {call[1]}() needs its sentence as a plain string")
        yield line, _read(found[1]) if found.re is _ONE else (_read(found[1]), _read(found[2]))


def _read(sentence: str) -> str:
    """Return what a string of a script says; those that sentences need are written as in Python."""
    return "".join(str(ast.literal_eval(each)) for each in re.findall(_STRING, sentence))


def collect(pages: Path = PAGES) -> Catalog:
    """Return every sentence of the page."""
    catalog = Catalog(header_comment="# What the page says. Written by `make words`.", fuzzy=False)
    found = extract_from_dir(pages, _METHODS, _OPTIONS, _KEYWORDS)
    for name, line, sentence, _comments, _context in found:
        catalog.add(sentence, locations=[(name, line)])
    for file in sorted((pages / "static" / "js").rglob("*.js")):
        name = file.relative_to(pages).as_posix()
        try:
            for line, sentence in sentences(file.read_text(encoding="utf-8")):
                catalog.add(sentence, locations=[(name, line)])
        except ValueError as error:
            raise ValueError(f"{name}, {error}") from error
    return catalog


def updated(file: Path, template: Catalog) -> Catalog:
    """Return a language's catalogue with the template's sentences: new ones are empty, old ones are gone."""
    with file.open("rb") as opened:
        catalog = read_po(opened, locale=file.stem)
    catalog.header_comment = (
        f"# What the page says, in the language {file.stem!r}. `make words` adds sentences."
    )
    catalog.fuzzy = False
    catalog.update(template, no_fuzzy_matching=True, update_creation_date=False)
    return catalog


def text(catalog: Catalog) -> str:
    """Return a catalogue as its file has it."""
    written = io.BytesIO()
    write_po(written, catalog, width=110, sort_output=True, include_lineno=False, ignore_obsolete=True)
    return _HEADERS_TO_DROP.sub("", written.getvalue().decode())


def main() -> None:
    """Write all files, and say what is left to translate."""
    template = collect()
    (LOCALES / TEMPLATE).write_text(text(template), encoding="utf-8")
    for file in sorted(LOCALES.glob("*.po")):
        catalog = updated(file, template)
        file.write_text(text(catalog), encoding="utf-8")
        missing = sum(not all(each.string or [""]) for each in catalog if each.id)
        print(f"{file.name}: {len(catalog)} sentences, {missing} to translate")


if __name__ == "__main__":
    main()
