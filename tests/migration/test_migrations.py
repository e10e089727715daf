"""Migrations make exactly the schema that the tables describe, once, whoever runs them and how often."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest
from piccolo.apps.migrations.commands.new import AutoMigrationManager
from piccolo.table import create_db_tables

from hub.db.migrate import MIGRATION_LOCK, known, migrate
from hub.db.piccolo_app import APP_CONFIG
from tests.migration.conftest import columns_of, constraints_of, engine_at
from tests.services.fixtures import new_database
from tests.services.hub import PROJECT
from tests.services.world import query, run_hub, within

BROKEN = """
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2099-01-01T00:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "one that cannot work"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run():
        engine = engine_finder()
        await engine.run_ddl("CREATE TABLE half_done (id int)")
        await engine.run_ddl("ALTER TABLE users ADD COLUMN half_done int")
        await engine.run_ddl("ALTER TABLE no_such_table ADD COLUMN id int")

    manager.add_raw(run)
    return manager
"""


async def test_an_empty_database_gets_every_migration_once(empty_database: str) -> None:
    assert await migrate(empty_database) == len(known()) > 0
    names = await query(empty_database, "SELECT name FROM migration WHERE app_name = 'hub' ORDER BY name")
    assert [row["name"] for row in names] == known()
    before = await columns_of(empty_database), await constraints_of(empty_database)
    assert await migrate(empty_database) == 0
    assert (await columns_of(empty_database), await constraints_of(empty_database)) == before


async def test_migrations_and_tables_agree(postgres: str, migrated: str) -> None:
    """The database of the migrations has the columns and keys that the tables themselves would make."""
    from_tables = await new_database(postgres)
    async with engine_at(from_tables):
        await create_db_tables(*APP_CONFIG.table_classes)
    expected = await columns_of(from_tables)
    assert len(expected) > 50
    assert await columns_of(migrated) == expected
    assert await constraints_of(migrated) == await constraints_of(from_tables)


async def test_piccolo_finds_nothing_to_migrate() -> None:
    changes = await AutoMigrationManager().get_alter_statements(app_config=APP_CONFIG)
    assert [statement for each in changes for statement in each.statements] == []


async def test_several_at_once_take_turns(tmp_path: Path, empty_database: str) -> None:
    done = await asyncio.gather(
        *(run_hub(tmp_path, "migrate", HUB_DATABASE_URL=empty_database) for _ in range(3))
    )
    assert [each.code for each in done] == [0, 0, 0]
    said = sorted(each.out for each in done)
    assert said == [f"{len(known())} migrations ran.\n", *["The database is up to date.\n"] * 2]


async def test_it_waits_for_whoever_holds_the_lock(empty_database: str) -> None:
    holder = await asyncpg.connect(empty_database)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        waiting = asyncio.create_task(migrate(empty_database))
        waiters = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        async def is_waiting() -> bool | None:
            return (await query(empty_database, waiters))[0]["count"] > 0 or None

        await within(10, is_waiting)
        assert await columns_of(empty_database) == {}
    finally:
        await holder.close()
    assert await waiting == len(known())


@pytest.fixture
def broken_version(tmp_path: Path) -> Path:
    """Return the folder of a hub whose newest migration cannot work."""
    folder = tmp_path / "version"
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("src", "piccolo_migrations"):
        shutil.copytree(PROJECT / name, folder / name, ignore=leave_out)
    (folder / "piccolo_migrations" / "hub_2099_01_01t00_00_00_000000.py").write_text(BROKEN)
    return folder


@pytest.mark.parametrize("role", ["migrate", "web"])
async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    broken_version: Path, empty_database: str, role: str
) -> None:
    await migrate(empty_database)
    before = await columns_of(empty_database), await constraints_of(empty_database)
    settings = {
        "HUB_DATABASE_URL": empty_database,
        "HUB_LLM_URL": "http://127.0.0.1:1/v1",
        "HUB_LLM_MODEL": "none",
        "PYTHONPATH": str(broken_version / "src"),
    }
    done = await run_hub(broken_version, role, **settings)
    assert done.code == 1
    assert "no_such_table" in done.err
    assert "The database is as it was" in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1
    assert (await columns_of(empty_database), await constraints_of(empty_database)) == before
    assert await migrate(empty_database) == 0, "the version before goes on with it"


async def test_a_database_of_a_newer_version_is_left_alone(empty_database: str) -> None:
    await migrate(empty_database)
    await query(
        empty_database,
        "INSERT INTO migration (name, app_name) VALUES ('2099-01-01T00:00:00:000000', 'hub')",
    )
    before = await columns_of(empty_database)
    assert await migrate(empty_database) == 0
    assert await columns_of(empty_database) == before
