"""The authorisation matrix: every operation of the OpenAPI document and every verb of the socket, by all.

Rows come from the running hub, so one that is added is tried as well; one that cannot be called from the
tables in ``tests/services`` fails. Columns: nobody, another user and an administrator with the ids of
somebody else, a disabled user, tokens without any scope, with each one that is listed, and with all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
import websockets
from httpx2 import AsyncClient, Response

from tests.services.hub import PASSWORD, Client, HubServer, Socket
from tests.services.openai_routes import OPENAI_ROUTES, openai_home
from tests.services.people import promote
from tests.services.refusals import refused
from tests.services.routes import NOWHERE, ROUTES, Home, Route
from tests.services.verbs import frame_of, verbs
from tests.services.world import query

#: Operations that need no token; whoever adds one says so here too.
PUBLIC = {"register", "logIn", "getHealth", "getLive", "getReady", "getSignedImage"}
SCOPES = ("read", "chat", "write", "admin")
ANY_TOKEN = ("*",)
OPENAI = "/v1/"

NO_TOKENS: dict[str, dict[str, str]] = {
    "none": {},
    "unknown": {"Authorization": "Bearer chub_session_0000000000000000000000000000000000000000000"},
    "empty": {"Authorization": "Bearer"},
    "other scheme": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    "very long": {"Authorization": "Bearer " + "x" * 20_000},
    "not text": {"Authorization": "Bearer \xff\xfe"},
    "unknown key": {"X-API-Key": "chub_x"},
    "no checksum": {"X-API-Key": "chub_pat_" + "0" * 49},
}


@dataclass(frozen=True)
class Operation:
    """An operation as the document has it; ``scopes`` is None for a public one, empty for sign-ins only."""

    route: Route
    scopes: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.route.operation

    @property
    def is_openai(self) -> bool:
        """Whether it is there for OpenAI's clients."""
        return self.route.path.startswith(OPENAI)

    @property
    def is_governing(self) -> bool:
        """Whether only administrators may."""
        return self.scopes == ("admin",)

    @property
    def names_something(self) -> bool:
        """Whether a call names something that belongs to somebody, in its path or in its body."""
        values = (self.route.body or {}).values()
        return self.route.names_something or any("{" in each for each in values if isinstance(each, str))


@pytest.fixture(scope="module")
async def operations(hub: HubServer) -> list[Operation]:
    """Return every operation, with the call that the table of routes has for it."""
    async with AsyncClient(base_url=hub.url) as http:
        document = (await http.get("/docs/openapi.json")).json()
    found = []
    known = {(each.operation, each.method, each.path): each for each in (*ROUTES, *OPENAI_ROUTES)}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            key = (operation["operationId"], method.upper(), path)
            assert key in known, f"no call for {key} in tests/services"
            is_public = operation.get("security") == []
            assert is_public == ("x-required-scopes" not in operation), key
            found.append(Operation(known[key], None if is_public else tuple(operation["x-required-scopes"])))
    assert len(found) == len(known), "one that is gone"
    return found


@pytest.fixture(scope="module")
def protected(operations: list[Operation]) -> list[Operation]:
    """Return those that need a token."""
    return [each for each in operations if each.scopes is not None]


@dataclass(frozen=True)
class Homes:
    """One user's home, as it is and as OpenAI's clients see it."""

    plain: Home
    openai: Home

    @classmethod
    async def of(cls, owner: Client) -> Homes:
        """Let the user make one."""
        home = await Home.of(owner)
        return cls(home, await openai_home(home))

    def of_operation(self, operation: Operation) -> Home:
        """Return the one whose ids go with an operation."""
        return self.openai if operation.is_openai else self.plain


@pytest.fixture(scope="module")
async def homes(hub: HubServer) -> AsyncIterator[Homes]:
    """Yield the home that nobody else must get into."""
    owner = await Client(hub.url).register()
    yield await Homes.of(owner)
    await owner.close()


@pytest.fixture
def home(homes: Homes) -> Home:
    """Return the same, without OpenAI's clients."""
    return homes.plain


