"""Pages of other origins: those that the operator allows may read answers, others may not."""

from __future__ import annotations

import pytest

from tests.services.fixtures import ALLOWED_ORIGIN
from tests.services.hub import Client
from tests.services.refusals import refused

ALLOWED = {"Origin": ALLOWED_ORIGIN}
PREFLIGHT = {**ALLOWED, "Access-Control-Request-Method": "PATCH"}
STRANGERS = (
    "https://evil.example",
    "http://pages.example",
    "https://pages.example:8443",
    "https://pages.example.evil.example",
    "https://sub.pages.example",
    "https://PAGES.example",
    "https://pages.example/",
    "null",
    "",
    "*",
)
GRANTS = "access-control-"


def granted(headers: object) -> set[str]:
    return {name for name in headers if name.startswith(GRANTS)}  # type: ignore[attr-defined]


def listed(value: str) -> set[str]:
    return {each.strip().lower() for each in value.split(",")}


@pytest.mark.parametrize("path", ["/api/companions", "/api/me", "/api/nothing", "/api/auth/login"])
async def test_an_allowed_page_is_told_what_it_may_send(client: Client, path: str) -> None:
    answer = await client.http.options(path, headers=PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert int(answer.headers["access-control-max-age"]) > 0
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["x-request-id"]
    assert listed(answer.headers["access-control-allow-methods"]) == {
        *("get", "head", "post", "put", "patch", "delete")
    }
    assert listed(answer.headers["access-control-allow-headers"]) == {
        *("authorization", "content-type", "x-api-key", "idempotency-key", "if-match", "if-none-match"),
        *("last-event-id", "x-request-id", "range"),
    }


@pytest.mark.parametrize("origin", STRANGERS)
async def test_other_pages_are_told_nothing(client: Client, origin: str) -> None:
    headers = {"Origin": origin}
    preflight = await client.http.options(
        "/api/companions", headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    read = await client.http.get("/api/me", headers=headers)
    error = await client.http.get("/api/nothing", headers=headers)
    for answer in (preflight, read, error):
        assert granted(answer.headers) == set()
        assert "Origin" in answer.headers["vary"]
    assert (read.status_code, error.status_code) == (200, 404)


async def test_an_allowed_page_reads_answers_and_refusals_alike(client: Client) -> None:
    companion = await client.companion()
    path = f"/api/companions/{companion['id']}"
    answers = [
        await client.http.get(path, headers=ALLOWED),
        await client.http.get(path, headers={**ALLOWED, "If-None-Match": "*"}),
        await client.http.get("/api/nothing", headers=ALLOWED),
        await client.http.get("/api/me", headers={**ALLOWED, "Authorization": "Bearer x"}),
        await client.http.patch(path, json={"name": 1}, headers=ALLOWED),
        await client.http.patch(path, json={"name": "x"}, headers={**ALLOWED, "If-Match": '"x"'}),
        await client.http.post(path, headers=ALLOWED),
        await client.http.post("/api/companions", content=b"x" * 1_100_000, headers=ALLOWED),
    ]
    assert [each.status_code for each in answers] == [200, 304, 404, 401, 400, 412, 405, 413]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert listed(answer.headers["access-control-expose-headers"]) >= {
            *("etag", "link", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"),
            "idempotency-replayed",
        }
        assert "Origin" in answer.headers["vary"]


async def test_an_allowed_page_follows_a_reply(client: Client) -> None:
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Hello"))["response"]["id"]
    answer = await client.http.get(f"/api/responses/{response_id}/events", headers=ALLOWED)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert "response.completed" in answer.text


async def test_what_varies_already_goes_on_to(client: Client) -> None:
    companion = await client.companion()
    job = await client.paint(companion["id"], width=64, height=64)
    answer = await client.http.get(job["result"]["url"], headers=ALLOWED)
    assert {"accept", "origin"} <= listed(answer.headers["vary"])


async def test_a_foreign_host_is_refused_whatever_the_page(client: Client) -> None:
    answer = await client.http.options("/api/me", headers={**PREFLIGHT, "Host": "evil.example"})
    refused(answer, 400)
    assert granted(answer.headers) == set()
