"""The built-in painter: cards as PNG from the image processes, and the image server that they make up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import pyvips

from hub.domain.painting.builtin import Painter
from hub.providers.images.protocol import ImageServer, ImageServerError, PictureOrder, Progress
from hub.storage import layout
from hub.storage.errors import StorageFailedError
from hub.storage.files import FileStore
from hub.storage.images import ImageProcesses, UnsupportedImageError
from tests.services.pictures import Desk, memory_of, open_bytes, photo

SCENE = ("a red summer dress", "a quiet beach at sunset", "walking along the water")
HELD_LIMIT_MB = 120
HOSTILE = (
    "</text><image href='file:///etc/passwd'/>",
    "\x01\x1b\u202e",
    "🔥" * 100,
    "李明" * 50,
    "x" * 5000,
    "\ud800",
)


async def painted(
    desk: Desk,
    *,
    seed: int = 7,
    size: tuple[int, int] = (416, 608),
    title: str = "Ada",
    captions: Sequence[str] = SCENE,
) -> bytes:
    await desk.processes.paint(
        desk.other, seed=seed, width=size[0], height=size[1], title=title, captions=captions
    )
    return desk.other.read_bytes()


def difference(first: bytes, second: bytes) -> float:
    """Return by how much a pixel differs on average, of 255."""
    return float((open_bytes(first) - open_bytes(second)).abs().avg())


@pytest.mark.parametrize("size", [(832, 1216), (512, 512), (1216, 832), (64, 64), (2048, 2048), (64, 1000)])
async def test_a_card_is_a_png_of_exactly_its_size(desk: Desk, size: tuple[int, int]) -> None:
    card = open_bytes(await painted(desk, size=size))
    assert (card.width, card.height, card.bands) == (*size, 3)
    assert card.get("vips-loader") == "pngload_buffer"
    assert card.deviate() > 20, "something is on it"
    assert memory_of(desk.processes.pids[0], "VmHWM") < HELD_LIMIT_MB


async def test_the_same_order_gives_the_same_file_in_every_process(desk: Desk) -> None:
    first = await painted(desk)
    await painted(desk, title="Somebody else", size=(64, 64))
    assert await painted(desk) == first
    other = ImageProcesses(count=1, timeout=20)
    try:
        assert await painted(Desk(desk.folder, other)) == first
    finally:
        await other.close()


async def test_another_seed_gives_another_card(desk: Desk) -> None:
    for captions in ((), SCENE, ("suit", "the library", "reading")):
        cards = [await painted(desk, seed=seed, captions=captions) for seed in (0, 1, 2**32 - 1)]
        pairs = [(cards[0], cards[1]), (cards[1], cards[2]), (cards[0], cards[2])]
        assert min(difference(*pair) for pair in pairs) > 4, [difference(*pair) for pair in pairs]


@pytest.mark.parametrize(
    ("title", "captions"), [("Eve", SCENE), ("Ada", ("green", *SCENE[1:])), ("Ada", SCENE[:2])]
)
async def test_each_word_is_seen(desk: Desk, title: str, captions: Sequence[str]) -> None:
    assert difference(await painted(desk), await painted(desk, title=title, captions=captions)) > 0.5


async def test_each_card_says_that_it_is_a_placeholder(desk: Desk) -> None:
    bands = set()
    for seed, title in ((1, "Ada"), (2, ""), (3, "W" * 100)):
        card = open_bytes(await painted(desk, seed=seed, title=title, size=(832, 1216)))
        band = card.crop(0, card.height - 40, card.width, 40)
        bands.add(bytes(band.write_to_memory()))
    assert len(bands) == 1, "nothing else is ever painted there"
    assert marks(band) == len("PLACEHOLDER")


def marks(band: pyvips.Image) -> int:
    """Return how many letters of the mark's yellow stand beside each other."""
    pixels, row = bytes(band.write_to_memory()), band.width * 3
    yellow = [
        any(pixels[at] > 150 and pixels[at + 2] < 0.75 * pixels[at] for at in range(x, len(pixels), row))
        for x in range(0, row, 3)
    ]
    return sum(now and not before for before, now in pairwise(yellow))


async def test_a_small_card_says_so_too(desk: Desk) -> None:
    card = open_bytes(await painted(desk, size=(64, 64)))
    band = card.crop(2, 54, 60, 9)
    assert band[0].max() > 200
    assert band[0].min() < 60


@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_a_name_holds_it_is_drawn_or_left_out(desk: Desk, text: str) -> None:
    before = await painted(desk, title="", captions=())
    content = await painted(desk, title=text, captions=(text, text))
    assert open_bytes(content).width == 416
    assert content != before