@pytest.fixture(scope="module")
async def admin(hub: HubServer) -> AsyncIterator[Client]:
    """Yield an administrator."""
    user = await promote(hub, await Client(hub.url).register())
    yield user
    await user.close()


@pytest.fixture
async def anyone(hub: HubServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=hub.url, timeout=30) as http:
        yield http


async def call(
    http: AsyncClient, homes: Homes, operation: Operation, headers: dict[str, str], **ids: str
) -> Response:
    """Make a valid call with the ids of a home, or with others."""
    home = homes.of_operation(operation)
    sent = home.sent(operation.route, **ids)
    headers = {**sent.pop("headers", {}), **headers}
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    return await http.request(operation.route.method, home.path(operation.route, **ids), **sent, headers=raw)


def why(answer: Response, status: int) -> str:
    """Check that an answer is a refusal with this status, in the shape of its path; return its code."""
    if not answer.request.url.path.startswith(OPENAI):
        return str(refused(answer, status)["type"]).removeprefix("/problems/").replace("-", "_")
    assert answer.status_code == status, answer.text
    code = str(answer.json()["error"]["code"])
    return "not_signed_in" if code == "invalid_api_key" else code  # OpenAI's word for it


def told(answer: Response, ids: dict[str, str]) -> str:
    """Return what a refusal says, but for the ids that were sent, and that of the request."""
    text = answer.text.replace(answer.headers["x-request-id"], "")
    for each in ids.values():
        text = text.replace(each, "")
    return text


def nowhere(homes: Homes) -> dict[str, str]:
    """Return the ids of nothing, so that what is allowed does no harm."""
    return dict.fromkeys(homes.openai.ids, NOWHERE)


def both_ways(token: str) -> Iterator[dict[str, str]]:
    """Return the headers that carry a token: what holds for one holds for the other."""
    yield {"Authorization": f"Bearer {token}"}
    yield {"X-API-Key": token}


async def test_public_are_these_and_no_others(
    operations: list[Operation], anyone: AsyncClient, homes: Homes
) -> None:
    assert {each.name for each in operations if each.scopes is None} == PUBLIC
    for operation in operations:
        if operation.scopes is None:
            path = homes.plain.path(operation.route, **nowhere(homes))
            answer = await anyone.request(operation.route.method, path, json={})  # so that nobody registers
            assert "not-signed-in" not in answer.text, operation
            assert answer.status_code != 403, operation


async def test_every_other_names_scopes_that_exist(protected: list[Operation]) -> None:
    for operation in protected:
        scopes = operation.scopes
        assert scopes == ANY_TOKEN or set(scopes or ()) <= set(SCOPES), operation
        assert operation.is_governing == operation.route.admin, operation
    assert [each.name for each in protected if each.scopes == ANY_TOKEN] == ["getMe"]
    assert {each.name for each in protected if each.scopes == ()} == {
        *("logOut", "changePassword", "deleteMe", "listSignIns", "deleteSignIn"),
        *("createToken", "listTokens", "getToken", "deleteToken"),
    }


async def test_nobody_comes_in_without_a_token(
    protected: list[Operation], anyone: AsyncClient, homes: Homes
) -> None:
    before = await homes.plain.everything()
    for operation in protected:
        for kind, headers in NO_TOKENS.items():
            answer = await call(anyone, homes, operation, headers)
            assert why(answer, 401) == "not_signed_in", (operation, kind)
    assert await homes.plain.everything() == before


async def test_what_belongs_to_another_is_not_there(
    protected: list[Operation], anyone: AsyncClient, homes: Homes, other: Client, admin: Client
) -> None:
    """Nor for administrators, and not even that it exists is told."""
    before = await homes.plain.everything()
    token = (await other.make_token("read", "chat", "write"))["token"]
    for operation in protected:
        if operation.is_governing or not operation.names_something:
            continue
        for each in (other.token, admin.token, token):
            if each == token and not operation.scopes:
                continue
            headers = {"Authorization": f"Bearer {each}"}
            foreign = await call(anyone, homes, operation, headers)
            absent = await call(anyone, homes, operation, headers, **nowhere(homes))
            assert why(foreign, 404) == why(absent, 404), operation
            ids = homes.of_operation(operation).ids
            assert told(foreign, ids) == told(absent, nowhere(homes)), operation
    assert await homes.plain.everything() == before


