"""A picture that was cancelled is stopped at the image server before the next one is asked for there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.a1111 import INTERRUPT, FakeA1111
from tests.fakes.http_server import Request
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import Script
from tests.services.hub import Client, HubServer, llm_settings

_STOPPING = 0.5


class SlowToStop(FakeA1111):
    """Takes a moment to stop, as the real one does: it ends the step that it is in."""

    async def respond(self, request: Request) -> Script:
        if request.path == INTERRUPT:
            await asyncio.sleep(_STOPPING)
        return await super().respond(request)


async def test_the_next_picture_waits_until_a_cancelled_one_has_stopped(
    tmp_path: Path, ready_database: str, llm: FakeLLM
) -> None:
    async with SlowToStop() as fake:
        fake.held = True
        settings = {"HUB_SD_URL": fake.url, "HUB_SD_KIND": "a1111", "HUB_DATABASE_URL": ready_database}
        hub = HubServer(tmp_path, **llm_settings(llm.url), **settings)
        await hub.start()
        user = await Client(hub.url).register()
        try:
            companion_id = (await user.companion())["id"]
            first = await user.ask_image(companion_id)
            await fake.wait_for(lambda: fake.working, within=20)
            second = await user.ask_image(companion_id)
            assert (await user.http.post(f"/api/jobs/{first['id']}/cancel")).status_code == 200
            await fake.wait_for(lambda: len(fake.orders) == 2, within=20)
            await fake.wait_for(lambda: fake.interrupts == 1, within=20)
            fake.held = False
            fake.finish()
            assert (await user.done(second["id"]))["status"] == "completed"
        finally:
            await user.close()
            hub.close()
        assert fake.overlaps == 0
