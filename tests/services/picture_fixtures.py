"""Fixtures of tests that look at the files of pictures: a hub with files and rows of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.storage import layout
from tests.migration.conftest import engine_at
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import Store


@pytest.fixture(scope="session")
async def picture_hub(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubServer]:
    """Yield a hub with a database and files of its own."""
    async with running_hub(
        tmp_path_factory.mktemp("pictures"),
        postgres,
        **llm_settings("http://127.0.0.1:1/v1"),
    ) as hub:
        yield hub


@pytest.fixture
async def store(picture_hub: HubServer) -> AsyncIterator[Store]:
    """Yield its files, and this process's engine on its database; in the end nothing of a test is left."""
    found = Store(picture_hub)
    async with engine_at(picture_hub.settings["HUB_DATABASE_URL"], pool_size=4):
        yield found
        await found.database("DELETE FROM companions")
        await found.collect()
    assert not list(layout.companions_folder(found.data_dir).iterdir())
    assert not list(found.temporary.iterdir())


@pytest.fixture
async def user(picture_hub: HubServer) -> AsyncIterator[Client]:
    """Yield a user of it."""
    async with new_user(picture_hub) as client:
        yield client