async def test_it_needs_no_font_and_reads_no_file(desk: Desk) -> None:
    await painted(desk, title=HOSTILE[0], captions=HOSTILE)
    process = Path(f"/proc/{desk.processes.pids[0]}")
    mapped = (process / "maps").read_text()
    opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
    for trace in ("/fonts", ".ttf", "fontconfig/", "passwd"):
        assert trace not in mapped
        assert not any(trace in each for each in opened)
    assert not any("socket:" in each for each in opened[3:])


async def test_after_a_card_uploads_are_read_as_before_and_svg_is_not(desk: Desk) -> None:
    await painted(desk)
    for content in (
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"<?xml version='1.0'?><svg/>",
    ):
        with pytest.raises(UnsupportedImageError):
            await desk.encode(content)
    assert (await desk.encode(photo(60, 40).jpegsave_buffer())).width == 60
    assert open_bytes(await painted(desk)).width == 416


_AFTERWARDS = """
import sys, pyvips
from hub.storage.codec.contracts import PaintOrder
from hub.storage.codec.painter.painting import paint
svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
for target in (sys.argv[1], "/nowhere/at/all"):
    try:
        paint(PaintOrder(target=target.encode(), seed=1, width=64, height=64, title="", captions=()))
    except OSError:
        print("no file")
    for load in (pyvips.Image.svgload_buffer, lambda content: pyvips.Image.new_from_buffer(content, "")):
        try:
            load(svg)
        except pyvips.Error:
            print("blocked")
"""


def test_svg_is_only_ever_read_while_a_card_is_painted(tmp_path: Path) -> None:
    (tmp_path / "card").touch()
    said = subprocess.run(
        [sys.executable, "-c", _AFTERWARDS, str(tmp_path / "card")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split("\n") == ["blocked", "blocked", "no file", "blocked", "blocked", ""]


async def test_many_cards_in_a_row_hold_no_more_memory_than_a_few(desk: Desk) -> None:
    held = []
    for seed in range(20):
        await painted(desk, seed=seed, title=f"Name {seed}", captions=("the garden", f"{seed}"))
        held.append(memory_of(desk.processes.pids[0], "VmRSS"))
    assert held[-1] < held[4] + 8
    assert memory_of(desk.processes.pids[0], "VmHWM") < HELD_LIMIT_MB


async def test_a_target_that_is_not_there_is_the_disks_fault(desk: Desk) -> None:
    desk.other.unlink()
    with pytest.raises(StorageFailedError):
        await painted(desk)


class Told:
    """What a painter tells."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.tickets: list[str] = []

    def progress(self) -> Progress:
        return Progress(tell=self.shares.append, keep_ticket=self._keep)

    async def _keep(self, ticket: str) -> None:
        self.tickets.append(ticket)


def order(*, width: int = 832, height: int = 1216) -> PictureOrder:
    return PictureOrder(
        prompt="unread", negative_prompt="", seed=41, width=width, height=height, title="Ada", captions=SCENE
    )


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    layout.prepare(tmp_path / "data")
    return FileStore(tmp_path / "data")


async def test_the_painter_is_an_image_server(files: FileStore, image_processes: ImageProcesses) -> None:
    server: ImageServer = Painter(files, image_processes)
    told = Told()
    await server.check()
    picture = await server.make(order(), progress=told.progress())
    assert server.provider == "painter"
    assert (picture.seed, picture.model, picture.sampler, picture.steps) == (41, "card", "", 0)
    assert picture.prompt is None
    card = open_bytes(picture.content)
    assert (card.width, card.height) == (832, 1216)
    assert (told.shares[0], told.shares[-1], told.tickets) == (0.0, 1.0, [])
    assert not list(layout.temporary_folder(files.data_dir).iterdir())
    again = await server.make(order(), progress=Told().progress(), ticket="from another server")
    assert again == picture
    await server.close()


async def test_sizes_beyond_the_painter_are_refused_for_good(
    files: FileStore, image_processes: ImageProcesses
) -> None:
    painter = Painter(files, image_processes)
    for size in ((63, 512), (512, 2056)):
        with pytest.raises(ImageServerError) as caught:
            await painter.make(order(width=size[0], height=size[1]), progress=Told().progress())
        assert (caught.value.code, caught.value.transient) == ("image_bad_request", False)


async def test_what_the_machine_cannot_do_now_may_be_tried_again(files: FileStore) -> None:
    processes = ImageProcesses(count=1)
    await processes.close()
    with pytest.raises(ImageServerError) as caught:
        await Painter(files, processes).make(order(), progress=Told().progress())
    assert (caught.value.code, caught.value.transient) == ("image_server_error", True)
    assert caught.value.detail == "images_unavailable"
