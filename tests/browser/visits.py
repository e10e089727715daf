"""Visits to a hub by browser, and everything about them that should not have happened."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    WebError,
)

from tests.services.hub import Client

DESKTOP = (1280, 800)
PHONE = (360, 740)

_OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Nobody else is reached, not even by the browser itself; one name leads to the hub, as at home by http.
    "--host-resolver-rules=MAP chat.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
_OF_THE_PAGE_ITSELF = ("data", "blob", "about")


async def launch(playwright: Playwright, program: str) -> Browser:
    """Start a Chromium without a window, which asks nobody but this machine."""
    sandbox = [] if os.getuid() else ["--no-sandbox"]  # root has none
    return await playwright.chromium.launch(executable_path=program, args=[*_OPTIONS, *sandbox])


class Visits:
    """Opens windows that share nothing with each other, and keeps what goes wrong in any of them.

    ``problems`` has what the console called an error, what no script caught, and requests to other hosts.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.problems: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []

    async def __call__(
        self,
        who: Client | None = None,
        *,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        language: str = "en-GB",
        javascript: bool = True,
    ) -> Page:
        """Return an empty window of somebody who is signed in by cookie, or of somebody unknown.

        Addresses that begin with a slash are the hub's. For another tab of the same browser:
        ``await page.context.new_page()``.
        """
        context = await self._browser.new_context(
            base_url=self.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            locale=language,
            timezone_id="Europe/Berlin",
            java_script_enabled=javascript,
        )
        self._contexts.append(context)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        if who is not None:
            await context.add_cookies([{"name": "hub_session", "value": who.token, "url": self.url}])
        return await context.new_page()

    def expect(self, *patterns: str) -> None:
        """Let problems pass that one of these regular expressions is found in."""
        self._expected.extend(patterns)

    @property
    def unexpected(self) -> list[str]:
        """The problems that the test did not announce."""
        return [each for each in self.problems if not any(re.search(one, each) for one in self._expected)]

    async def photograph(self, folder: Path) -> list[Path]:
        """Save what every window shows and return the files."""
        pages = [page for context in self._contexts for page in context.pages if not page.is_closed()]
        files = [folder / f"window-{number}.png" for number in range(1, len(pages) + 1)]
        for page, file in zip(pages, files, strict=True):
            await page.screenshot(path=file, full_page=True)
        return files

    async def close(self) -> None:
        """Close all windows."""
        for context in self._contexts:
            await context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self.problems.append(f"console: {message.text} ({place['url']}:{place['lineNumber']})")

    def _on_error(self, error: WebError) -> None:
        self.problems.append(f"not caught: {getattr(error.error, 'stack', None) or error.error}")

    def _on_request(self, request: Request) -> None:
        found, own = urlsplit(request.url), urlsplit(self.url)
        if found.netloc != own.netloc and found.scheme not in _OF_THE_PAGE_ITSELF:
            self.problems.append(f"request to another host: {request.url}")
