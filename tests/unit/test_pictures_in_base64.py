"""Pictures in base64, which is read slice by slice: whatever the size, and however it is written."""

from __future__ import annotations

import base64
import random
import textwrap

import pytest

from hub.providers.images.content import read_base64
from hub.providers.images.protocol import ImageServerError

PNG = b"\x89PNG\r\n\x1a\n"
SLICE = 96 * 1024  # bytes of a picture, as they are read at once


@pytest.mark.parametrize("size", [9, 10, SLICE - 1, SLICE, SLICE + 1, SLICE + 2, 3 * SLICE])
def test_a_picture_comes_out_as_it_went_in(size: int) -> None:
    content = PNG + random.Random(size).randbytes(size - len(PNG))
    text = base64.b64encode(content).decode()
    assert read_base64(text) == content
    assert read_base64(f"data:image/png;base64,{text}") == content
    assert read_base64("\n".join(textwrap.wrap(text, 76)).rstrip("=")) == content


@pytest.mark.parametrize("at", [20, SLICE, 2 * SLICE])
@pytest.mark.parametrize("sign", ["-", "!", "é", "="])
def test_a_sign_that_is_not_base64s_is_told_of_wherever_it_stands(at: int, sign: str) -> None:
    text = base64.b64encode(PNG + bytes(3 * SLICE)).decode()
    with pytest.raises(ImageServerError) as caught:
        read_base64(text[:at] + sign + text[at + 1 :])
    assert caught.value.code == "image_bad_answer"