async def test_administrators_look_after_users_that_exist(
    protected: list[Operation], homes: Homes, admin: Client, other: Client
) -> None:
    for operation in protected:
        if operation.is_governing:
            assert (
                refused(await call(other.http, homes, operation, {}), 403)["type"] == "/problems/not-allowed"
            )
            answer = await call(admin.http, homes, operation, {}, **nowhere(homes))
            assert answer.status_code == (404 if operation.route.names_something else answer.status_code)
            assert answer.status_code in (200, 201, 404), operation


async def test_a_disabled_user_may_do_nothing(
    protected: list[Operation], anyone: AsyncClient, client: Client, hub: HubServer
) -> None:
    homes = await Homes.of(client)
    token = (await client.make_token(*SCOPES[:3]))["token"]
    await query(
        hub.settings["HUB_DATABASE_URL"],
        "UPDATE users SET disabled_at = now() WHERE id = $1",
        UUID(client.user["id"]),
    )
    for operation in protected:
        for each in (client.token, token):
            answer = await call(anyone, homes, operation, {"Authorization": f"Bearer {each}"})
            assert why(answer, 403) == "account_disabled", operation
    body = {"login": client.user["username"], "password": PASSWORD}
    refused(await anyone.post("/api/auth/login", json=body), 403)
    assert [await closed_with(hub, each) for each in (client.token, token)] == [4403, 4403]


async def test_a_token_without_scopes_tells_whose_it_is(
    protected: list[Operation], anyone: AsyncClient, homes: Homes
) -> None:
    before = await homes.plain.everything()
    token = (await homes.plain.owner.make_token())["token"]
    for operation in protected:
        for headers in both_ways(token):
            answer = await call(anyone, homes, operation, headers)
            if operation.name == "getMe":
                assert answer.json() == homes.plain.owner.user
            else:
                assert why(answer, 403) == "insufficient_scope", operation
    after = await homes.plain.everything()
    del before["/api/me/tokens"], after["/api/me/tokens"]
    assert after == before


async def test_each_scope_that_is_listed_is_enough(
    protected: list[Operation], anyone: AsyncClient, homes: Homes, admin: Client
) -> None:
    tokens = {scope: (await admin.make_token(scope))["token"] for scope in SCOPES}
    passed = 0
    for operation in protected:
        scopes = SCOPES if operation.scopes == ANY_TOKEN else operation.scopes or ()
        for scope in scopes:
            for headers in both_ways(tokens[scope]):
                answer = await call(anyone, homes, operation, headers, **nowhere(homes))
                assert answer.status_code not in (401, 403), (operation, scope, answer.text)
                assert answer.status_code < 500, (operation, scope, answer.text)
                passed += 1
    assert passed > 60


async def test_all_other_scopes_are_not(
    protected: list[Operation], anyone: AsyncClient, homes: Homes, admin: Client
) -> None:
    """Whatever user they belong to; and where none is listed, all of them are not enough."""
    tokens: dict[tuple[str, ...], str] = {}
    for operation in protected:
        if operation.scopes == ANY_TOKEN:
            continue
        rest = tuple(scope for scope in SCOPES if scope not in (operation.scopes or ()))
        if rest not in tokens:
            tokens[rest] = (await admin.make_token(*rest))["token"]
        for headers in both_ways(tokens[rest]):
            answer = await call(anyone, homes, operation, headers, **nowhere(homes))
            assert why(answer, 403) == "insufficient_scope", (operation, rest)


async def test_the_scope_admin_is_of_no_use_to_who_is_no_administrator(
    protected: list[Operation], anyone: AsyncClient, homes: Homes, client: Client, hub: HubServer
) -> None:
    await promote(hub, client)
    token = (await client.make_token("admin"))["token"]
    await query(
        hub.settings["HUB_DATABASE_URL"],
        "UPDATE users SET role = 'user' WHERE id = $1",
        UUID(client.user["id"]),
    )
    for operation in protected:
        if operation.is_governing:
            answer = await call(anyone, homes, operation, {"X-API-Key": token})
            assert why(answer, 403) == "not_allowed", operation


