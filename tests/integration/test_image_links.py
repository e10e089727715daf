"""Signed links: who has one sees one picture for a few minutes, and can do nothing else."""

from __future__ import annotations

import re
import time
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import httpx2

from hub.domain.images.links import LONGEST, Links
from hub.storage.secret import read_or_make
from tests.services.hub import Client, HubServer
from tests.services.picture_files import new_companion, set_header
from tests.services.refusals import pointers, refused


async def test_a_link_works_without_signing_in(
    client: Client, nobody: httpx2.AsyncClient, companion: str, hub: HubServer
) -> None:
    image = await set_header(client, companion, 6)
    asked = time.time()
    answer = await client.http.post(f"{image['url']}/links")
    assert answer.status_code == 201, answer.text
    link = answer.json()
    left = datetime.fromisoformat(link["expires_at"]).timestamp() - asked
    assert 240 < left <= LONGEST + 1
    shown = await nobody.get(link["url"])
    assert (shown.status_code, sha256(shown.content).hexdigest()) == (200, image["sha256"])
    age = re.fullmatch(r"private, max-age=(\d+)", shown.headers["cache-control"])
    assert age is not None
    assert 0 < int(age[1]) <= LONGEST
    assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
    small = await nobody.get(f"{link['url']}&size=thumb", headers={"Accept": "image/jpeg"})
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    assert (await nobody.get(link["url"], headers={"Authorization": "Bearer wrong"})).status_code == 200
    signature = dict(parse_qsl(urlsplit(link["url"]).query))["signature"]
    assert len(signature) >= 40
    assert signature not in hub.output, "whoever reads the log must not see the picture"
    assert (await client.http.delete(image["url"])).status_code == 204
    refused(await nobody.get(link["url"]), 404)


async def test_a_link_that_was_changed_does_not_work(
    client: Client, nobody: httpx2.AsyncClient, companion: str, hub: HubServer
) -> None:
    image = await set_header(client, companion, 7)
    another = await set_header(client, await new_companion(client), 8)
    links = Links(read_or_make(Path(hub.settings["HUB_DATA_DIR"])))
    good = links.make(UUID(image["id"]), seconds=100).url
    assert (await nobody.get(good)).status_code == 200
    path, _, query = good.partition("?")
    given = dict(parse_qsl(query))
    expires, signature = given["expires"], given["signature"]
    changed = (
        good.replace(image["id"], another["id"]),
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path}?expires={expires}&signature={signature[:-1]}",
        f"{path}?expires={expires}&signature={signature.swapcase()}",
        f"{path}?expires={expires}&signature=",
        f"{path}?expires={expires}&signature=%ff%00%ed%a0%80",
        f"{path}?expires={expires}&signature=%C3%BC",
        f"{path}?expires={expires}",
        f"{path}?signature={signature}",
        path,
        links.make(UUID(image["id"]), seconds=0).url,
        links.make(UUID(image["id"]), seconds=-10).url,
        links.make(UUID(image["id"]), seconds=LONGEST + 60).url,
        Links("another secret").make(UUID(image["id"])).url,
        links.make(uuid4()).url,
    )
    for address in changed:
        refused(await nobody.get(address), 404)
    for address in (
        f"{path}?expires=-1&signature={signature}",
        f"{path}?expires=soon&signature={signature}",
        f"{path}?expires={10**30}&signature={signature}",
        f"{path}?expires={expires}&signature={'x' * 101}",
        f"{good}&size=huge",
    ):
        assert pointers(refused(await nobody.get(address), 400))


async def test_a_link_is_only_for_looking(client: Client, nobody: httpx2.AsyncClient, companion: str) -> None:
    image = await set_header(client, companion, 9)
    link = (await client.http.post(f"{image['url']}/links")).json()["url"]
    query = link.partition("?")[2]
    for method in ("DELETE", "PUT", "POST"):
        refused(await nobody.request(method, link), 401, 405)
    refused(await nobody.get(f"{image['url']}?{query}"), 401)
    refused(await nobody.post(f"{image['url']}/links?{query}"), 401)
    assert (await nobody.head(link)).status_code == 200
