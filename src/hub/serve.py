"""Starting and stopping the hub, in order: database, migrations, model, worker, web; and back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import FrameType

import uvicorn
import uvloop
from msgspec import Struct

from actors.worker import Worker
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.address import without_prisma_parameters
from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from hub.db.engine import DATABASE_ERRORS
from hub.db.migrate import MigrationFailedError, migrate
from hub.jobs.broker import Broker, make_broker, make_publisher
from hub.process import Process, open_process
from hub.providers.llm import open_language_model
from hub.providers.llm.protocol import LanguageModel, LanguageModelError
from hub.storage import layout
from hub.web.app import create_app
from hub.web.protocol import HttpProtocol

logger = get_logger(__name__)

#: Seconds after a signal to stop, beyond which the process ends whatever still runs.
STOP_LIMIT = 9.0
#: Seconds that open requests get to end.
REQUEST_GRACE = 2
#: Seconds between two looks at the embedded database, and the longest pause between attempts to start it.
DATABASE_LOOK = 1.0
DATABASE_PAUSE_MOST = 30.0
#: Bytes that one WebSocket frame may have, at least.
FRAME_LIMIT = 65_536


class StartError(Exception):
    """The hub cannot start; the text is one line on what is wrong and what to do."""


class Roles(Struct, frozen=True):
    """What a process does."""

    web: bool
    worker: bool


class Database(Struct, frozen=True):
    """The database's address; ``exclusive`` when nobody else can have been using it until now.

    ``embedded`` is the embedded database, to be kept alive by :func:`_keeping`; None for an outside one.
    """

    dsn: str
    exclusive: bool
    embedded: EmbeddedPostgres | None = None


def serve(settings: Settings, roles: Roles, *, on_ready: Callable[[str, str | None], None]) -> None:
    """Run until a signal says to stop.

    Args:
        settings: the checked settings.
        roles: what this process does.
        on_ready: called once with the web address and the secret of the set-up link, if there is one.

    Raises:
        StartError: it cannot start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    _prepare_data_folder(settings)
    listener = _listen(settings) if roles.web else None
    try:
        with (
            open_database(settings) as database,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_run(settings, roles, database, listener, on_ready))
    except (KeyboardInterrupt, asyncio.CancelledError):
        logger.info("stopped before it was ready")
    finally:
        if listener is not None:
            listener.close()


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Have a database: the one that is set, or the embedded one, started here or by another process."""
    if settings.database_url is not None:
        yield Database(without_prisma_parameters(settings.database_url), exclusive=False)
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        dsn = embedded.start()
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from None
    try:
        yield Database(dsn, exclusive=embedded.owned, embedded=embedded)
    finally:
        embedded.stop()


async def migrate_database(database: Database) -> int:
    """Bring the schema forward; return how many migrations ran.

    Raises:
        StartError: the database cannot be reached, or a migration fails.
    """
    try:
        return await migrate(database.dsn)
    except MigrationFailedError as error:
        raise StartError(f"{error}. The database is as it was before.") from None
    except DATABASE_ERRORS as error:
        raise StartError(
            f"The database cannot be used ({type(error).__name__}: {error}). Check HUB_DATABASE_URL."
        ) from None


async def _run(
    settings: Settings,
    roles: Roles,
    database: Database,
    listener: socket.socket | None,
    on_ready: Callable[[str, str | None], None],
) -> None:
    stopping = _stop_on_signals()
    async with AsyncExitStack() as stack:
        if database.embedded is not None:
            await stack.enter_async_context(_keeping(database.embedded))
        _, model = await asyncio.gather(migrate_database(database), _open_model(settings, roles))
        if model is not None:
            stack.push_async_callback(model.close)
        broker = make_broker(settings.broker_url)
        publisher = make_publisher(broker) if roles.worker or settings.broker_url else None
        if publisher is not None:
            stack.callback(publisher.close)
        process = await stack.enter_async_context(
            open_process(settings, dsn=database.dsn, publisher=publisher, language_model=model)
        )
        if roles.worker and model is not None:
            await stack.enter_async_context(_working(process, broker, model, alone=database.exclusive))
        if listener is not None:
            await stack.enter_async_context(_listening(process, listener))
        await _announce(process, listener, on_ready)
        stopping.is_ready = True
        await stopping.wait()
        process.is_stopping = True
        process.bus.tell_gap()  # streams of events look, see that it stops, and end
        logger.info("stopping")


@asynccontextmanager
async def _keeping(embedded: EmbeddedPostgres) -> AsyncIterator[None]:
    """Start the embedded database again whenever its server ends, also when another process owned it."""
    keeper = asyncio.create_task(_keep_forever(embedded), name="database keeper")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep_forever(embedded: EmbeddedPostgres) -> None:
    pause = DATABASE_LOOK
    while True:
        await asyncio.sleep(pause)
        try:
            if not embedded.is_gone:
                pause = DATABASE_LOOK
                continue
            embedded.start()  # blocks the loop for some tenths of a second: it needs the main thread
        except (EmbeddedPostgresError, OSError) as error:
            pause = min(pause * 2, DATABASE_PAUSE_MOST)
            logger.error(  # noqa: TRY400 - the sentence says what a traceback would not
                "embedded database ended and cannot be started", reason=str(error), retry_in_seconds=pause
            )
        else:
            pause = DATABASE_LOOK
            logger.warning("embedded database had ended, started again")


async def _open_model(settings: Settings, roles: Roles) -> LanguageModel | None:
    """Open the language model for a process that asks it; a web process only watches an outside one."""
    if not roles.worker and settings.llm_url is None:
        return None
    try:
        return await open_language_model(settings)
    except LanguageModelError as error:
        raise StartError(f"The language model cannot be started: {error}") from None


@asynccontextmanager
async def _working(
    process: Process, broker: Broker, model: LanguageModel, *, alone: bool
) -> AsyncIterator[None]:
    worker = Worker(process, broker, model)
    await worker.start(alone=alone)
    try:
        yield
    finally:
        await worker.stop()


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


@asynccontextmanager
async def _listening(process: Process, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        create_app(process),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        http=HttpProtocol,
        ws="websockets-sansio",
        ws_max_size=max(FRAME_LIMIT, process.settings.message_max_length * 12 + 4096),
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=REQUEST_GRACE,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
    while not server.started:
        if serving.done():
            raise StartError(f"The web server did not start: {serving.exception()}")
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _announce(
    process: Process, listener: socket.socket | None, on_ready: Callable[[str, str | None], None]
) -> None:
    if listener is None:
        logger.info("worker ready")
        on_ready("", None)
        return
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{port}", await process.accounts.issue_setup_token())


# Before the event loop runs


def _prepare_data_folder(settings: Settings) -> None:
    try:
        layout.prepare(settings.data_dir)
    except OSError as error:
        raise StartError(
            f"The data folder {settings.data_dir} cannot be written to ({error.strerror or error})."
            " Make it writable, or name another one with HUB_DATA_DIR."
        ) from None


def _listen(settings: Settings) -> socket.socket:
    """Take the port at once, so that a taken one is known before anything else has started."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"{where} is no address of this machine ({error}). Check HUB_HOST.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {settings.port} on {settings.host} is taken. Stop what uses it, or set HUB_PORT."
            ) from None
        raise StartError(f"{where} cannot be used ({error.strerror}). Check HUB_HOST and HUB_PORT.") from None
    listener.listen(2048)
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Stopping(asyncio.Event):
    """Set by a signal to stop, which until ``is_ready`` also cancels the start, whatever it waits for."""

    is_ready = False


def _stop_on_signals() -> _Stopping:
    """Return an event that SIGINT or SIGTERM sets; from then on the process ends within ``STOP_LIMIT``."""
    stopping = _Stopping()
    starting = asyncio.current_task()

    def stop() -> None:
        if stopping.is_set():
            return
        stopping.set()
        last_resort = threading.Timer(STOP_LIMIT, os._exit, args=(1,))
        last_resort.daemon = True
        last_resort.start()
        if not stopping.is_ready and starting is not None:
            starting.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping
