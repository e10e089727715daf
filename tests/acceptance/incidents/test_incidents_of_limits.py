"""Incidents of comparable systems: limits that one header takes off."""

from __future__ import annotations

import asyncio
import gzip
from itertools import cycle

from httpx2 import AsyncClient

from tests.acceptance.incidents.conftest import (
    FAILED_LOGINS,
    IMAGES_PER_HOUR,
    IMPORT_LIMIT_MB,
    MESSAGES_PER_MINUTE,
)
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.picture_files import Store
from tests.services.refusals import refused
from tests.services.uploads import in_pieces


async def every_way(client: Client) -> list[dict[str, str]]:
    """Return the headers by which a user can sign a request."""
    made = await client.http.post("/api/me/tokens", json={"name": "a program", "scopes": ["chat"]})
    assert made.status_code == 201, made.text
    personal = str(next(value for value in made.json().values() if str(value).startswith("chub_pat_")))
    return [
        {"x-api-key": personal},
        {"Authorization": f"Bearer {personal}"},
        {"x-api-key": client.token},
        {"X-API-Key": client.token, "X-Forwarded-For": "203.0.113.9"},
        {"Authorization": f"Bearer {client.token}"},
        {"Authorization": f"Bearer {client.token}", "x-api-key": client.token},
        {"Cookie": f"hub_session={client.token}", "Sec-Fetch-Site": "same-origin"},
    ]


async def test_cve_2026_45339_pictures_are_counted_however_a_user_signs_in(guest: Client) -> None:
    companion = await guest.companion()
    path = f"/api/companions/{companion['id']}/images"
    ways = await every_way(guest)
    way = cycle(ways)
    async with AsyncClient(base_url=guest.url) as http:
        asked = [http.post(path, headers=next(way)) for _ in range(2 * IMAGES_PER_HOUR)]
        answers = await asyncio.gather(*asked)
        assert [each.status_code for each in answers].count(202) == IMAGES_PER_HOUR
        for headers in ways:
            assert int(refused_by_limit(await http.post(path, headers=headers))) > 0


async def test_cve_2026_45339_messages_are_counted_however_a_user_signs_in(guest: Client) -> None:
    conversation = await guest.conversation()
    path = f"/api/conversations/{conversation['id']}/messages"
    ways = await every_way(guest)
    way = cycle(ways)
    async with AsyncClient(base_url=guest.url) as http:
        said = [
            await http.post(path, json={"content": "Hello"}, headers=next(way))
            for _ in range(2 * MESSAGES_PER_MINUTE)
        ]
        assert [each.status_code for each in said].count(202) == MESSAGES_PER_MINUTE
        for headers in ways:
            refused_by_limit(await http.post(path, json={"content": "Hello"}, headers=headers))


async def test_cve_2025_59152_logins_are_counted_whatever_a_client_says_of_its_address(guest: Client) -> None:
    def claim(number: int) -> dict[str, str]:
        address = f"203.0.113.{number}"
        return {
            "X-Forwarded-For": f"{address}, 198.51.100.{number}",
            "X-Real-IP": address,
            "Forwarded": f"for={address}",
            "CF-Connecting-IP": address,
            "True-Client-IP": address,
        }

    wrong = {"login": guest.user["username"], "password": "not this one"}
    async with AsyncClient(base_url=guest.url) as http:
        answers = [
            await http.post("/api/auth/login", json=wrong, headers=claim(number))
            for number in range(FAILED_LOGINS + 3)
        ]
        assert answers[0].status_code == 401
        right = {"login": guest.user["username"], "password": PASSWORD}
        last = await http.post("/api/auth/login", json=right, headers=claim(99))
        refused_by_limit(last)


async def test_cve_2026_54024_an_import_has_a_limit(guest: Client, guarded: HubServer) -> None:
    companion = await guest.companion()
    path = f"/api/conversations/import?companion_id={companion['id']}"
    ndjson = {"Content-Type": "application/x-ndjson"}
    lines = b'{"name": "Mira", "is_user": false, "mes": "Moss"}\n' * (IMPORT_LIMIT_MB * 25_000)
    for body in (lines, in_pieces(lines, 65_536), b"x" * len(lines), in_pieces(b"x" * len(lines), 65_536)):
        refused(await guest.http.post(path, content=body, headers=ndjson), 413)
    packed = {**ndjson, "Content-Encoding": "gzip"}
    refused(await guest.http.post(path, content=gzip.compress(b"x" * 50_000_000), headers=packed), 400, 415)
    assert (await guest.http.get("/api/conversations")).json()["items"] == []
    assert not list(Store(guarded).temporary.iterdir())


def refused_by_limit(answer: object) -> str:
    refused(answer, 429)  # type: ignore[arg-type] # what httpx2 answers
    return str(answer.headers["retry-after"])  # type: ignore[attr-defined]
