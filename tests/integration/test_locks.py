"""What ends at the same time takes its locks in one order: nobody waits in a circle, and rows are right."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import httpx2
import pytest

from tests.fakes.llm import Body
from tests.fakes.llm_script import Script
from tests.fakes.receiver import Receiver, says
from tests.services.edits import Editor
from tests.services.hub import PASSWORD, Client
from tests.services.oracle import disagreements
from tests.services.scene_world import SceneWorld, Talker, found, gated, scene_world, talker

_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture(scope="module")
async def world(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SceneWorld]:
    """Yield a hub; in the end its database must have broken no deadlock."""
    async with scene_world(tmp_path_factory.mktemp("locks"), postgres) as made:
        yield made
        await made.hub.stop()  # what its connections counted is seen once they end
        assert await made.rows(_DEADLOCKS) == [{"deadlocks": 0}]
        assert "DeadlockDetectedError" not in made.hub.output


@pytest.fixture
async def talk(world: SceneWorld) -> AsyncIterator[Talker]:
    async with talker(world) as made:
        yield made


@pytest.fixture
async def database(world: SceneWorld) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection for somebody who gets in the way."""
    connection = await asyncpg.connect(world.hub.settings["HUB_DATABASE_URL"])
    yield connection
    await connection.close()


async def waiting(database: asyncpg.Connection, count: int) -> None:
    """Wait until so many connections of the hub wait for locks."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    deadline = time.monotonic() + 20
    while await database.fetchval(sql) < count:
        assert time.monotonic() < deadline, "nobody waits"
        await asyncio.sleep(0.01)
        await database.execute("SELECT pg_stat_clear_snapshot()")  # else new connections are not seen


def delete_account(talk: Talker) -> Awaitable[httpx2.Response]:
    """Delete the user's account."""
    return talk.client.http.post("/api/me/delete", json={"current_password": PASSWORD})


async def test_a_scene_that_was_read_lets_a_deleted_conversation_go(
    world: SceneWorld, talk: Talker, database: asyncpg.Connection
) -> None:
    """Both want the job of the picture, and the companion's scene."""
    conversation_id, go_on = (await talk.client.conversation(talk.companion_id))["id"], asyncio.Event()
    world.llm.find("Paint it", after=found(go_on, location="the beach"))
    await talk.client.send_for_image(conversation_id, "Paint it")
    await world.llm.was_asked("after", "Paint it")
    async with database.transaction():
        locked = await database.fetch(
            "SELECT FROM jobs JOIN image_requests USING (id) WHERE companion_id = $1 FOR UPDATE OF jobs",
            UUID(talk.companion_id),
        )
        assert len(locked) == 1
        deleting = asyncio.create_task(talk.delete(conversation_id))
        await waiting(database, 1)
        go_on.set()
        await waiting(database, 2)
    await deleting
    await world.read(talk.companion_id)
    assert await world.left(talk.companion_id) == 0
    assert "DeadlockDetectedError" not in world.hub.output


async def test_a_wiped_companion_goes_with_its_users_account(
    world: SceneWorld, talk: Talker, database: asyncpg.Connection
) -> None:
    """Both want the same jobs: a picture's, and that of a reply which was asked for later."""
    conversation_id, never = (await talk.client.conversation(talk.companion_id))["id"], asyncio.Event()
    world.images.held = True
    picture = await talk.client.ask_image(talk.companion_id)
    world.llm.say("Wait", gated("Wait", never))
    sent = await talk.client.send(conversation_id, "Wait")
    await world.llm.was_told("Wait")
    async with database.transaction():
        await database.execute(
            "SELECT FROM jobs WHERE subject_id = $1 FOR UPDATE", UUID(sent["response"]["id"])
        )
        wiping = asyncio.create_task(talk.wipe())
        await waiting(database, 1)
        deleting = asyncio.ensure_future(delete_account(talk))
        await waiting(database, 2)
    assert (await wiping)["jobs_cancelled"] == 2
    assert (await deleting).status_code == 204
    world.images.held = False
    world.images.finish()
    jobs = await world.rows("SELECT status FROM jobs WHERE id = $1", UUID(picture["id"]))
    assert jobs == [{"status": "cancelled"}]


async def test_a_conversation_that_begins_lets_the_account_go(
    world: SceneWorld, talk: Talker, database: asyncpg.Connection
) -> None:
    """A new row locks the companion that it names, and then the user."""
    companion_id, user_id = UUID(talk.companion_id), UUID(talk.client.user["id"])
    async with database.transaction():
        await database.execute("SELECT FROM companions WHERE id = $1 FOR KEY SHARE", companion_id)
        deleting = asyncio.ensure_future(delete_account(talk))
        await waiting(database, 1)
        await database.execute(
            "INSERT INTO conversations (id, user_id, companion_id) VALUES (gen_random_uuid(), $1, $2)",
            user_id,
            companion_id,
        )
    assert (await deleting).status_code == 204
    assert "DeadlockDetectedError" not in world.hub.output
    assert await world.rows("SELECT FROM conversations WHERE companion_id = $1", companion_id) == []


# All was asked for before the ends: nothing of it is left, and two companions of each four are.
_LEFT = """
SELECT (SELECT count(*) FROM companions WHERE id = ANY($1)) AS companions,
    (SELECT count(*) FROM completions WHERE companion_id = ANY($1)) AS completions,
    (SELECT count(*) FROM messages JOIN conversations ON conversations.id = conversation_id
    WHERE companion_id = ANY($1)) AS messages,
    (SELECT count(*) FROM scenes WHERE companion_id = ANY($1)) AS scenes,
    (SELECT count(*) FROM images WHERE companion_id = ANY($1)) AS pictures
"""

