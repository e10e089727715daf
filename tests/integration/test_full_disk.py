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
        **llm_settings("http://127.0.0.1:1/v1"),
    )
    await server.start()
    client = await Client(server.url).register()
    try:
        companion = await new_companion(client)
        refused = await send_header(client, companion, picture(1))
        samples = await client.http.post("/api/companions/samples")
        health = await client.http.get("/api/health")
    finally:
        await client.close()
        server.close()
    assert (refused.status_code, refused.json()["type"]) == (507, "/problems/no-room")
    assert samples.status_code == 201
    assert [each["header_image"] for each in samples.json()["items"]] == [None, None]
    assert (health.status_code, health.json()["status"]) == (200, "warn")
    assert health.json()["checks"]["storage"] == "warn"
    assert not list(layout.temporary_folder(Path(server.settings["HUB_DATA_DIR"])).iterdir())
