"""What a process of the hub holds open, whichever part it plays: database, bus, relay, and the services."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from hub.core.errors import StartError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.engine import ENGINE, UNAVAILABLE
from hub.domain.accounts.service import AccountService
from hub.domain.archive.importing import Importing
from hub.domain.archive.search import Search
from hub.domain.chat.asking import Responses
from hub.domain.chat.clearing import Clearing
from hub.domain.chat.editing import Editing
from hub.domain.chat.service import ChatService
from hub.domain.companions.editor import Editor
from hub.domain.completions.service import CompletionService
from hub.domain.images.delivery import Delivery
from hub.domain.images.links import Links
from hub.domain.images.service import ImageService, open_images
from hub.domain.limits.service import Limits
from hub.domain.painting.builtin import Painter
from hub.domain.painting.service import PaintingService
from hub.domain.prompts.prompts import Prompts
from hub.domain.samples.service import Samples
from hub.domain.webhooks.sending import Sender
from hub.domain.webhooks.service import WebhookService
from hub.domain.webhooks.signing import Secrets
from hub.jobs.messages import JobPublisher
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.providers.http.network import Pool
from hub.providers.images.factory import open_image_server
from hub.providers.images.protocol import ImageServer
from hub.providers.images.traced import traced
from hub.providers.llm.protocol import LanguageModel
from hub.storage.secret import read_or_make

logger = get_logger(__name__)

#: Seconds until the database is asked again, should it go away in the middle of a start.
ASK_AGAIN = 0.5


class Process:
    """The open parts of one process; made by :func:`open_process`.

    ``language_model`` is None in a process that does not talk to one; ``is_stopping`` is set once it takes
    no more work.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        publisher: JobPublisher | None,
        bus: Bus,
        relay: Relay,
        language_model: LanguageModel | None,
        images: ImageService,
        image_server: ImageServer,
        prompts: Prompts,
    ) -> None:
        self.settings = settings
        self.prompts = prompts
        self.scene_analysis = settings.scene_analysis
        if self.scene_analysis == "auto":  # the embedded model spoils more of a scene than it reads
            self.scene_analysis = "both" if settings.llm_url else "off"
        self.publisher = publisher
        self.bus = bus
        self.relay = relay
        self.language_model = language_model
        self.is_stopping = False
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self.limits = limits = Limits(settings)
        self.accounts = AccountService(
            token_life=timedelta(days=settings.token_days),
            limits=limits,
            registration=settings.registration,
        )
        self.images = images
        self.image_server = image_server
        self.delivery = Delivery(images)
        self.editor = Editor(images)
        key = settings.secret_key or read_or_make(settings.data_dir)
        self.links = Links(key)
        self.chat = ChatService(
            relay=relay, bus=bus, limits=limits, message_max_length=settings.message_max_length
        )
        self.responses = Responses(relay=relay, bus=bus, limits=limits)
        self.editing = Editing(bus=bus, message_max_length=settings.message_max_length)
        self.painting = PaintingService(settings, relay=relay, bus=bus, limits=limits)
        self.completions = CompletionService(relay=relay, bus=bus, limits=limits)
        secrets = Secrets(key)
        sender = Sender(secrets, private_hosts=settings.webhook_private_hosts)
        self.webhooks = WebhookService(secrets, sender, relay=relay, bus=bus, limits=limits)
        self.clearing = Clearing(relay=relay, bus=bus, limits=limits)
        self.samples = Samples(images=images, clearing=self.clearing, prompts=prompts, limits=limits)
        self.search = Search()
        self.importing = Importing()


def load_prompts(settings: Settings) -> Prompts:
    """Read the prompts that the settings name; raises ``StartError``."""
    return Prompts.load(settings.prompts_dir, policy=settings.content_policy)


@asynccontextmanager
async def open_process(
    settings: Settings,
    *,
    dsn: str,
    publisher: JobPublisher | None,
    language_model: LanguageModel | None,
    pool: Pool,
) -> AsyncIterator[Process]:
    """Open what a process needs on the running event loop, and close it in reverse order.

    Args:
        settings: the checked settings.
        dsn: the database, migrated.
        publisher: rings for jobs; closed by its owner. None leaves that to the workers.
        language_model: for a process that talks to one; closed by its owner.
        pool: the process's connections to servers, for the image server; closed by its owner.

    Raises:
        StartError: the operator's prompts, or what is set of the image server, cannot be used.
    """
    prompts = load_prompts(settings)
    async with AsyncExitStack() as stack:
        await _open_engine(dsn, pool_size=settings.database_pool_size)
        stack.push_async_callback(ENGINE.close)
        bus = Bus(dsn)
        stack.push_async_callback(bus.stop)
        await bus.start()
        relay = Relay(publisher, cap=settings.turn_cap)
        relay.start()
        stack.push_async_callback(relay.stop)
        images = await stack.enter_async_context(open_images(settings))
        image_server = traced(_open_image_server(settings, images, pool))
        stack.push_async_callback(image_server.close)
        process = Process(
            settings,
            publisher=publisher,
            bus=bus,
            relay=relay,
            language_model=language_model,
            images=images,
            image_server=image_server,
            prompts=prompts,
        )
        stack.push_async_callback(process.accounts.close)
        stack.push_async_callback(process.completions.settle)
        yield process


def _open_image_server(settings: Settings, images: ImageService, pool: Pool) -> ImageServer:
    """Take the image server that is set up, else the painter that is built in."""
    if settings.sd_url is None:
        return Painter(images.files, images.processes)
    try:
        return open_image_server(settings, pool)
    except ValueError as error:
        raise StartError(f"The image server cannot be used: {error}.") from None


async def _open_engine(dsn: str, *, pool_size: int) -> None:
    """Open the pool, also when the database has gone away since the migrations ran."""
    while True:
        try:
            await ENGINE.open(dsn, pool_size=pool_size)
        except UNAVAILABLE as error:
            logger.warning("database unavailable while starting", reason=type(error).__name__)
        else:
            return
        await asyncio.sleep(ASK_AGAIN)
