"""What the doctor makes of databases, model servers, files and ports in every condition."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from hub import __version__ as hub_version
from hub.core.clock import utc_now
from hub.core.settings import Loaded, Settings, load
from hub.db.migrate import known
from hub.doctor import models, port, storage
from hub.doctor.database import Visit, visit
from hub.doctor.findings import Finding
from hub.providers.http.network import Pool, open_pool
from hub.storage import layout
from hub.storage.archives import name_of
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import status
from tests.services.hub import HubServer
from tests.services.world import query

Told = dict[str, tuple[str, str | None]]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    opened = open_pool()
    yield opened
    await opened.aclose()


def told(findings: list[Finding]) -> Told:
    """Return how each thing is, and the setting that is named for it."""
    return {each.check: (each.status, each.setting) for each in findings}


async def seen_in(
    dsn: str, *, fix: bool = False, data_dir: Path = Path("none"), **more: int
) -> dict[str, Finding]:
    """Look into a database."""
    settings = Settings(database_url=dsn, data_dir=data_dir, **more)  # type: ignore[arg-type] # any setting
    seen = Visit()
    await visit(settings, dsn, seen, seconds=10, fix=fix)
    return {each.check: each for each in seen.findings}


def another(dsn: str, **parts: str) -> str:
    """Return an address with another part."""
    return urlunsplit(urlsplit(dsn)._replace(**parts))


# Databases


async def test_a_database_that_is_as_it_should_be(ready_database: str) -> None:
    found = await seen_in(ready_database)
    assert {each.status for each in found.values()} == {"pass", "warn"}
    assert [each.check for each in found.values() if each.status == "warn"] == ["administrator"]
    assert "UTF8" in found["database"].detail


async def test_addresses_that_lead_nowhere(postgres: str) -> None:
    split = urlsplit(postgres)
    login = split.netloc.partition("@")
    for dsn, words in (
        (another(postgres, netloc=f"hub:canary@{login[2]}"), "password"),
        (another(postgres, path="/no_such_database"), "no database of this name"),
        ("postgresql://hub:canary@127.0.0.1:1/hub", "127.0.0.1"),
        ("postgresql://hub:canary@host.invalid/hub", "no such host"),
    ):
        (finding,) = (await seen_in(dsn)).values()
        assert (finding.status, finding.setting) == ("fail", "HUB_DATABASE_URL"), finding
        assert words in finding.detail
        assert "canary" not in repr(finding)


async def test_an_empty_database_is_well_and_can_be_filled(empty_database: str, tmp_path: Path) -> None:
    found = await seen_in(empty_database)
    assert found["migrations"].status == "pass"
    assert "jobs" not in found
    layout.prepare(tmp_path)
    found = await seen_in(empty_database, fix=True, data_dir=tmp_path)
    assert found["migrations"].fixed == f"ran {len(known())}"
    assert found["jobs"].status == "pass"


async def test_a_schema_of_another_version(ready_database: str) -> None:
    newest = known()[-1]
    await query(ready_database, "UPDATE migration SET name = '2999-01-01T00:00:00' WHERE name = $1", newest)
    ahead = (await seen_in(ready_database))["migrations"]
    assert (ahead.status, "2999-01-01" in ahead.detail) == ("fail", True)
    assert ahead.setting == "HUB_DATABASE_URL"
    await query(ready_database, "DELETE FROM migration WHERE name LIKE '2999%'")
    behind = (await seen_in(ready_database))["migrations"]
    assert (behind.status, "hub migrate" in str(behind.advice)) == ("warn", True)


async def test_a_busy_database_is_not_a_broken_one(ready_database: str) -> None:
    settings, seen = Settings(database_url=ready_database), Visit()
    holder = await asyncpg.connect(ready_database)
    async with holder.transaction():
        await holder.execute("LOCK TABLE users")
        await visit(settings, ready_database, seen, seconds=0.5, fix=False)
    await holder.close()
    found = told(seen.findings)
    assert found["database"] == found["migrations"] == ("pass", None)
    assert found["tables"] == ("warn", "HUB_DATABASE_URL")
    assert not [each for each in seen.findings if each.status == "fail"]


async def test_a_database_that_cannot_hold_every_character(postgres: str) -> None:
    await query(postgres, "CREATE DATABASE hub_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    found = (await seen_in(another(postgres, path="/hub_ascii")))["database"]
    assert (found.status, found.setting) == ("fail", "HUB_DATABASE_URL")
    await query(postgres, "DROP DATABASE hub_ascii")


async def test_a_pool_that_is_larger_than_the_database_allows(ready_database: str) -> None:
    found = (await seen_in(ready_database, database_pool_size=1000))["connections"]
    assert (found.status, found.setting) == ("warn", "HUB_DATABASE_POOL_SIZE")


async def add_jobs(dsn: str, count: int, **given: str) -> None:
    """Store jobs whose columns are these SQL expressions."""
    columns = {
        "id": "gen_random_uuid()",
        "kind": "'reply'",
        "lane": "'lane ' || n",
        "subject_id": "gen_random_uuid()",
        "request_id": "''",
        "created_at": "now()",
        "due_at": "now()",
        **given,
    }
    names, values = ", ".join(columns), ", ".join(columns.values())
    await query(dsn, f"INSERT INTO jobs ({names}) SELECT {values} FROM generate_series(1, $1) n", count)


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [
        (1, {"status": "'in_progress'", "lease_until": "now() - interval '5 min'"}, "lost their worker"),
        (1, {"status": "'queued'", "due_at": "now() - interval '5 min'"}, "waited for 300 s"),
        (11, {"status": "'failed'", "completed_at": "now()", "error_code": "'llm_timeout'"}, "llm_timeout"),
    ],
)
async def test_jobs_that_go_nowhere(
    ready_database: str, count: int, columns: dict[str, str], expected: str
) -> None:
    await add_jobs(ready_database, count, **columns)
    found = (await seen_in(ready_database))["jobs"]
    assert found.status == "warn", "what failed is over: whether it would fail again the other parts tell"
    assert expected in found.detail
    assert found.setting == ("HUB_LLM_URL" if count > 1 else None)


# Models


async def language_model(pool: Pool, llm: FakeLLM, name: str = "fake", **more: str) -> Finding:
    settings = Settings(llm_url=llm.url, llm_model=name, **more)  # type: ignore[arg-type] # any setting
    (finding,) = await models.language_model(settings, pool, seconds=5)
    return finding


async def test_a_model_that_is_there(pool: Pool) -> None:
    async with FakeLLM() as llm:
        assert (await language_model(pool, llm)).status == "pass"
        llm.models = status(200, {"data": [{"id": "fake:latest"}]})
        assert (await language_model(pool, llm)).status == "pass"
        assert not any(each.path.endswith("/chat/completions") for each in llm.requests)
        for unlisted in (status(200, {"data": [{"id": "other"}]}), status(404, {}), status(200, {})):
            llm.models = unlisted
            found = await language_model(pool, llm)
            assert (found.status, "answers as fake" in found.detail) == ("pass", True), found


async def test_a_model_that_is_not_there(pool: Pool) -> None:
    async with FakeLLM() as llm:
        llm.script(status(404, {"error": {"code": "model_not_found"}}))
        found = await language_model(pool, llm, "fakd")
        assert (found.status, found.setting) == ("fail", "HUB_LLM_MODEL")
        assert "It has fake." in found.detail
        llm.models = status(404, {})
        llm.script(status(404, {}))
        assert (await language_model(pool, llm)).setting == "HUB_LLM_URL"


async def test_a_key_that_is_refused(pool: Pool) -> None:
    async with FakeLLM() as llm:
        llm.models = status(401, {"error": {"message": "canary is wrong"}})
        found = await language_model(pool, llm, llm_key="canary")
        assert (found.status, found.setting) == ("fail", "HUB_LLM_KEY")
        assert "canary" not in repr(found)
        images = Settings(sd_url=llm.url, sd_key="canary")
        (found,) = await models.image_server(images, pool, seconds=5)
        assert (found.status, found.setting) == ("fail", "HUB_SD_KEY")


# Files


def loaded_from(folder: Path) -> Loaded:
    return load({"HUB_DATA_DIR": str(folder / "data")}, folder)


def test_files_that_others_may_read_are_closed_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, dotenv = tmp_path / "data", tmp_path / ".env"
    dotenv.write_text("HUB_LLM_KEY=canary\n")
    assert told(storage.data_folder(loaded_from(tmp_path).settings, fix=False)) == {
        "data folder": ("pass", None)
    }
    assert not data.exists(), "looking makes nothing"
    (made,) = storage.data_folder(loaded_from(tmp_path).settings, fix=True)
    assert made.fixed is not None
    (data / "secret_key").write_text("x" * 64)
    for path, mode in ((data / "uploads", 0o755), (data / "secret_key", 0o644), (dotenv, 0o640)):
        path.chmod(mode)
    loaded = loaded_from(tmp_path)
    assert told(storage.data_folder(loaded.settings, fix=False))["pictures' folder"] == (
        "warn",
        "HUB_DATA_DIR",
    )
    found = [(each.status, each.setting) for each in storage.secrets(loaded, fix=False)]
    assert found == [("pass", None), ("fail", "HUB_DATA_DIR"), ("warn", "HUB_LLM_KEY")]
    fixed = [*storage.data_folder(loaded.settings, fix=True), *storage.secrets(loaded, fix=True)]
    assert sum(each.fixed is not None for each in fixed) == 3
    after = [*storage.data_folder(loaded.settings, fix=False), *storage.secrets(loaded, fix=False)]
    assert {each.status for each in after} == {"pass"}
    assert "canary" not in repr(fixed)


def test_a_key_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret_key").write_text("short")
    assert told(storage.secrets(loaded_from(tmp_path), fix=True))["secret key"] == ("fail", "HUB_SECRET_KEY")


def test_backups_of_these_days(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", backup_dir=tmp_path / "backups")
    assert told(storage.backups(Settings(data_dir=tmp_path / "data"))) == {"backups": ("pass", None)}
    assert told(storage.backups(settings)) == {"backups": ("warn", "HUB_BACKUP_DIR")}
    for days, expected in ((5, "warn"), (1, "pass")):
        (tmp_path / "backups").mkdir(exist_ok=True)
        (tmp_path / "backups" / name_of(utc_now() - timedelta(days=days))).touch()
        (found,) = storage.backups(settings)
        assert (found.status, f"{days}.0 days old" in found.detail) == (expected, True)


def test_a_disk_without_room(tmp_path: Path) -> None:
    found = told(storage.disk(Settings(data_dir=tmp_path / "not" / "there", free_space_floor_mb=10**6)))
    assert found["disk"] == ("fail", "HUB_FREE_SPACE_FLOOR_MB")


async def test_leftovers_are_counted_and_removed(ready_database: str, tmp_path: Path) -> None:
    layout.prepare(tmp_path)
    old = layout.temporary_folder(tmp_path) / uuid4().hex
    old.touch()
    os.utime(old, (0, 0))
    assert (await seen_in(ready_database, data_dir=tmp_path))["leftovers"].status == "warn"
    assert (await seen_in(ready_database, data_dir=tmp_path, fix=True))["leftovers"].fixed is not None
    assert not old.exists()


# The web server's port


async def held(settings: Settings, pool: Pool, *, hubs: int | None) -> list[Finding]:
    answer = port.Answer()
    await port.ask(settings, pool, answer, seconds=5)
    return port.judge(settings, answer, hubs)


async def test_a_port_and_who_holds_it(pool: Pool, hub: HubServer) -> None:
    assert told(await held(Settings(port=0), pool, hubs=0)) == {"web port": ("pass", None)}
    running = Settings(port=urlsplit(hub.url).port or 0)
    assert told(await held(running, pool, hubs=3))["web port"] == ("pass", None)
    # It is connected to some other database; to which one is not known where this one is away.
    assert told(await held(running, pool, hubs=0)) == {"web port": ("fail", "HUB_PORT")}
    assert told(await held(running, pool, hubs=None))["web port"] == ("pass", None)
    async with FakeLLM() as llm:
        taken = Settings(port=urlsplit(llm.url).port or 0)
        assert told(await held(taken, pool, hubs=3)) == {"web port": ("fail", "HUB_PORT")}
        numbers = Settings(metrics_port=taken.port)
        assert told(await port.metrics(numbers, pool, seconds=5)) == {
            "metrics port": ("fail", "HUB_METRICS_PORT")
        }
    assert told(await port.metrics(Settings(metrics_port=running.port), pool, seconds=5)) == {
        "metrics port": ("pass", None)
    }
    elsewhere = Settings(host="192.0.2.1", port=8000)
    assert told(await held(elsewhere, pool, hubs=0)) == {"web port": ("fail", "HUB_HOST")}


def test_what_a_running_hub_says_of_itself_leads_to_what_fails() -> None:
    checks = {"llm": "warn", "migrations": "fail"}
    health = port.Health(status="fail", version=hub_version, checks=checks)
    found = told(port.judge(Settings(), port.Answer(holder="hub", health=health), 3))
    assert found["running hub"] == ("fail", "HUB_DATABASE_URL")
