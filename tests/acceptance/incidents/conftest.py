"""A hub with its limits on and an image server that answers with addresses, for the tests of incidents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.http_server import Request
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import Script, status
from tests.fakes.openai_images import FakeOpenAIImages
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings

IMAGES_PER_HOUR = 8
MESSAGES_PER_MINUTE = 6
FAILED_LOGINS = 3
IMPORT_LIMIT_MB = 1


class ImageServer(FakeOpenAIImages):
    """The operator's image server; what it keeps at ``/files/moved`` has moved to ``moved_to``."""

    moved_to = ""

    async def respond(self, request: Request) -> Script:
        """Answer as these servers do, or send somewhere else."""
        if request.path == "/files/moved":
            return Script(status=302, headers={"Location": self.moved_to}, framing="length")
        return await super().respond(request)


class Inside(FakeOpenAIImages):
    """A server of the own network that has no password, since nobody from outside comes there."""

    async def respond(self, request: Request) -> Script:
        """Give away what it has."""
        return status(200, {"secret": request.path})


@pytest.fixture(scope="session")
async def image_server() -> AsyncIterator[ImageServer]:
    """Yield the image server of the guarded hub."""
    async with ImageServer() as server:
        yield server


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    """Yield the server that nobody is to be led to."""
    async with Inside() as server:
        yield server


@pytest.fixture(scope="session")
async def guarded(
    postgres: str, llm: FakeLLM, image_server: ImageServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub whose limits are on."""
    async with running_hub(
        tmp_path_factory.mktemp("guarded"),
        postgres,
        HUB_LIMITS="on",
        HUB_IMAGES_PER_HOUR=str(IMAGES_PER_HOUR),
        HUB_MESSAGES_PER_MINUTE=str(MESSAGES_PER_MINUTE),
        HUB_LOGINS_PER_15_MINUTES=str(FAILED_LOGINS),
        HUB_IMPORT_LIMIT_MB=str(IMPORT_LIMIT_MB),
        HUB_REGISTRATIONS_PER_DAY="1000",
        HUB_SD_URL=image_server.url,
        HUB_SD_KIND="openai",
        **llm_settings(llm.url),
    ) as server:
        yield server


@pytest.fixture
async def guest(guarded: HubServer) -> AsyncIterator[Client]:
    """Yield a user of the guarded hub."""
    async with new_user(guarded) as user:
        yield user
