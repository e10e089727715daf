"""Starting and stopping the hub, in order: database, migrations, model, worker, web; and back."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import FrameType

import uvloop
from msgspec import Struct

from actors.metrics import reporting
from actors.worker import Worker
from hub.core.errors import StartError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.engine import UNAVAILABLE
from hub.db.provision import Database, keeping, migrate_database, open_database
from hub.jobs.broker import Broker, make_broker, make_publisher
from hub.process import ASK_AGAIN, Process, load_prompts, open_process
from hub.providers.http.network import Pool, open_pool
from hub.providers.llm import open_language_model
from hub.providers.llm.protocol import LanguageModel, LanguageModelError
from hub.providers.llm.traced import traced
from hub.storage import layout
from hub.tracing import observed
from hub.web.server import address_of, listen, listen_for_metrics, serving, serving_metrics

logger = get_logger(__name__)

#: Seconds after a signal to stop, beyond which the process ends whatever still runs.
STOP_LIMIT = 9.0
#: Objects made and not freed since the last garbage collection that start the next; Python's own is 700.
COLLECT_AFTER = 10_000


class Roles(Struct, frozen=True):
    """What a process does."""

    web: bool
    worker: bool


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
    load_prompts(settings)  # a mistake in them is told before anything is begun
    listener = listen(settings) if roles.web else listen_for_metrics(settings)
    try:
        with (
            observed(settings),
            open_database(settings) as database,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_run(settings, roles, database, listener, on_ready))
    except (KeyboardInterrupt, asyncio.CancelledError):
        logger.info("stopped before it was ready")
    finally:
        if listener is not None:
            listener.close()


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
            await stack.enter_async_context(keeping(database.embedded))
        pool = open_pool()
        stack.push_async_callback(pool.aclose)
        _, model = await asyncio.gather(migrate_database(database), _open_model(settings, roles, pool))
        if model is not None:
            stack.push_async_callback(model.close)
        broker = make_broker(settings.broker_url, quorum=settings.broker_queue_type == "quorum")
        publisher = make_publisher(broker) if roles.worker or settings.broker_url else None
        if publisher is not None:
            stack.callback(publisher.close)
        process = await stack.enter_async_context(
            open_process(settings, dsn=database.dsn, publisher=publisher, language_model=model, pool=pool)
        )
        if not roles.web:  # a web tells its numbers itself
            told = serving_metrics(settings, listener) if listener is not None else reporting()
            await stack.enter_async_context(told)
        if roles.worker and model is not None:
            await stack.enter_async_context(_working(process, broker, model, alone=database.exclusive))
        if roles.web and listener is not None:
            await stack.enter_async_context(serving(process, listener))
        await _announce(process, listener if roles.web else None, on_ready)
        _spare_the_collector()
        stopping.is_ready = True
        await stopping.wait()
        process.is_stopping = True
        process.bus.tell_gap()  # streams of events look, see that it stops, and end
        logger.info("stopping")


def _spare_the_collector() -> None:
    """Keep what starting made out of garbage collection, which would halt all streams to walk through it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


async def _open_model(settings: Settings, roles: Roles, pool: Pool) -> LanguageModel | None:
    """Open the language model for a process that asks it; a web process only watches an outside one."""
    if not roles.worker and settings.llm_url is None:
        return None
    try:
        return traced(await open_language_model(settings, pool=pool), name=settings.llm_model or "embedded")
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


async def _announce(
    process: Process, listener: socket.socket | None, on_ready: Callable[[str, str | None], None]
) -> None:
    if listener is None:
        logger.info("worker ready")
        on_ready("", None)
        return
    on_ready(address_of(listener), await _setup_token(process))


async def _setup_token(process: Process) -> str | None:
    """Issue the set-up token, also when the database has gone away since the migrations ran."""
    while True:
        try:
            return await process.accounts.issue_setup_token()
        except UNAVAILABLE as error:
            logger.warning("database unavailable while starting", reason=type(error).__name__)
        await asyncio.sleep(ASK_AGAIN)


# Before the event loop runs


def _prepare_data_folder(settings: Settings) -> None:
    try:
        layout.prepare(settings.data_dir)
    except OSError as error:
        raise StartError(
            f"The data folder {settings.data_dir} cannot be written to ({error.strerror or error})."
            " Make it writable, or name another one with HUB_DATA_DIR."
        ) from None


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
