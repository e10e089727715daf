"""The pages that everybody finds first."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.accessibility import Axe


@pytest.mark.parametrize("address", ["/login", "/setup?token=x"])
async def test_a_page_for_everybody(visitor: Page, axe: Axe, address: str) -> None:
    answer = await visitor.goto(address)
    assert answer is not None
    assert answer.ok
    await expect(visitor.get_by_role("heading", level=1)).to_be_visible()
    assert await axe(visitor) == []
