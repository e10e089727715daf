"""The map of the original's guide names only what there is: files, routes, commands, figures, log lines."""

from __future__ import annotations

import re

import pytest

from tests.services.documents import openapi, operations
from tests.services.hub import PROJECT
from tests.services.markdown import rows, section, spans, text

MAP = text(PROJECT / "docs/migrating-guide-map.md")
PERFORMANCE = text(PROJECT / "docs/performance.md")
#: What the guide has, in its order.
PARTS = (
    "Quick start",
    "0. Image storage system",
    "1. Environment validation",
    "2. Database schema updates",
    "3. Temporal connection pooling",
    "4. Structured logging",
    "5. Type safety improvements",
    "6. Enhanced error handling",
    "1. Environment validation",
    "2. Database performance",
    "3. Image storage",
    "4. Application functionality",
    "4. Logging verification",
    "5. Performance testing",
    "Troubleshooting",
    "Performance expectations",
    "Key metrics in development",
    "Storage statistics",
    "In production",
    "1. Automated backups",
    "2. Health check endpoint",
    "3. Monitoring",
    "4. Clean up legacy data",
    "4. CI/CD",
    "What the guide ends with",
)
#: Routes that the OpenAPI document does not tell of.
OTHER_ROUTES = {"/metrics", "/docs/openapi.json"}
#: Folders whose files are named in full.
OURS = re.compile(r"(?:src/(?:hub|actors)|tests|docs|config|deploy|bench|tools|\.github)(?:/[\w.*-]+)*/?")


def answers() -> list[str]:
    """Return all that stands in the tables beside the guide's own words."""
    return [cell for row in rows(MAP) for cell in row[1:]]


def test_every_part_of_the_guide_is_there_in_its_order() -> None:
    headings = re.findall(r"^#{2,3} (.+)$", MAP, re.MULTILINE)
    left = iter(headings)
    assert [part for part in PARTS if part not in left] == []


def test_every_line_of_the_guide_has_an_answer() -> None:
    assert len(list(rows(MAP))) > 90
    assert [row for row in rows(MAP) if not row[0] or not row[1]] == []


@pytest.mark.parametrize(
    "file", sorted({span for cell in answers() for span in spans(cell) if OURS.fullmatch(span)})
)
def test_a_file_that_is_named_is_there(file: str) -> None:
    assert list(PROJECT.glob(file.rstrip("/")))


def test_a_route_that_is_named_is_there() -> None:
    known = [re.sub(r"\{[^}]+\}", "[^/]+", path) for path, _, _ in operations(openapi())] + [*OTHER_ROUTES]
    called = re.compile(r"(?:\$url|^)(/(?:api|docs|metrics)[^\s?\"']*)")
    named = {path for span in spans(MAP) for path in called.findall(span)}
    assert len(named) > 15
    assert {path for path in named if not any(re.fullmatch(each, path) for each in known)} == set()


def test_alerts_are_those_that_are_defined() -> None:
    rules = (PROJECT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    named = {span for span in spans(MAP) if re.fullmatch(r"Hub[A-Z]\w+", span)}
    assert len(named) >= 3  # the guide's
    assert named <= set(re.findall(r"alert: (\w+)", rules))


def test_figures_are_those_of_the_page_of_figures() -> None:
    expected = list(rows(section(MAP, "Performance expectations")))
    assert len(expected) == 8
    for metric, measured, again in expected:
        figures = re.findall(r"[\d.,]*\d(?: ms| s\b| kB| MB|x)", measured)
        assert figures, metric
        assert [each for each in figures if each not in PERFORMANCE] == []
        assert "make bench args=" in again


def test_log_lines_are_those_that_are_written() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "src").rglob("*.py"))
    events = [spans(row[1])[0] for row in rows(section(MAP, "4. Logging verification")) if len(row) == 2]
    assert len(events) == 7
    for event in events:
        started = f'_line("{event.removeprefix("reply ")}")'  # said of replies and completions alike
        assert f'"{event}"' in code or started in code, event
