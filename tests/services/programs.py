"""Programs that tests need and pip cannot bring."""

from __future__ import annotations

import shutil

from tests.services.fixtures import require_or_skip

_PACKAGES = {"node": "nodejs", "systemd-analyze": "systemd"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_CHROMIUM = "apt-get install chromium fonts-liberation"


def program(name: str) -> str:
    """Return where a program is; without it the test is skipped, or fails where HUB_TEST_REQUIRE names it."""
    found = shutil.which(name)
    if found is None:
        package = _PACKAGES.get(name, name)
        require_or_skip(name, f"{name} is not installed; install it with: apt-get install {package}")
    return str(found)


def chromium() -> str:
    """Return where the machine's Chromium is, called ``browser`` in HUB_TEST_REQUIRE."""
    found = find_chromium()
    if found is None:
        require_or_skip("browser", f"Chromium is not installed; install it with: {INSTALL_CHROMIUM}")
    return str(found)


def find_chromium() -> str | None:
    """Return where the machine's Chromium is, if it has one."""
    return next((path for path in map(shutil.which, _BROWSERS) if path), None)
