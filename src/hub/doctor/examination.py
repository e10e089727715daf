"""The whole examination: every part at the same time, none for longer than there is time."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from msgspec import Struct

import hub
from hub.core.errors import StartError
from hub.core.redaction import scrub
from hub.core.settings import FIELDS, Loaded, Settings, SettingsError
from hub.doctor import broker, database, models, pictures, port, storage
from hub.doctor.findings import Finding, bad, good, warning
from hub.doctor.threads import Abandoned
from hub.domain.prompts.prompts import Prompts
from hub.providers.http.network import open_pool

#: Seconds that repairs in the database may take.
_REPAIR_SECONDS = 600.0
#: Share of the time that starting the embedded database may take, and seconds that stopping it may.
_START_SHARE, _STOP_SECONDS = 0.5, 1.0
#: Seconds by which a part gives up before it is given up: its own words say more.
_MARGIN = 0.15


class _Part(Struct, frozen=True):
    """A part that may be silent: what it is called, the setting to look at then, and how to look."""

    check: str
    setting: str
    look: Callable[[], Awaitable[list[Finding]]]
    is_here: bool = False
    """Whether it is this machine's own work: slow is not broken then."""

    async def findings(self, seconds: float) -> list[Finding]:
        try:
            async with asyncio.timeout(seconds):
                return await self.look()
        except TimeoutError:
            judge = warning if self.is_here else bad
            advice = "Look whether the machine is overloaded; hub doctor --within 30 waits for longer."
            detail = f"not done within {seconds:.1f} s"
            return [judge(self.check, detail, advice=advice, setting=self.setting)]
        except Exception as error:  # noqa: BLE001 - what one part raises must not hide the others
            advice = "Look at this part by hand."
            detail = scrub(f"{type(error).__name__}: {error}")
        return [bad(self.check, detail, advice=advice, setting=self.setting)]


def unusable(error: SettingsError) -> list[Finding]:
    """Return a finding for every setting that keeps all the others from being used."""
    advice = "Correct it in the environment, .env or hub.toml; config/hub.toml explains every setting."
    return [bad("settings", each.line(), advice=advice, setting=each.name) for each in error.problems]


def examine(loaded: Loaded, *, seconds: float, fix: bool) -> list[Finding]:
    """Look at everything, for about so many seconds at most, and with ``fix`` repair what is safe to repair.

    To be called in the main thread.
    """
    deadline = time.monotonic() + seconds
    found = database.find(loaded.settings, seconds=seconds * _START_SHARE)
    try:
        left = max(deadline - time.monotonic(), seconds * _START_SHARE)
        return [*_basics(loaded), *asyncio.run(_examine(loaded, found, seconds=left, fix=fix))]
    finally:
        if found.embedded is not None:
            found.embedded.stop(_STOP_SECONDS)


def _basics(loaded: Loaded) -> list[Finding]:
    machine = f"{platform.system()} {platform.machine()}"
    changed = [
        f"{FIELDS[name].variable} ({loaded.origins[name]})"
        for name in FIELDS
        if getattr(loaded.settings, name) != FIELDS[name].default
    ]
    return [
        good("hub", f"version {hub.__version__}, Python {platform.python_version()}, {machine}"),
        good("settings", f"differ from their defaults: {', '.join(changed)}" if changed else "all defaults"),
    ]


async def _examine(loaded: Loaded, found: database.Found, *, seconds: float, fix: bool) -> list[Finding]:
    asyncio.get_running_loop().set_default_executor(Abandoned())
    settings, seen, answer = loaded.settings, database.Visit(), port.Answer()
    own = seconds - _MARGIN
    pool = open_pool()

    async def look_into_database() -> list[Finding]:
        if found.dsn is not None:
            await database.visit(settings, found.dsn, seen, seconds=own, fix=fix)
        return []

    async def ask_port() -> list[Finding]:
        with suppress(TimeoutError):
            async with asyncio.timeout(own):
                await port.ask(settings, pool, answer, seconds=own)
        return []

    thread = asyncio.to_thread
    setting = "HUB_DATA_DIR" if settings.database_url is None else "HUB_DATABASE_URL"
    files = [
        _Part("data folder", "HUB_DATA_DIR", partial(thread, storage.data_folder, settings, fix=fix)),
        _Part("secret key", "HUB_DATA_DIR", partial(thread, storage.secrets, loaded, fix=fix)),
        _Part("disk", "HUB_DATA_DIR", partial(thread, storage.disk, settings)),
        _Part("backups", "HUB_BACKUP_DIR", partial(thread, storage.backups, settings)),
    ]
    servers = [
        _Part("broker", "HUB_BROKER_URL", partial(broker.broker, settings, seconds=own)),
        _Part("language model", "HUB_LLM_URL", partial(models.language_model, settings, pool, seconds=own)),
        _Part("image server", "HUB_SD_URL", partial(models.image_server, settings, pool, seconds=own)),
        _Part("pictures", "HUB_IMAGE_PROCESSES", partial(pictures.pictures, settings), is_here=True),
        _Part("prompts", "HUB_PROMPTS_DIR", partial(thread, _prompts, settings)),
        _Part("web port", "HUB_PORT", ask_port),
        _Part("metrics port", "HUB_METRICS_PORT", partial(port.metrics, settings, pool, seconds=own)),
    ]
    patience = _REPAIR_SECONDS if fix else seconds + database.CLOSE_SECONDS
    tables = _Part("database", setting, look_into_database).findings(patience)
    others = asyncio.gather(*(each.findings(seconds) for each in (*files, *servers)))
    in_tables, in_others = await asyncio.gather(tables, others)
    before, after = in_others[: len(files)], in_others[len(files) :]
    if found.dsn is None and all(each.status == "pass" for each in found.findings):
        seen.hubs = 0  # nobody has used this data folder yet
    return [
        *(finding for part in before for finding in part),
        *(*found.findings, *seen.findings, *in_tables, *_not_seen(seen)),
        *(finding for part in after for finding in part),
        *port.judge(settings, answer, seen.hubs),
    ]


def _not_seen(seen: database.Visit) -> list[Finding]:
    """Say that the tables were not looked at, where there should be some."""
    if seen.hubs is not None:
        return []
    advice = "Put the database right, then look again."
    return [warning("tables", "migrations, jobs and the clock were not looked at", advice=advice)]


def _prompts(settings: Settings) -> list[Finding]:
    try:
        Prompts.load(settings.prompts_dir, policy=settings.content_policy)
    except StartError as error:
        advice = "Correct the template; docs/prompts.md tells what it may hold."
        return [bad("prompts", f"{error}", advice=advice, setting="HUB_PROMPTS_DIR")]
    whose = f"those in {settings.prompts_dir} can be used" if settings.prompts_dir else "the built-in ones"
    return [good("prompts", whose)]
