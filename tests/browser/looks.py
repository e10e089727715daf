"""What can be seen of pictures on a page, and how a file is dropped on one."""

from __future__ import annotations

import base64

from playwright.async_api import Locator, Page, expect

# What is decoded and painted, not only what has arrived: the colours in the corners, row by row.
_CORNERS = """async (image) => {
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(image, 0, 0);
  const places = [[2, 2], [width - 3, 2], [2, height - 3], [width - 3, height - 3]];
  const found = places.map(([x, y]) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3));
  return found.map((colour) => colour.map((value) => Number(value > 128)).join(''));
}"""
_NAMES = {"100": "R", "010": "G", "001": "B", "111": "W"}

_SIZE = "async (image) => { await image.decode(); return [image.naturalWidth, image.naturalHeight] }"

_DROP = """([content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, {type}));
  const at = document.querySelector('main');
  for (const kind of ['dragover', 'drop']) {
    at.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
  }
}"""


async def size_shown(image: Locator) -> tuple[int, int]:
    """Wait until a picture is in sight and decoded, and return its width and height in pixels."""
    await expect(image).to_be_visible()
    await image.scroll_into_view_if_needed()
    width, height = await image.evaluate(_SIZE)
    return int(width), int(height)


async def corners_shown(image: Locator) -> str:
    """Wait until a picture is in sight and decoded, and return the colours in its corners, as ``RGBW``."""
    await expect(image).to_be_visible()
    await image.scroll_into_view_if_needed()
    return "".join(_NAMES.get(each, "?") for each in await image.evaluate(_CORNERS))


async def drop(page: Page, content: bytes, *, name: str, media_type: str = "image/png") -> None:
    """Drop a file on a page."""
    await page.evaluate(_DROP, [base64.b64encode(content).decode(), name, media_type])


async def painted(page: Page) -> None:
    """Wait until a page has been shown: what is typed before its first frame Chromium throws away."""
    await page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
