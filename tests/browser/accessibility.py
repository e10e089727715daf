"""What axe finds on a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page

from tests.services.hub import PROJECT

_SOURCE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"

#: What the fixture ``axe`` is: give it a page, and it returns what is wrong, or nothing.
Axe = Callable[[Page], Awaitable[list[str]]]

# Through the browser's debugging protocol, so that the page's own Content-Security-Policy stays in force.
_RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(({impact}) => impact === 'serious' || impact === 'critical')
  .flatMap(({id, impact, help, nodes}) => nodes.map(({target, html, failureSummary}) =>
    [`${impact} ${id}: ${help}`, `at ${target.join(' ')}`, html, failureSummary].join('\\n')))
"""


async def violations(page: Page) -> list[str]:
    """Return what axe calls serious or critical on a page as it stands: rule, place and remedy of each."""
    if not _SOURCE.exists():
        pytest.fail("axe-core is missing; fetch it with: python tools/fetch_javascript.py --dev")
    if not await page.evaluate("() => 'axe' in globalThis"):
        await page.evaluate(_SOURCE.read_text(encoding="utf-8"))
    found: list[str] = await page.evaluate(_RUN)
    return found
