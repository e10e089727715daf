"""What people type to search: words, "phrases", -not, or; and where that stands in a text."""

from __future__ import annotations

import re
import string

from msgspec import Struct

#: Code points of a snippet, and how many of them stand before the first hit at most.
SNIPPET = 160
_BEFORE = 50
_ELLIPSIS = "…"

_NO_WORD = frozenset(string.punctuation + string.whitespace)
_EDGES = re.compile(r"^\W+|\W+\Z")
_TERM = re.compile(r'-?"[^"]*(?:"|\Z)|[^\s"]+')
# Scripts that put no blanks between words, so that a word is hardly ever found as a whole.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"
)


class Term(Struct, frozen=True):
    """A word or phrase that has to be there, or must not be."""

    text: str
    wanted: bool


class Question(Struct, frozen=True):
    """Alternatives; a text fits that has all the terms of one of them."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def wanted(self) -> list[str]:
        """What may be found in a text that fits."""
        return [term.text for terms in self.alternatives for term in terms if term.wanted]

    @property
    def is_unspaced(self) -> bool:
        """Whether it is written without blanks between words."""
        return any(_UNSPACED.search(text) for text in self.wanted)

    @property
    def always_wants(self) -> bool:
        """Whether each alternative has something that must be there, which may be a part of a word."""
        return bool(self.alternatives) and all(
            any(term.wanted for term in terms) for terms in self.alternatives
        )


def parse(text: str) -> Question:
    """Read what somebody typed, as PostgreSQL's ``websearch_to_tsquery`` does; nothing is an error."""
    alternatives: list[list[Term]] = [[]]
    for found in _TERM.findall(text):
        if found.lower() == "or":
            alternatives.append([])
            continue
        words = " ".join(found.removeprefix("-").replace('"', " ").split())
        if not _NO_WORD.issuperset(words):
            alternatives[-1].append(Term(words, wanted=not found.startswith("-")))
    return Question(tuple(tuple(terms) for terms in alternatives if terms))


class Snippet(Struct, frozen=True):
    """A part of a text, in one line; ``highlights`` are [start, end] of hits, in code points."""

    text: str
    highlights: list[list[int]]


def snippet(content: str, question: Question, *, parts: bool) -> Snippet:
    """Cut out of a text what stands around the first hit.

    Args:
        content: the text.
        question: what was looked for.
        parts: hits may be parts of words.
    """
    hits = _hits(content, question, parts=parts)
    first = hits[0][0] if hits else 0
    start = max(0, min(first - _BEFORE, len(content) - SNIPPET))
    end = min(len(content), start + SNIPPET)
    before, after = _ELLIPSIS if start else "", _ELLIPSIS if end < len(content) else ""
    shift = len(before) - start
    text = before + re.sub(r"\s", " ", content[start:end]) + after
    shown = [[max(left, start) + shift, min(right, end) + shift] for left, right in hits if left < end]
    return Snippet(text, [each for each in shown if each[0] < each[1]])


def _hits(content: str, question: Question, *, parts: bool) -> list[tuple[int, int]]:
    """Find hits up to the end of what a snippet around the first one can show."""
    wanted = sorted(set(question.wanted), key=len, reverse=True)
    if not wanted:
        return []
    pattern = "|".join(map(_pattern, wanted))
    if not parts:
        pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
    hits: list[tuple[int, int]] = []
    for match in re.finditer(pattern, content, re.IGNORECASE):
        if hits and match.start() > hits[0][0] + SNIPPET:
            break
        hits.append(match.span())
    return hits


def _pattern(words: str) -> str:
    """Make a pattern of a term; what stands between words in a text does not matter.

    So neither does what is no word at the edges of those in a phrase. Were it a part of the pattern, a text
    could be read in very many ways, and all of them would be tried.
    """
    one, *more = words.split()
    if not more:
        return re.escape(one)
    cores = (_EDGES.sub("", each) for each in (one, *more))
    return r"\W+".join(re.escape(each) for each in cores if each) or re.escape(words)
