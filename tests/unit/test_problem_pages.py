"""Every problem that the hub can tell has its page, and every page its problem."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from hub.core.settings import FIELDS
from hub.web.documents import ASYNCAPI, OPENAPI
from hub.web.pages import guide
from hub.web.problems import code_of, type_of
from tests.services.hub import PROJECT
from tests.services.problem_codes import SOURCE, told
from tools.troubleshooting import FILE, troubleshooting

#: What each text has to say, and to whom.
_POINT = re.compile(r"^- \*\*(Why|Client|Operator|Again):\*\* [A-Za-z0-9`\[].*[.)]$")


def unwrapped(text: str) -> str:
    """Return a text with each point and each paragraph on one line."""
    return re.sub(r"(?<=\S)\n *(?=[^\s|#*-])", " ", text)


def names(codes: set[str]) -> set[str]:
    return {each.replace("_", "-") for each in codes}


def test_it_is_known_what_is_told_wherever_a_code_is() -> None:
    assert told().unclear == []


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert names(told().codes) - set(guide.kinds()) == set(), (
        "add a section to src/hub/web/pages/troubleshooting"
    )
    assert set(guide.kinds()) - names(told().codes) == set()
    assert len(guide.kinds()) == sum(len(part.kinds) for part in guide.parts())


def test_codes_are_found_in_every_way_of_telling_them() -> None:
    raised, table, frame, middleware, job = (
        "quota_exceeded",
        "llm_quota",
        "invalid_frame",
        "host_not_allowed",
        "unknown_task",
    )
    chosen, renamed, by_the_web = "llm_garbled", "context_length_exceeded", "method_not_allowed"
    assert {raised, table, frame, middleware, job, chosen, renamed, by_the_web} <= told().codes


def test_the_code_of_a_type_is_that_of_its_page() -> None:
    assert {code_of(type_of(each)) for each in told().codes} == told().codes


def test_a_page_says_what_the_code_says() -> None:
    for kind in guide.kinds().values():
        code = code_of(type_of(kind.name))
        statuses = {int(place) for place in kind.places if place.isdigit()}
        assert statuses == told().statuses[code], kind.name
        assert not told().titles[code] or kind.title in told().titles[code], kind.name
        assert {place for place in kind.places if not place.isdigit()} <= set(guide.PLACES), kind.name


def test_a_page_says_what_to_do() -> None:
    for kind in guide.kinds().values():
        points = [line for line in unwrapped(kind.text).splitlines() if line.startswith("- ")]
        told_to = [found[1] for line in points if (found := _POINT.match(line))]
        assert len(told_to) == len(points) == len(set(told_to)), kind.name
        assert told_to[-1] == "Again", kind.name
        assert {"Client", "Operator"} & set(told_to), kind.name


def test_links_lead_to_sections() -> None:
    sections = {f"{part.name}.md#{kind.name}" for part in guide.parts() for kind in part.kinds}
    for part in (*guide.parts(), guide.symptoms()):
        text = (guide.FOLDER / f"{part.name}.md").read_text(encoding="utf-8")
        for file, name in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
            assert f"{file or part.name + '.md'}#{name}" in sections
        assert re.findall(r"\]\([^)#]+\)", text) == []


def test_what_is_quoted_is_what_the_hub_says() -> None:
    said = "\n".join(literals())
    table = [line for line in guide.symptoms().text.splitlines() if line.startswith("| `")]
    quotes = [quote for line in table for quote in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(quotes) > 15
    for piece in (piece for quote in quotes for piece in quote.split("…")):
        assert piece.strip() in said or piece.strip() == "No space left on device", piece


def test_lines_of_the_log_are_those_that_the_hub_writes() -> None:
    said = "\n".join(literals())
    texts = "\n".join(unwrapped(file.read_text(encoding="utf-8")) for file in guide.FOLDER.glob("*.md"))
    lines = [
        line
        for told in re.findall(r"log has ([^.]+)", texts)
        for line in re.findall(r"`([a-z][^`=]+ [^`]+)`", told)
    ]
    assert len(lines) > 8
    assert [line for line in lines if line not in said] == []


@cache
def literals() -> list[str]:
    """Return every piece of text in the source that may be told to somebody."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "Error(" in source or "logger." in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    pieces = [str(each.value) for each in node.values if isinstance(each, ast.Constant)]
                    found.append("".join(pieces))
    return found


def test_settings_that_are_named_exist() -> None:
    known = {field.variable for field in FIELDS.values()}
    for file in guide.FOLDER.glob("*.md"):
        assert set(re.findall(r"\bHUB_[A-Z_]+\b", file.read_text(encoding="utf-8"))) <= known, file.name


def test_examples_in_the_documents_are_of_problems_that_there_are() -> None:
    for file in (OPENAPI, ASYNCAPI):
        codes = set(coded(json.loads(file.read_text(encoding="utf-8"))))
        assert len(codes) > 3
        assert names(codes) <= set(guide.kinds()), file.name


def coded(value: Any) -> Iterator[str]:
    """Yield the codes of errors within a document."""
    if isinstance(value, dict):
        if isinstance(value.get("code"), str) and isinstance(value.get("message"), str):
            yield value["code"]
        if isinstance(value.get("type"), str) and value["type"].startswith("/problems/"):
            yield code_of(value["type"])
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from coded(each)


def test_docs_troubleshooting_is_what_the_texts_say() -> None:
    assert FILE.read_text(encoding="utf-8") == troubleshooting(), "run: make documents"
    assert FILE == PROJECT / "docs" / "troubleshooting.md"