# The socket


async def closed_with(hub: HubServer, token: str) -> int | None:
    """Return the code with which a socket is closed at once."""
    address = hub.url.replace("http", "ws", 1) + "/api/ws"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with websockets.connect(address, additional_headers=headers) as socket:
        async with asyncio.timeout(5):
            await socket.wait_closed()
        return socket.close_code


async def answer_to(socket: Socket, verb: str, ids: dict[str, str]) -> str | None:
    """Send a frame; return the code of its refusal, None if it was obeyed."""
    frame = frame_of(verb, ids)
    await socket.send(**frame)
    await socket.send(type="nothing", event_id="end")  # refused, so that one knows when the answer is over
    refusal = None
    while (came := await socket.receive())["type"] != "error" or came["error"]["event_id"] != "end":
        if came["type"] == "error":
            assert came["error"]["event_id"] == frame["event_id"]
            assert came["error"]["message"]
            refusal = came["error"]["code"]
    return refusal


async def test_who_may_open_a_socket(hub: HubServer, client: Client) -> None:
    assert await closed_with(hub, "") == 4401
    for scopes in ((), ("write",)):
        assert await closed_with(hub, (await client.make_token(*scopes))["token"]) == 4403


async def test_verbs_show_and_do_nothing_of_another(home: Home, other: Client, admin: Client) -> None:
    before = await home.everything()
    for stranger in (other, admin):
        async with stranger.socket() as socket:
            for verb in verbs():
                foreign = await answer_to(socket, verb, home.ids)
                absent = await answer_to(socket, verb, dict.fromkeys(home.ids, NOWHERE))
                assert foreign == absent, verb
                if verb != "conversation.unsubscribe":  # which is no secret to anybody
                    assert foreign is not None, verb
                    assert foreign.endswith("not_found"), verb
            assert {frame["type"] for frame in socket.frames} == {"session.created", "error"}
    assert await home.everything() == before


@pytest.mark.parametrize("scope", ["read", "chat"])
async def test_each_verb_wants_its_scope(hub: HubServer, client: Client, scope: str) -> None:
    conversation = await client.conversation()
    ids = {"conversation_id": conversation["id"], "response_id": NOWHERE}
    token = (await client.make_token(scope))["token"]
    user = Client(hub.url)
    user.use(token)
    ticket = (await user.http.post("/api/ws-tickets")).json()["ticket"]
    by_ticket = hub.url.replace("http", "ws", 1) + f"/api/ws?ticket={ticket}"
    async with user.socket() as socket, websockets.connect(by_ticket) as connection:
        for each in (socket, Socket(connection)):
            for verb, scopes in verbs().items():
                refusal = await answer_to(each, verb, ids)
                assert (refusal == "insufficient_scope") == (scope not in scopes), (verb, refusal)
    await user.close()


async def test_every_verb_names_its_scopes() -> None:
    assert all(scopes and set(scopes) <= {"read", "chat"} for scopes in verbs().values())


async def refused_with(hub: HubServer, path: str, token: str) -> int:
    """Return the status with which a socket's handshake is refused."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with websockets.connect(hub.url.replace("http", "ws", 1) + path, additional_headers=headers):
            pass
    return caught.value.response.status_code


async def test_who_may_open_the_socket_of_openai_clients(hub: HubServer, client: Client) -> None:
    assert await refused_with(hub, "/v1/responses", "") == 401
    for scopes in ((), ("read", "write")):
        token = (await client.make_token(*scopes))["token"]
        assert await refused_with(hub, "/v1/responses", token) == 403
    headers = {"x-api-key": (await client.make_token("chat"))["token"]}
    address = hub.url.replace("http", "ws", 1) + "/v1/responses"
    async with websockets.connect(address, additional_headers=headers) as socket:
        await (await socket.ping())
