"""The gallery of a companion, in pages."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, gallery, set_header
from tests.services.refusals import pointers, refused


async def fill(hub: HubServer, companion: str, count: int) -> list[str]:
    """Store rows of made pictures, three at each moment; return their ids, newest first."""
    header = (await Store(hub).database("SELECT * FROM images WHERE companion_id = $1", UUID(companion)))[0]
    moment = header["created_at"] + timedelta(seconds=1)
    made = []
    for number in range(count):
        values = {**header, "id": uuid4(), "kind": "generated"}
        values["created_at"] = moment + timedelta(seconds=number // 3)
        names, places = ", ".join(values), ", ".join(f"${place}" for place in range(1, len(values) + 1))
        await Store(hub).database(f"INSERT INTO images ({names}) VALUES ({places})", *values.values())
        made.append((values["created_at"], values["id"]))
    return [str(id_) for _, id_ in sorted(made, reverse=True)]


async def test_the_gallery_comes_in_pages(client: Client, companion: str, hub: HubServer) -> None:
    header = await set_header(client, companion, 10)
    made = await fill(hub, companion, 11)
    for kind, wanted in (("", [*made, header["id"]]), ("generated", made), ("header", [header["id"]])):
        for limit in ("1", "2", "4", "11", "12", "100"):
            found: list[str] = []
            query = {"limit": limit, **({"kind": kind} if kind else {})}
            while True:
                page = await gallery(client, companion, **query)
                assert 0 < len(page["items"]) <= int(limit)
                found += [each["id"] for each in page["items"]]
                if page["next_cursor"] is None:
                    break
                query["cursor"] = page["next_cursor"]
            assert found == wanted, (kind, limit)


async def test_the_gallery_refuses_nonsense(client: Client, other: Client, companion: str) -> None:
    path = f"/api/companions/{companion}/images"
    for query, pointer in (
        ("kind=nonsense", "/kind"),
        ("kind=", "/kind"),
        ("cursor=abc", "/cursor"),
        ("cursor=", "/cursor"),
        ("limit=0", "/limit"),
    ):
        assert pointers(refused(await client.http.get(f"{path}?{query}"), 400)) == {pointer}
    refused(await other.http.get(path), 404)
    refused(await other.http.get(f"{path}?cursor=abc"), 404)
