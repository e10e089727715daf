"""Bad bodies, fields, parameters and headers on every route: refused in the contract's words, nothing stored.

What is tried is made from the table of routes and the OpenAPI document, so a new route is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.services.hub import NO_TLS, PASSWORD, Client, HubServer
from tests.services.people import promote
from tests.services.refusals import pointers, refused
from tests.services.routes import ROUTES, Home, Route

Schema = dict[str, Any]
WITH_BODY = [route for route in ROUTES if route.body is not None]
LISTS = [route for route in ROUTES if route.operation.startswith("list")]
JSON = {"Content-Type": "application/json"}

#: Values of every JSON type, by its name in a schema.
OF_TYPE: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True, False],
    "integer": [0, -1, 10**30],
    "number": [1.5],
    "string": ["\0", "x\0y", "x" * 20_000],
    "array": [[], ["x"], [[[]]]],
    "object": [{}, {"x": 1}],
}
#: Bodies that are no JSON object at all.
BROKEN = {
    "nothing": b"",
    "white space": b" \n",
    "a brace": b"{",
    "a tail": b'{"name": "x"} x',
    "single quotes": b"{'name': 'x'}",
    "null": b"null",
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "NaN": b'{"name": NaN}',
    "a huge number": b'{"name": 1e999}',
    "many digits": b'{"name": ' + b"1" * 10_000 + b"}",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "Latin-1": '{"name": "é"}'.encode("latin-1"),
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "a lone surrogate as key": b'{"\\udfff": 1}',
    "an encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "raw NUL": b'{"name": "\x00"}',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "deep and whole": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "msgpack": b"\x81\xa4name\xa1x",
}


#: Parameters that no list takes.
BAD_QUERIES = (
    "limit=0",
    "limit=-1",
    "limit=1001",
    "limit=abc",
    "limit=",
    "limit=1.5",
    "limit=99999999999999999999999",
    "limit=%00",
    "limit=%D9%A1",
    "cursor=",
    "cursor=abc",
    "cursor=%00",
    "cursor=%ff%fe",
    "cursor=LTE",
    "cursor=MS4y",
    "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OQ",
    "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OS4wMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA",
    "cursor=" + "a" * 150,
    "cursor=" + "a" * 5_000,
)


def named(route: Route) -> str:
    return route.operation


@pytest.fixture(scope="module")
async def module_home(hub: HubServer) -> AsyncIterator[Home]:
    owner = await Client(hub.url).register()
    await promote(hub, owner)  # so that the routes of administrators are tried too
    yield await Home.of(owner)
    await owner.close()


@pytest.fixture
async def home(module_home: Home) -> AsyncIterator[Home]:
    """Yield a user's home, and see to it that nothing in it was changed."""
    before = await module_home.everything()
    yield module_home
    assert await module_home.everything() == before
    body = {"login": "never_stored", "password": PASSWORD}
    assert (await module_home.owner.http.post("/api/auth/login", json=body)).status_code == 401


async def fields_of(hub: HubServer, route: Route) -> dict[str, Schema]:
    """Return the schema of each field of a route's body."""
    async with AsyncClient(base_url=hub.url, verify=NO_TLS) as http:
        document = (await http.get("/docs/openapi.json")).json()
    operation = document["paths"][route.path][route.method.lower()]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    fields: dict[str, Schema] = schema["properties"]
    return {
        field: {**each, "required": field in schema.get("required", [])} for field, each in fields.items()
    }


