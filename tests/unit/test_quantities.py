"""Sizes, shares and spans as each language writes them."""

from __future__ import annotations

import pytest

from hub.web.pages.quantities import share, size, span


@pytest.mark.parametrize(
    ("count", "english", "german"),
    [
        (0, "0 kB", "0 kB"),
        (3_400, "3.4 kB", "3,4 kB"),
        (56_700_000, "57 MB", "57 MB"),
        (1_200_000_000_000_000, "1,200 TB", "1.200 TB"),
    ],
)
def test_sizes(count: int, english: str, german: str) -> None:
    assert size(count, "en").replace("\xa0", " ") == english
    assert size(count, "de").replace("\xa0", " ") == german


def test_shares_and_spans() -> None:
    assert share(0.834, "en") == "83%"
    assert share(0.834, "de").replace("\xa0", " ") == "83 %"
    assert (span(200, "en"), span(200, "de")) == ("3 minutes", "3 Minuten")
