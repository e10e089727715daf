"""From an order to a PNG: the only place where libvips reads SVG, and only what was made here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyvips

from hub.storage.codec.contracts import PaintOrder
from hub.storage.codec.errors import UnreadableImageError
from hub.storage.codec.painter.card import card, portrait
from hub.storage.codec.pictures import allow_only, as_bytes, overwrite

_LOADER: Final = "VipsForeignLoadSvgBuffer"  # from memory; never from a file
_COMPRESSION: Final = 4  # the file is encoded anew before anybody keeps it


def paint(order: PaintOrder) -> None:
    """Paint a card and write it over the target.

    Raises:
        UnreadableImageError: this libvips cannot paint it.
        OSError: it cannot be written.
    """
    draw = portrait if order.portrait else card
    svg = draw(
        seed=order.seed, width=order.width, height=order.height, title=order.title, captions=order.captions
    )
    try:
        with _svg_allowed():
            drawn = pyvips.Image.svgload_buffer(svg.encode("ascii"))
            flat = drawn.flatten(background=[0.0, 0.0, 0.0])
            content = as_bytes(flat.pngsave_buffer(compression=_COMPRESSION, keep="none"))
    except pyvips.Error:
        raise UnreadableImageError("The picture could not be painted.") from None
    overwrite(order.target, content)


@contextmanager
def _svg_allowed() -> Iterator[None]:
    allow_only(None)
    pyvips.operation_block_set(_LOADER, state=False)
    try:
        yield
    finally:
        allow_only(None)