def wrong_values(schema: Schema) -> Iterator[Any]:
    """Return values that a field must not take."""
    alternatives = schema.get("anyOf", [schema])
    taken = {"object" if "$ref" in each else each.get("type") for each in alternatives}
    for kind, values in OF_TYPE.items():
        if kind not in taken:
            yield from values
    schema = {name: bound for each in alternatives for name, bound in each.items()}
    if "string" in taken:
        if "maxLength" in schema:
            yield "x" * (schema["maxLength"] + 1)
        if "pattern" in schema:
            yield "a\0b"
        if schema.get("minLength"):
            yield "x" * (schema["minLength"] - 1)
        if schema.get("format") == "uuid":
            yield from ("", "x", "0" * 31, "{}", "018f0000-0000-7000-8000-00000000000g")


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
async def test_a_wrong_field_is_named(home: Home, hub: HubServer, route: Route) -> None:
    valid = home.body(route)
    assert valid is not None
    fields = await fields_of(hub, route)
    assert set(fields) == set(valid)
    tried = 0
    for field, schema in fields.items():
        for value in wrong_values(schema):
            answer = await home.owner.http.request(
                route.method, home.path(route), json={**valid, field: value}
            )
            assert pointers(refused(answer, 400)) == {f"/{field}"}, (field, str(value)[:50])
            tried += 1
        if schema["required"]:
            rest = {name: value for name, value in valid.items() if name != field}
            answer = await home.owner.http.request(route.method, home.path(route), json=rest)
            assert pointers(refused(answer, 400)) == {f"/{field}"}
    assert tried >= 5


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
async def test_a_field_that_nobody_knows_is_named(home: Home, route: Route) -> None:
    valid = home.body(route)
    assert valid is not None
    for field in ("surprise", "id", "user_id", "__proto__", "", "a/b", "a~b", "x" * 5000, "é\n", "\0"):
        if field in valid:
            continue
        answer = await home.owner.http.request(route.method, home.path(route), json={**valid, field: 1})
        pointer = "/" + field.replace("~", "~0").replace("/", "~1")
        assert pointers(refused(answer, 400)) == {pointer}


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
async def test_a_body_that_is_no_json_object_is_refused(home: Home, route: Route) -> None:
    for name, body in BROKEN.items():
        if route.optional and not body:
            continue
        answer = await home.owner.http.request(route.method, home.path(route), content=body, headers=JSON)
        problem = refused(answer, 400)
        assert problem["errors"], name


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
async def test_other_kinds_of_content_are_refused(home: Home, route: Route) -> None:
    body = json.dumps(home.body(route)).encode()
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/x-msgpack",
        "application/xml",
        "application/jsonp",
        "nonsense",
        ";;;",
        "",
    ):
        headers = {"Content-Type": media_type}
        answer = await home.owner.http.request(route.method, home.path(route), content=body, headers=headers)
        refused(answer, 415)


@pytest.mark.parametrize("route", WITH_BODY, ids=named)
async def test_more_than_a_megabyte_is_refused(home: Home, route: Route) -> None:
    body = b'{"name": "' + b"x" * 1_100_000 + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    for content in (body, pieces()):
        answer = await home.owner.http.request(route.method, home.path(route), content=content, headers=JSON)
        refused(answer, 413)


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=UTF-8"]
)
async def test_json_in_every_spelling_is_taken(client: Client, media_type: str) -> None:
    body = '{"name": "Müra", "description": "A calm botanist."}'.encode()
    answer = await client.http.post("/api/companions", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == 201
    assert answer.json()["name"] == "Müra"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "image/png", "nonsense;;q=x", ""])
async def test_whatever_is_accepted_json_is_sent(client: Client, accept: str) -> None:
    answer = await client.http.get("/api/me", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    refused(await client.http.get("/api/nothing", headers={"Accept": accept}), 404)


@pytest.mark.parametrize("route", LISTS, ids=named)
async def test_bad_parameters_of_lists_are_named(home: Home, route: Route) -> None:
    for query in BAD_QUERIES:
        answer = await home.owner.http.get(f"{home.path(route)}?{query}")
        assert pointers(refused(answer, 400)) == {"/" + query.partition("=")[0]}, query[:50]


@pytest.mark.parametrize("value", ["x", "", "%00", "018f0000-0000-7000-8000-00000000000g"])
async def test_a_filter_that_is_no_id_is_named(home: Home, value: str) -> None:
    answer = await home.owner.http.get(f"/api/conversations?companion_id={value}")
    assert pointers(refused(answer, 400)) == {"/companion_id"}


@pytest.mark.parametrize("key", [b"", b"x" * 201, b"a b", b"a\tb", b"caf\xe9", b"\xf0\x9f\xab\x96"])
async def test_bad_idempotency_keys_are_refused(home: Home, key: bytes) -> None:
    path = f"/api/conversations/{home.ids['conversation_id']}/messages"
    answer = await home.owner.http.post(
        path,
        content=b'{"content": "Hello"}',
        headers={b"Idempotency-Key": key},
    )
    assert pointers(refused(answer, 400)) == {"/Idempotency-Key"}


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 21, "\u0663".encode().decode("latin-1"), "1 2"])
async def test_a_bad_last_event_id_is_refused(home: Home, value: str) -> None:
    path = f"/api/responses/{home.ids['response_id']}/events"
    answer = await home.owner.http.get(path, headers={b"Last-Event-ID": value.encode("latin-1")})
    assert pointers(refused(answer, 400)) == {"/Last-Event-ID"}


async def test_of_very_many_wrong_fields_some_are_named(hub: HubServer) -> None:
    body = json.dumps(dict.fromkeys(map(str, range(50_000)), 0))
    async with AsyncClient(base_url=hub.url, timeout=30, verify=NO_TLS) as http:
        answer = await http.post("/api/auth/login", content=body, headers=JSON)
    problem = refused(answer, 400)
    assert {"/login", "/password"} <= pointers(problem), "those that are missing, too"
    assert len(answer.content) < 20_000
