"""Hubs that import from the original, as tests do it, and what their reports say."""

from __future__ import annotations

import io
import json
import secrets
from pathlib import Path
from typing import Any

from hub.core.settings import load_settings
from hub.legacy.service import Order, carry_out
from tests.services.hub import PASSWORD, PROJECT, Client, HubServer
from tests.services.legacy import Original, data_url, photo
from tests.services.world import Done, query, run_hub


class Importer:
    """A hub of its own that only imports: a folder and a database."""

    def __init__(self, folder: Path, dsn: str, source: Original) -> None:
        self.folder = folder
        self.dsn = dsn
        self.source = source
        self.settings = {
            "HUB_DATA_DIR": str(folder / "data"),
            "HUB_CONFIG_FILE": str(PROJECT / "config" / "hub.toml"),
            "HUB_IMAGE_PROCESSES": "1",  # each of these runs would have to start a second one
        }

    async def run(
        self, *, uploads: Path | None = None, verify: bool = False, clean: bool = True
    ) -> dict[str, Any]:
        """Import, or compare, and return the report; the source stays as it is."""
        before = await self.source.checksum()
        order = Order(source=self.source.dsn, uploads=uploads, verify=verify)
        settings = load_settings(self.settings, self.folder)
        report = await carry_out(order, settings, self.dsn, stream=io.StringIO())
        assert report.is_clean is clean, report.render()
        assert await self.source.checksum() == before
        return dict(json.loads(report.to_json()))

    async def say(self, *words: str) -> Done:
        """Import by the command."""
        command = ("import-legacy", "--source", self.source.dsn, *words)
        return await run_hub(self.folder, *command, HUB_DATABASE_URL=self.dsn)

    async def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return await query(self.dsn, sql, *values)

    def file(self, image: dict[str, Any]) -> Path:
        kind = "headers" if image["kind"] == "header" else "generated"
        folder = self.folder / "data" / "uploads" / "companions" / str(image["companion_id"]) / kind
        return folder / f"{image['sha256']}.avif"


def reasons(report: dict[str, Any], column: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in report["remarks"]:
        if each["column"] == column:
            found[each["id"]] = f"{found.get(each['id'], '')} {each['text']}"
    return found


def counts(report: dict[str, Any], thing: str) -> dict[str, int]:
    return {name: count for name, count in report[thing].items() if count and name != "found"}


def put(uploads: Path, address: str, content: bytes) -> str:
    path = uploads / address.removeprefix("/uploads/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return address


class Move:
    """Somebody of the original who comes to the shared hub while it runs."""

    def __init__(self, hub: HubServer, source: Original, uploads: Path) -> None:
        self.hub = hub
        self.source = source
        self.uploads = uploads
        self.name = f"mover_{secrets.token_hex(4)}"
        self.email = f"{self.name}@example.org"
        self.header = photo(1, 1200, 900)
        self.painted = [photo(2, 400, 600), photo(3, 64, 64, ".png")]
        self.mira = ""

    async def fill(self) -> None:
        """Put a person with two companions, a talk and three pictures, one in a file, into the source."""
        user = await self.source.user(email=self.email, username=self.name, name="Ida ☕")
        self.mira = await self.source.companion(user)
        await self.source.companion(user, name="Noa")
        address = put(self.uploads, f"/uploads/companions/{self.mira}/headers/x1.jpg", self.header)
        await self.source.execute(
            'UPDATE "Companion" SET "headerImageUrl" = $2 WHERE id = $1', self.mira, address
        )
        await self.source.talk(self.mira, data_url(self.painted[0]), None, data_url(self.painted[1], "png"))

    async def go(self, *, verify: bool = False) -> dict[str, Any]:
        """Import beside the running hub."""
        beside = Importer(self.hub.folder, self.hub.settings["HUB_DATABASE_URL"], self.source)
        return await beside.run(uploads=self.uploads, verify=verify)

    async def sign_in(self, login: str = "") -> Client:
        """Sign in with the password of the original."""
        person = Client(self.hub.url)
        body = {"login": login or self.email, "password": PASSWORD}
        answer = await person.http.post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        person.use(answer.json()["access_token"])
        person.user = answer.json()["user"]
        return person