Ending = Callable[[Talker, list[str]], Awaitable[None]]


async def _wiped(talk: Talker, _: list[str]) -> None:
    await talk.wipe()


async def _conversation_deleted(talk: Talker, conversations: list[str]) -> None:
    await asyncio.gather(talk.delete(conversations[0]), talk.wipe())


async def _companion_deleted(talk: Talker, conversations: list[str]) -> None:
    answers = await asyncio.gather(
        talk.client.http.delete(f"/api/conversations/{conversations[1]}"),
        talk.client.http.delete(talk.path),
        talk.client.http.post(f"{talk.path}/wipe"),
    )
    assert answers[1].status_code == 204
    assert {each.status_code for each in answers} <= {200, 204, 404}


async def _account_deleted(talk: Talker, conversations: list[str]) -> None:
    answers = await asyncio.gather(
        talk.client.http.post(f"{talk.path}/wipe"),
        talk.client.http.delete(f"/api/conversations/{conversations[0]}"),
        delete_account(talk),
    )
    assert answers[2].status_code == 204
    assert {each.status_code for each in answers} <= {200, 204, 401, 404}


ENDINGS: list[Ending] = [_wiped, _conversation_deleted, _companion_deleted, _account_deleted]


async def test_everything_at_once(
    world: SceneWorld, database: asyncpg.Connection, receiver: Receiver
) -> None:
    rng = random.Random(5)

    def find(_: Body) -> Script:
        return found(location=f"room {rng.randrange(1000)}")

    world.llm.analysis = find
    async with AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(talker(world)) for _ in ENDINGS * 2]
        pauses = [rng.uniform(0, 1.0) for _ in talks]
        await asyncio.gather(
            *(_live(*each, receiver) for each in zip(talks, ENDINGS * 2, pauses, strict=True))
        )
        await world.at_rest()
    # After a wipe positions go on, which this rule knows nothing of.
    found_wrong = [each for each in await disagreements(database) if not each.startswith("positions are")]
    assert found_wrong == []
    counts = await database.fetchrow(_LEFT, [UUID(talk.companion_id) for talk in talks])
    assert dict(counts) == {"companions": 4, "completions": 0, "messages": 0, "scenes": 0, "pictures": 0}


async def _live(talk: Talker, end: Ending, pause: float, receiver: Receiver) -> None:
    """Have turns and pictures of all kinds under way, and end it all in the middle."""
    client: Client = talk.client
    conversations = [(await client.conversation(talk.companion_id))["id"] for _ in range(2)]
    asked = [client.send_for_image(each, f"Number {number}") for each in conversations for number in (1, 2)]
    gone = await client.webhook(receiver.url(f"/{client.user['username']}"))
    receiver.script(f"/{client.user['username']}", says(500), says(500), says(410))
    tests = [client.http.post(f"/api/webhooks/{gone['id']}/test") for _ in range(3)]
    background = {"model": f"companion/{talk.companion_id}", "input": "Write", "background": True}
    answers = [client.http.post("/v1/responses", json=background) for _ in range(3)]
    await asyncio.gather(*asked, client.ask_image(talk.companion_id))
    begun = await asyncio.gather(*tests, *answers)
    assert {each.status_code for each in begun} <= {200, 202, 409}, begun  # 409: nobody is there any more
    doing = [asyncio.create_task(_set_again_and_again(talk))]
    doing += [asyncio.create_task(_change(talk, each)) for each in conversations]
    await asyncio.sleep(pause)  # any moment of the turns will do
    await end(talk, conversations)
    for each in doing:
        each.cancel()
    await asyncio.gather(*doing, return_exceptions=True)


async def _set_again_and_again(talk: Talker) -> None:
    while True:
        answer = await talk.client.http.patch(talk.path, json={"scene": {"action": "waiting"}})
        assert answer.status_code in (200, 401, 404), answer.text
        if answer.status_code != 200:
            return
        await asyncio.sleep(0.01)


async def _change(talk: Talker, conversation_id: str) -> None:
    """Ask for other texts, edit them, go back and forth among them, and take some of them out."""
    http, path = talk.client.http, f"/api/conversations/{conversation_id}"
    for kind in ("regenerate", "continue", "reply", "regenerate"):
        page = await http.get(f"{path}/messages")
        if page.status_code != 200:
            return
        steps = [http.post(f"{path}/responses", json={"kind": kind})]
        for message in page.json()["items"][:2]:
            own = f"/api/messages/{message['id']}"
            steps.append(http.patch(own, json={"content": "Changed"}))
            steps.append(http.post(f"{own}/alternatives/1/choose"))
            if message["position"] % 3 == 0:
                steps.append(http.delete(own, params={"following": kind == "reply"}))
        answers = await asyncio.gather(*steps)
        assert {each.status_code for each in answers} <= {200, 202, 204, 401, 404, 409}, answers
        await asyncio.sleep(0.1)


async def test_a_message_goes_while_it_is_written_anew(world: SceneWorld, talk: Talker) -> None:
    """Each wants the reply's job and the conversation."""
    conversation_id = (await talk.client.conversation(talk.companion_id))["id"]
    for number in range(6):
        said = f"Again {number}"
        await talk.says(conversation_id, said)
        editor = Editor(talk.client, conversation_id)
        message = (await editor.messages())[-1]
        response = await editor.asked("regenerate", image=True)
        await editor.delete(message["id"], following=number % 2 == 0)
        assert (await talk.client.http.get(f"/api/responses/{response['id']}")).status_code == 404
        assert message["id"] not in [each["id"] for each in await editor.messages()]
    await world.at_rest()
    assert "DeadlockDetectedError" not in world.hub.output
