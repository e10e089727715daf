"""What is told of problems: the texts in ``troubleshooting/``, which have every code once.

``symptoms.md`` is for people who do not know a code yet. Each other file has one part of the hub, and in it a
section for each code::

    ## wrong-login

    *401 · The login or the password is wrong*

    What it means; then a list of points, each of which begins with who is spoken to.

The name is the end of the problem's type, and what stands before the dot is where it is told: a status, or
one of :data:`PLACES`. Links lead from file to file, so that they work wherever the texts are read.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from msgspec import Struct

from hub.web.problems import PAGES

FOLDER = Path(__file__).parent / "troubleshooting"
SYMPTOMS = "symptoms"
#: The parts in the order in which they are read.
PARTS = (
    *("requests", "accounts", "talks", "pictures", "language-model", "image-server", "sockets", "openai"),
    *("webhooks", "jobs"),
)
#: Where a problem is told that is no answer with a status of its own.
PLACES = ("socket", "reply", "picture", "job", "v1", "any other")

_SECTION = re.compile(
    r"^## (?P<name>[a-z0-9-]+)\n\n\*(?P<places>[^·*]+) · (?P<title>[^*]+)\*\n", re.MULTILINE
)
_LINK = re.compile(r"\]\((?:[a-z-]+\.md)?#([a-z0-9-]+)\)")


class Kind(Struct, frozen=True, kw_only=True):
    """A type of problems; ``places`` are statuses and :data:`PLACES`, ``text`` is Markdown."""

    name: str
    title: str
    places: tuple[str, ...]
    text: str


class Part(Struct, frozen=True, kw_only=True):
    """What goes together; ``name`` is the file's, ``text`` stands before the first kind."""

    name: str
    title: str
    text: str
    kinds: tuple[Kind, ...]


@cache
def parts() -> tuple[Part, ...]:
    """Return everything that is told."""
    return tuple(_part(name) for name in PARTS)


@cache
def kinds() -> dict[str, Kind]:
    """Return the types of problems by name."""
    return {kind.name: kind for part in parts() for kind in part.kinds}


@cache
def symptoms() -> Part:
    """Return what to do by what one sees."""
    return _part(SYMPTOMS)


def _part(name: str) -> Part:
    heading, _, text = (FOLDER / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    found = list(_SECTION.finditer(text))
    starts = [each.start() for each in found] + [len(text)]
    return Part(
        name=name,
        title=heading.removeprefix("# "),
        text=text[: starts[0]].strip(),
        kinds=tuple(_kind(each, text[each.end() : end]) for each, end in zip(found, starts[1:], strict=True)),
    )


def _kind(heading: re.Match[str], text: str) -> Kind:
    return Kind(
        name=heading["name"],
        title=heading["title"],
        places=tuple(heading["places"].split(", ")),
        text=text.strip(),
    )


@cache
def html(text: str) -> str:
    """Render one of these texts; nothing of anybody else's ever comes here."""
    linked = _LINK.sub(rf"]({PAGES}/\1)", text)
    return str(_markdown().render(linked))


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
