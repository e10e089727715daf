"""Fixtures of the tests that look at the page through Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.accessibility import Axe, violations
from tests.browser.visits import Visits, launch
from tests.services.hub import Client, HubServer
from tests.services.programs import chromium

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests fail, for the pictures of their windows."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


def has_failed(request: pytest.FixtureRequest) -> bool:
    """Tell of a test that has been run whether it failed."""
    return bool(request.node.stash.get(_FAILED, False))


async def tell(visits: Visits, folder: Path) -> None:
    """Put into the report what can be seen in the windows, and what went wrong in them."""
    print("What the windows showed:", *await visits.photograph(folder), sep="\n  ")  # noqa: T201 # in the report
    print("What went wrong in them:", *visits.problems, sep="\n  ")  # noqa: T201 # in the report


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Yield the machine's Chromium, without a window."""
    program = chromium()
    expect.set_options(timeout=15_000)  # a machine that does other things too
    async with async_playwright() as playwright:
        found = await launch(playwright, program)
        yield found
        await found.close()


@pytest.fixture
async def visit(
    browser: Browser, hub: HubServer, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Visits]:
    """Yield what opens windows; in none of them may anything go wrong unannounced (``visit.expect``)."""
    visits = Visits(browser, hub.url)
    yield visits
    if has_failed(request):
        await tell(visits, tmp_path)
    await visits.close()
    assert visits.unexpected == []


@pytest.fixture
async def page(visit: Visits, client: Client) -> Page:
    """Return a window in which ``client``, a fresh user, is signed in."""
    return await visit(client)


@pytest.fixture
async def visitor(visit: Visits) -> Page:
    """Return a window of somebody who is not signed in."""
    return await visit()


@pytest.fixture
def axe() -> Axe:
    """Return what finds the barriers on a page: ``assert await axe(page) == []``."""
    return violations
