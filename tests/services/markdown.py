"""The project's documents as tests read them: links, anchors, and the commands that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.services.hub import PROJECT

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: What may stand before the command in a line of a shell: assignments, and other users' names.
_BEFORE = re.compile(r"^(?:[A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S*) +|sudo (?:-\w+ \w+ )*|exec |! )+")


def documents() -> list[Path]:
    """Return every document that people read."""
    return sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


@cache
def text(path: Path) -> str:
    """Return a document."""
    return path.read_text(encoding="utf-8")


@cache
def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return _FENCE.sub("", text(path))


def links(path: Path) -> list[str]:
    """Return where a document leads, but for the web."""
    found = _LINK.findall(_SPAN.sub("", prose(path)))
    return [each for each in found if not re.match(r"[a-z]+:", each)]


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors that a document's headings get."""
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in _HEADING.findall(prose(path)))
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in plain)


def spans(markdown: str) -> list[str]:
    """Return what stands in backticks, as it is meant."""
    return [each.replace("\\|", "|") for each in _SPAN.findall(_FENCE.sub("", markdown))]


def shell(path: Path) -> Iterator[str]:
    """Yield the commands of a document: lines of its shell blocks, and whatever stands in backticks."""
    for language, block in _FENCE.findall(text(path)):
        if language == "sh":
            yield from re.sub(r"\\\n *", "", block).splitlines()
    yield from spans(text(path))


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of the calls of ``make`` and ``hub`` that a document shows; ``hub`` is always first."""
    for line in shell(path):
        for part in re.split(r"\| *|&& *|; *", line.split(" #")[0].strip()):
            words = _BEFORE.sub("", part).split()
            if words[:1] == ["make"]:
                yield words
            elif words[1:3] == ["-m", "hub"] and "python" in words[0]:
                yield ["hub", *words[3:]]
            elif words and re.fullmatch(r"(?:\S+/)?hub", words[0]):
                yield ["hub", *words[1:]]


def rows(markdown: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables, without their heads."""
    body = re.compile(r"^\|[-| :]+\|\n((?:^\|.*\n?)+)", re.MULTILINE)
    for table in body.findall(markdown):
        for line in table.splitlines():
            yield [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]


def section(markdown: str, title: str) -> str:
    """Return what stands below a heading, up to the next one of its rank."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", markdown, re.MULTILINE)
    assert found, title
    rest = markdown[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
