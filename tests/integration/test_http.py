"""HTTP itself: unknown addresses and methods, HEAD and OPTIONS, request ids, and bytes that are no HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping

import pytest
from httpx2 import AsyncClient

from tests.services.fixtures import new_user
from tests.services.hub import NO_TLS, Client, HubServer
from tests.services.refusals import refused
from tests.services.routes import ROUTES, Home
from tests.services.waiting import eventually

PATHS = sorted({route.path for route in ROUTES})
NOWHERE: Mapping[str, str] = defaultdict(lambda: "018f0000-0000-7000-8000-000000000000")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed(path: str) -> str:
    """Return the Allow header of a path."""
    methods = {route.method for route in ROUTES if route.path == path} | {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


async def talk(hub: HubServer, request: bytes, *, within: float = 5.0) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; return status, headers and body of the answer, which ends the connection."""
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(within):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


@pytest.fixture(scope="module")
async def home(hub: HubServer) -> AsyncIterator[Home]:
    """Yield what somebody has, for tests that change nothing of it."""
    async with new_user(hub) as owner:
        yield await Home.of(owner)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api",
        "/api/",
        "/api/nothing",
        "/API/ME",
        "/api/me/nothing",
        "/%ff",
        "/%00",
        "/..%2f..%2fetc",
    ],
)
async def test_what_is_not_there_is_refused_with_and_without_a_token(
    client: Client, hub: HubServer, path: str
) -> None:
    async with AsyncClient(base_url=hub.url, verify=NO_TLS) as anyone:
        for http in (client.http, anyone):
            for method in (*METHODS, "OPTIONS", "PROPFIND"):
                refused(await http.request(method, path), 404)


@pytest.mark.parametrize("name", ["%00", "a%00b", "x" * 300, "x/" * 3000, "", "%2e%2e/x", "%ff"])
async def test_a_file_that_is_not_there(client: Client, name: str) -> None:
    refused(await client.http.get(f"/docs-assets/{name}"), 404)


@pytest.mark.parametrize("path", PATHS)
async def test_a_method_that_a_route_does_not_take_is_refused_with_those_that_it_does(
    home: Home, path: str
) -> None:
    taken = {route.method for route in ROUTES if route.path == path}
    for method in (*METHODS, "TRACE", "PROPFIND"):
        if method not in taken:
            answer = await home.owner.http.request(method, path.format(number=1, **home.ids))
            refused(answer, 405)
            assert answer.headers["allow"] == allowed(path)


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method == "GET"], ids=lambda r: r.operation
)
async def test_head_is_get_without_the_body(home: Home, route: object) -> None:
    path = next(each for each in ROUTES if each is route).path.format(number=1, **home.ids)
    async with asyncio.timeout(5):
        head = await home.owner.http.head(path)
        get = await home.owner.http.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers.get("content-length") == get.headers.get("content-length")


async def test_no_answer_is_guessed_at_or_kept_by_others(client: Client, hub: HubServer) -> None:
    async with AsyncClient(base_url=hub.url, verify=NO_TLS) as anyone:
        for route in ROUTES:
            path = route.path.format_map(NOWHERE)
            for http in (client.http, anyone):
                answer = await http.request("GET" if route.method == "GET" else "OPTIONS", path)
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["cache-control"] in ("no-store", "private, no-cache"), path
                assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path


async def test_head_of_what_is_not_there(client: Client) -> None:
    answer = await client.http.head("/api/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.http.head("/api/auth/login")).status_code == 405


@pytest.mark.parametrize("path", PATHS)
async def test_options_tell_what_can_be_done(home: Home, path: str) -> None:
    answer = await home.owner.http.options(path.format(number=1, **home.ids))
    assert answer.status_code == 204
    assert answer.headers["allow"] == allowed(path)


async def test_the_socket_is_not_to_be_had_over_http(client: Client) -> None:
    answer = await client.http.get("/api/ws")
    refused(answer, 426)
    assert answer.headers["upgrade"] == "websocket"


async def test_a_request_id_is_given_or_taken_over(client: Client) -> None:
    first, second = [(await client.http.get("/api/me")).headers["x-request-id"] for _ in range(2)]
    assert first != second
    given = await client.http.get("/api/nothing", headers={"X-Request-ID": "my.own-id_1"})
    assert refused(given, 404)["request_id"] == "my.own-id_1"
    for strange in ("x" * 65, "a b", "<script>", "%0d%0a"):
        answer = await client.http.get("/api/nothing", headers={"X-Request-ID": strange})
        assert refused(answer, 404)["request_id"] != strange


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"FROB /api/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /api/me HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: 127.0.0.1\r\nno colon\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n{}",
        b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=lambda request: request[:40].decode("latin-1"),
)
async def test_bytes_that_are_no_http_are_refused(hub: HubServer, request_bytes: bytes) -> None:
    status, headers, body = await talk(hub, request_bytes)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert (problem["status"], problem["request_id"]) == (400, headers["x-request-id"])


async def test_a_body_that_claims_to_be_huge_is_refused_before_it_comes(hub: HubServer) -> None:
    request = b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    status, headers, body = await talk(
        hub, request + b"Connection: close\r\nContent-Length: 99999999999\r\n\r\n{"
    )
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(body)["status"] == 413


async def test_a_client_that_leaves_in_the_middle_harms_nobody(client: Client, hub: HubServer) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    for part in (
        b"POST /api/auth/login HT",
        b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{",
    ):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(part)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await client.http.get("/api/me")).status_code == 200
    assert (await client.http.get("/api/health")).json()["status"] == "pass"
    await eventually(lambda: "path=/api/auth/login status=400" in hub.output)
    assert "Traceback" not in hub.output
