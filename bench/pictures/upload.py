"""An upload through HTTP to a running hub, against what libvips itself takes for the same picture."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from pyvips import Image

from bench.pictures import photographs, rivals
from bench.pictures.speed import HEADER_BOX, Desk
from bench.report import Figure, summary
from bench.world import World
from tests.services.hub import Client

GOAL = 1.5
#: Pictures of each kind, all different.
UPLOADS = 15
WARM_UP = 3
#: With the quality of cameras, that much of the large picture is 1.5 MB.
_JPEG_WIDTH, _JPEG_HEIGHT = 2900, 1950
_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


async def measure(world: World, pictures: list[Path], large: Path) -> list[Figure]:
    """Send each picture as a new header picture, and have it done by the bare library, in turn."""
    folder, desk = world.folder(), Desk(world.folder())
    sent = await asyncio.to_thread(_sent, folder, pictures, large)
    with world.llm() as llm_url:
        async with world.hub_up(llm_url) as server, rivals.libvips() as bare:
            client = await Client(server.url).register()
            path = f"/api/companions/{(await client.companion())['id']}/header-image"
            figures = []
            for kind, paths in sent.items():
                uploads, works = [], []
                for picture in paths:
                    work = desk.work(picture, box=HEADER_BOX)
                    uploads.append(await _upload(client, path, picture))
                    started = time.perf_counter()
                    await bare.encode(work)
                    works.append((time.perf_counter() - started) * 1000)
                size = statistics.mean(picture.stat().st_size for picture in paths) / 1e6
                figures.append(_figure(kind, size, uploads[WARM_UP:], works[WARM_UP:], bare.name))
            await client.close()
    return figures


def _sent(folder: Path, pictures: list[Path], large: Path) -> dict[str, list[Path]]:
    """Write different pictures of about 1.5 MB."""
    png, jpeg = [], []
    whole = Image.new_from_file(str(large)).copy_memory()
    for number in range(UPLOADS + WARM_UP):
        png.append(folder / f"upload-{number}.png")
        variation = photographs.variation(pictures[number % len(pictures)], number)
        # A little larger than the other pictures: 1.5 MB.
        variation.thumbnail_image(1090, height=1090, size="force").pngsave(str(png[-1]), filter="all")
        jpeg.append(folder / f"upload-{number}.jpg")
        left, top = 150 * number, 97 * number
        part = whole.crop(left, top, _JPEG_WIDTH, _JPEG_HEIGHT)
        part.jpegsave(str(jpeg[-1]), Q=90)
    return {"PNG": png, "JPEG": jpeg}


async def _upload(client: Client, path: str, picture: Path) -> float:
    content = await asyncio.to_thread(picture.read_bytes)
    headers = {"Content-Type": _TYPES[picture.suffix]}
    started = time.perf_counter()
    answer = await client.http.put(path, content=content, headers=headers)
    taken = (time.perf_counter() - started) * 1000
    if answer.status_code != 200:
        raise RuntimeError(answer.text)
    return taken


def _figure(kind: str, size: float, uploads: list[float], works: list[float], name: str) -> Figure:
    ratio = statistics.median(uploads) / statistics.median(works)
    return Figure(
        name=f"Upload of a {kind} of {size:.1f} MB, against libvips alone",
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"PUT .../header-image to the answer: {summary(uploads)}",
            f"{name}, warm, the same two files: {summary(works)}",
            f"the fastest of {len(uploads)}: {min(uploads):.1f} ms and {min(works):.1f} ms",
        ),
    )
