"""How pictures are encoded decides how long that may take."""

import pytest

from hub.domain.images.service import patience
from hub.storage.images import Encoding, MediaType


@pytest.mark.parametrize(
    ("media_type", "effort", "least", "most"),
    [
        ("image/avif", 0, 5, 5),
        ("image/avif", 4, 40, 120),
        ("image/avif", 6, 90, 120),
        ("image/webp", 6, 5, 5),
    ],
)
def test_more_effort_may_take_longer(media_type: MediaType, effort: int, least: int, most: int) -> None:
    assert least <= patience(Encoding(media_type=media_type, quality=70, effort=effort)) <= most
