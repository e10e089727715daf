"""A disk that is nearly full: operators see it coming, pictures are refused, everything else goes on."""

from __future__ import annotations

from pathlib import Path

from hub.storage import layout
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import new_companion, picture, send_header


async def test_below_the_floor_pictures_are_refused_and_health_warns(tmp_path: Path, postgres: str) -> None:
    server = HubServer(
        tmp_path,
        HUB_DATABASE_URL=await migrated_database(postgres),
        HUB_FREE_SPACE_FLOOR_MB="10000000",
        HUB_LIMITS="on",
        HUB_COMPANIONS_PER_HOUR="3",
        **llm_settings("http://127.0.0.1:1/v1"),
    )
    await server.start()
    client = await Client(server.url).register()
    try:
        companion = await new_companion(client)
        refused = await send_header(client, companion, picture(1))
        samples = await client.http.post("/api/companions/samples")
        typed = {"name": "Mira", "description": "A pirate, and kind."}
        pictured = {"picture": ("a.png", picture(1))}
        form = await client.http.post("/companions/new", data=typed, files=pictured)
        alone = [await client.http.post("/companions/new", data=typed, files={"x": b""}) for _ in range(2)]
        health = await client.http.get("/api/health")
    finally:
        await client.close()
        server.close()
    assert (refused.status_code, refused.json()["type"]) == (507, "/problems/no-room")
    assert samples.status_code == 201
    assert [each["header_image"] for each in samples.json()["items"]] == [None, None]
    assert form.status_code == 507
    for each in (form, alone[1]):
        assert 'value="Mira"' in each.text
        assert "A pirate, and kind." in each.text
    assert "disk is full" in form.text
    assert alone[0].status_code == 303, "what could not be stored was not counted"
    assert (alone[1].status_code, "That was a little much." in alone[1].text) == (429, True)
    assert alone[1].headers["retry-after"]
    assert (health.status_code, health.json()["status"]) == (200, "warn")
    assert health.json()["checks"]["storage"] == "warn"
    assert not list(layout.temporary_folder(Path(server.settings["HUB_DATA_DIR"])).iterdir())
