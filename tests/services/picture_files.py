"""Pictures and their files as tests see them: sent over HTTP, found on the disk, compared by a command."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from hub.domain.images.collector import Collector, Tally
from hub.domain.images.reconcile import Reconciler
from hub.storage import layout
from tests.services.hub import Client, HubServer
from tests.services.world import Done, query, run_hub, within

SIDE = 24
_DONE = """
SELECT jobs.* FROM jobs JOIN schedules ON jobs.id = job_id
WHERE name = $1 AND jobs.status = 'completed' AND job_id IS DISTINCT FROM $2
"""


def picture(number: int) -> bytes:
    """Return a small PNG; each number gives another one."""
    rows = random.Random(number)
    pixels = b"".join(b"\0" + rows.randbytes(SIDE * 3) for _ in range(SIDE))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(pixels)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


async def send_header(client: Client, companion_id: str, content: bytes) -> httpx2.Response:
    """Send a picture as a companion's header image."""
    return await client.http.put(
        f"/api/companions/{companion_id}/header-image",
        content=content,
        headers={"Content-Type": "image/png"},
    )


async def new_companion(client: Client) -> str:
    """Make a companion and return its id."""
    return str((await client.companion())["id"])


async def set_header(client: Client, companion_id: str, number: int) -> dict[str, Any]:
    """Set a companion's header image and return it."""
    answer = await send_header(client, companion_id, picture(number))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def gallery(client: Client, companion: str, **query: str) -> dict[str, Any]:
    """Return a page of a companion's pictures."""
    answer = await client.http.get(f"/api/companions/{companion}/images", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@dataclass(frozen=True)
class Store:
    """The files of a hub, and its commands beside it."""

    server: HubServer

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return Path(self.server.settings["HUB_DATA_DIR"])

    @property
    def temporary(self) -> Path:
        """The folder of temporary files."""
        return layout.temporary_folder(self.data_dir)

    def folder(self, companion_id: str) -> Path:
        """Return a companion's folder."""
        return layout.companions_folder(self.data_dir) / companion_id

    def names(self, companion_id: str) -> set[str]:
        """Return the names of all files of a companion."""
        return {each.name for each in self.folder(companion_id).rglob("*") if each.is_file()}

    def main_file(self, companion_id: str, sha256: str) -> Path:
        """Return the place of a header's main file."""
        return self.folder(companion_id) / "headers" / f"{sha256}.avif"

    def torn(self) -> list[str]:
        """Return the main files whose bytes are not those that their name tells."""
        found = layout.companions_folder(self.data_dir).glob("*/*/*")
        return [
            str(each)
            for each in found
            if "." not in each.stem and hashlib.sha256(each.read_bytes()).hexdigest() != each.stem
        ]

    async def database(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Run one statement in the hub's database."""
        return await query(self.server.settings["HUB_DATABASE_URL"], sql, *values)

    async def age(self, span: str) -> None:
        """Make it so that everything was removed so much longer ago."""
        await self.database("UPDATE image_removals SET removed_at = removed_at - $1::text::interval", span)

    async def run_task(self, name: str) -> int:
        """Have the running hub do a maintenance task now, and return how much it removed."""
        before = (await self.database("SELECT job_id FROM schedules WHERE name = $1", name))[0]["job_id"]
        await self.database("UPDATE schedules SET due_at = now() WHERE name = $1", name)

        async def look() -> list[dict[str, Any]] | None:
            return await self.database(_DONE, name, before) or None

        return int(json.loads((await within(20, look))[0]["result"])["deleted"])

    async def collect(self) -> Tally:
        """Collect without any grace, in this process, whose engine is open."""
        collector = Collector(self.data_dir)
        await collector.collect(100_000, grace=0)
        await collector.sweep_temporary(grace=0)
        await collector.sweep_strays(100_000, grace=0)
        return collector.tally

    async def wrong(self) -> list[tuple[str, str | None, str]]:
        """Compare in this process, whose engine is open: what, image id and file name."""
        return [
            (each.fault, str(each.image_id) if each.image_id else None, each.path.name)
            async for each in Reconciler(self.data_dir).faults()
        ]

    async def images(self, *words: str) -> Done:
        """Run ``hub images`` beside the server."""
        return await run_hub(self.server.folder, "images", *words, **self.server.settings)

    async def gc(self, *words: str) -> dict[str, Any]:
        """Collect with the command, and return what it removed."""
        done = await self.images("gc", "--json", *words)
        assert done.code == 0, done.output
        return dict(json.loads(done.out))


def names_of(image: dict[str, Any]) -> set[str]:
    """Return the names of a picture's files as they are stored."""
    return {f"{image['sha256']}.avif", f"{image['sha256']}.thumb.avif"}
