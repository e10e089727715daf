"""``hub backup`` beside a hub that people use, and ``hub restore`` into another."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import hub as package
from hub.backup.restoring import Restore
from hub.core.errors import StartError
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.db.migrate import known
from hub.domain.images.collector import Collector
from hub.domain.images.holding import hold, is_held
from hub.domain.images.reconcile import Reconciler
from tests.fakes.llm import FakeLLM
from tests.migration.conftest import engine_at
from tests.services import archives
from tests.services.fixtures import migrated_database, new_database, new_user, running_hub
from tests.services.hub import PASSWORD, PROJECT, Client, HubServer, base_environment, llm_settings
from tests.services.picture_files import Store, new_companion, set_header
from tests.services.world import Done, query, run_hub, within

#: A migration that makes an index and nothing else, so that an archive can do without it.
INDEX_ONLY = "2026-11-23T09:20:00:000000"


@dataclass
class Source:
    """A hub in use, its first user, and a backup that was made while others wrote."""

    hub: HubServer
    user: Client
    companion: str
    conversation: str
    image: dict[str, Any]
    archive: Path
    done: Done


@asynccontextmanager
async def writing(hub: HubServer) -> AsyncIterator[None]:
    """Have somebody set header pictures, talk, and delete companions, all the time."""

    async def write(user: Client) -> None:
        number = 0
        while True:
            number += 1
            companion = await new_companion(user)
            await set_header(user, companion, number)
            await set_header(user, companion, number + 1000)
            conversation = await user.conversation(companion)
            await user.ended((await user.send(conversation["id"], "And now?"))["response"]["id"])
            if number % 2:
                await user.http.delete(f"/api/companions/{companion}")

    async with new_user(hub) as user:
        task = asyncio.create_task(write(user))
        try:
            await within(60, lambda: has_companions(user, 1))
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def has_companions(user: Client, count: int) -> bool | None:
    answer = await user.http.get("/api/companions")
    return len(answer.json()["items"]) >= count or None


@pytest.fixture(scope="module")
async def source(
    postgres: str, llm: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Source]:
    folder = tmp_path_factory.mktemp("backup")
    async with running_hub(folder, postgres, **llm_settings(llm.url)) as hub, new_user(hub) as user:
        companion = await new_companion(user)
        image = await set_header(user, companion, 1)
        talk = str((await user.conversation(companion))["id"])
        said = "Café \\N at five?\n\tYes: \u2014 \U0001f375"
        await user.ended((await user.send(talk, said))["response"]["id"])
        archive = folder / "hub.tar.zst"
        async with writing(hub):
            done = await run_hub(folder, "backup", str(archive), "--json", **hub.settings)
        yield Source(hub, user, companion, talk, image, archive, done)


def place(folder: Path, dsn: str, **more: str) -> dict[str, str]:
    """Return the settings of a hub in an empty place."""
    folder.mkdir(exist_ok=True)
    return {"HUB_DATA_DIR": str(folder / "data"), "HUB_DATABASE_URL": dsn, **more}


def checked(source: Path, settings: dict[str, str], *, restore: bool = False) -> None:
    """Look, in this process, whether an archive could be restored; or try to."""
    found = Settings(data_dir=Path(settings["HUB_DATA_DIR"]), database_url=settings["HUB_DATABASE_URL"])
    with source.open("rb") as file, Path(os.devnull).open("w") as nowhere:
        work = Restore(found, file, Progress(nowhere))
        _ = work.run() if restore else work.check()


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def refusal(source: Path, settings: dict[str, str], *, restore: bool = False) -> str:
    with pytest.raises(StartError) as found:
        await asyncio.to_thread(checked, source, settings, restore=restore)
    return str(found.value)


async def test_what_is_backed_up_beside_writes_is_a_hub_again(
    source: Source, postgres: str, llm: FakeLLM, tmp_path: Path
) -> None:
    assert source.done.code == 0, source.done.output
    told = json.loads(source.done.out)
    manifest = archives.manifest_of(source.archive)
    assert told["counts"] == manifest["counts"]
    assert manifest["counts"]["companions"] >= 2
    assert (manifest["version"], manifest["migration"]) == (package.__version__, max(known()))
    assert source.archive.stat().st_mode & 0o777 == 0o600
    assert not [each for each in source.archive.parent.iterdir() if each.name.startswith(".hub-backup")]

    settings = place(tmp_path / "new", await migrated_database(postgres), **llm_settings(llm.url))
    done = await run_hub(tmp_path / "new", "restore", str(source.archive), **settings)
    assert done.code == 0, done.output
    done = await run_hub(tmp_path / "new", "images", "verify", "--json", **settings)
    assert (done.code, json.loads(done.out)["images"]) == (0, manifest["counts"]["images"]), done.output
    for table, count in manifest["counts"].items():
        rows = await query(settings["HUB_DATABASE_URL"], f"SELECT count(*) FROM {table}")
        assert rows[0]["count"] == count, table

    server = HubServer(tmp_path / "new", **settings)
    await server.start()
    try:
        await same_for_people(source, server)
    finally:
        server.close()


async def same_for_people(source: Source, server: HubServer) -> None:
    old, new = source.user, Client(server.url)
    try:
        body = {"login": old.user["email"], "password": PASSWORD}
        answer = await new.http.post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        new.use(answer.json()["access_token"])
        assert await new.messages(source.conversation) == await old.messages(source.conversation)
        for size in ("", "?size=thumb"):
            there = await old.http.get(source.image["url"] + size)
            here = await new.http.get(source.image["url"] + size)
            assert (there.status_code, here.status_code) == (200, 200)
            assert here.content == there.content
        sent = await new.send(source.conversation, "Still you?")
        assert (await new.ended(sent["response"]["id"]))["status"] == "completed"
    finally:
        await new.close()


async def test_standard_output_has_nothing_but_the_archive_and_standard_input_takes_it(
    source: Source, postgres: str, tmp_path: Path
) -> None:
    settings = {**base_environment(source.hub.folder), **source.hub.settings}
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "backup", "-", "--json"), env=settings, stdout=PIPE, stderr=PIPE
    )
    out, err = await made.communicate()
    assert made.returncode == 0, err
    assert json.loads(err[err.index(b"{\n") :])["file"] is None
    (tmp_path / "piped").write_bytes(out)
    assert archives.manifest_of(tmp_path / "piped")["counts"]["users"] == 2

    target = place(tmp_path / "new", await new_database(postgres))
    restored = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "restore", "-", "--dry-run"),
        env={
            **base_environment(tmp_path),
            **target,
            "HUB_CONFIG_FILE": source.hub.settings["HUB_CONFIG_FILE"],
        },
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    said, problems = await restored.communicate(out)
    assert restored.returncode == 0, problems
    assert b"Nothing was changed" in said
    assert not (tmp_path / "new" / "data").exists()
    assert await query(target["HUB_DATABASE_URL"], "SELECT FROM pg_tables WHERE schemaname = 'public'") == []


async def test_a_folder_keeps_what_the_settings_say(source: Source, tmp_path: Path) -> None:
    old = [f"hub-2026010{day}T020000Z.tar.zst" for day in range(1, 5)]
    for name in [*old, "mine.tar.zst"]:
        (tmp_path / name).touch()
    keep = {f"HUB_BACKUP_KEEP_{period}": "0" for period in ("WEEKLY", "MONTHLY")}
    settings = {**source.hub.settings, "HUB_BACKUP_DIR": str(tmp_path), **keep}
    done = await run_hub(source.hub.folder, "backup", "--keep-daily", "2", **settings)
    assert done.code == 0, done.output
    left = names_in(tmp_path)
    made = left - {*old, "mine.tar.zst"}
    assert left == {old[-1], "mine.tar.zst", *made}
    assert len(made) == 1
    assert f"Older backups removed: {', '.join(old[:3])}." in done.out


async def test_a_picture_that_is_damaged_already_is_named_and_costs_nothing_else(
    source: Source, tmp_path: Path
) -> None:
    companion = await new_companion(source.user)
    image = await set_header(source.user, companion, 77)
    file = Store(source.hub).main_file(companion, image["sha256"])
    file.write_bytes(b"rotten")
    old = tmp_path / "hub-20200101T000000Z.tar.zst"
    old.touch()
    done = await run_hub(
        source.hub.folder, "backup", f"{tmp_path}/", "--keep-daily", "1", **source.hub.settings
    )
    assert done.code == 1
    assert f"wrong hash: {file.relative_to(Path(source.hub.settings['HUB_DATA_DIR']))}" in done.err
    assert old.exists(), "what is kept must not go for a backup that is not whole"
    new = next(each for each in names_in(tmp_path) if each != old.name)
    manifest = archives.manifest_of(tmp_path / new)
    assert [each["fault"] for each in manifest["faults"]] == ["wrong hash"]
    assert len([each for each in manifest["files"] if each.startswith("uploads/")]) % 2 == 1
    await source.user.http.delete(f"/api/companions/{companion}")


async def test_the_collector_waits_for_a_backup(source: Source) -> None:
    store, dsn = Store(source.hub), source.hub.settings["HUB_DATABASE_URL"]
    companion = await new_companion(source.user)
    await set_header(source.user, companion, 5)
    files = store.names(companion)
    backup = await asyncpg.connect(dsn)
    try:
        await hold(backup)
        await source.user.http.delete(f"/api/companions/{companion}")
        async with engine_at(dsn):
            collector = Collector(store.data_dir)
            assert await collector.collect(100, grace=0) == 0
            assert await collector.sweep_strays(100, grace=0) == 0
        assert (await store.gc("--grace", "0"))["waiting"] > 0
        assert store.names(companion) == files
    finally:
        backup.terminate()  # as when it is killed
    async with engine_at(dsn):
        await within(30, free)
        assert await collector.collect(100, grace=0) > 0
    assert not store.folder(companion).exists()


async def free() -> bool | None:
    return not await is_held() or None


async def test_a_restore_that_is_killed_leaves_nothing_or_all_and_can_be_run_again(
    source: Source, postgres: str, tmp_path: Path
) -> None:
    dsn = await migrated_database(postgres)
    settings = place(tmp_path / "new", dsn, HUB_CONFIG_FILE=source.hub.settings["HUB_CONFIG_FILE"])
    environment = {**base_environment(tmp_path), **settings}
    command = [sys.executable, "-m", "tests.services.killed_restore"]
    environment["PYTHONPATH"] += f"{os.pathsep}{PROJECT}"
    for moment in ("gathered", "placed", "committed"):
        process = await asyncio.create_subprocess_exec(
            *command, moment, str(source.archive), env=environment, stdout=PIPE, stderr=PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == -9, said
        users = await query(dsn, "SELECT FROM users")
        assert len(users) == (2 if moment == "committed" else 0), moment
        await asyncio.to_thread(checked, source.archive, settings)
    # Another database knows nothing of it: the pictures may be those of the first.
    others = {**settings, "HUB_DATABASE_URL": await new_database(postgres)}
    for restore in (False, True):
        assert "pictures in it" in await refusal(source.archive, others, restore=restore)
    done = await run_hub(tmp_path / "new", "restore", str(source.archive), **settings)
    assert done.code == 0, done.output
    assert names_in(tmp_path / "new" / "data") == {"uploads", "secret_key"}
    async with engine_at(dsn):
        assert [each async for each in Reconciler(tmp_path / "new" / "data").faults()] == []
    assert "accounts in it" in await refusal(source.archive, place(tmp_path / "other", dsn))
    assert "pictures in it" in await refusal(
        source.archive, {**settings, "HUB_DATABASE_URL": await new_database(postgres)}
    )


async def test_places_and_archives_that_do_not_fit_are_refused(
    source: Source, postgres: str, tmp_path: Path
) -> None:
    empty = await new_database(postgres)
    target = place(tmp_path / "new", empty)
    said = await refusal(
        source.archive, {**target, "HUB_DATABASE_URL": source.hub.settings["HUB_DATABASE_URL"]}
    )
    assert "A hub uses the database. Stop it" in said
    await query(empty, "CREATE TABLE users (name text)")
    assert "not the hub's" in await refusal(source.archive, target)
    await query(empty, "DROP TABLE users")

    newer = archives.altered(source.archive, tmp_path / "newer", about={"version": "9.8.7"})
    said = await refusal(newer, target)
    assert "9.8.7" in said
    assert package.__version__ in said
    later = "2031-01-01T00:00:00:000000"
    newer = archives.altered(source.archive, tmp_path / "newer", about={"migration": later})
    said = await refusal(newer, target)
    assert later in said
    assert max(known()) in said
    cut = tmp_path / "cut"
    cut.write_bytes(source.archive.read_bytes()[:-2000])
    assert "is not whole" in await refusal(cut, target)


async def test_rows_and_files_that_do_not_agree_are_refused(
    source: Source, postgres: str, tmp_path: Path
) -> None:
    entries = archives.read(source.archive)
    picture = next(each for each in entries if each.startswith("uploads/"))
    target = place(tmp_path / "new", await migrated_database(postgres))
    for name, emptied in ((picture, None), ("database/users/000001.copy", b"")):
        bad = archives.without(source.archive, tmp_path / "bad", name, emptied)
        said = await refusal(bad, target, restore=True)
        assert "The archive cannot be used" in said
        assert (picture if name == picture else "rows that do not agree") in said
    assert not await query(target["HUB_DATABASE_URL"], "SELECT FROM images")
    assert names_in(tmp_path / "new") <= {"data"}


async def test_an_older_backup_is_brought_forward(source: Source, postgres: str, tmp_path: Path) -> None:
    older = archives.altered(source.archive, tmp_path / "older", migrations=[INDEX_ONLY])
    dsn = await migrated_database(postgres)  # a hub that was started once: its tables make room
    done = await run_hub(tmp_path, "restore", str(older), **place(tmp_path / "new", dsn))
    assert done.code == 0, done.output
    ran = await query(dsn, "SELECT name FROM migration ORDER BY ran_on")
    assert [row["name"] for row in ran] == [*(each for each in known() if each != INDEX_ONLY), INDEX_ONLY]
    assert await query(dsn, "SELECT FROM pg_indexes WHERE indexname = 'jobs_failed'")
    assert len(await query(dsn, "SELECT FROM users")) == 2
