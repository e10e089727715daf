"""The pages of pictures: what they show, what their forms do, and whose they are."""

from __future__ import annotations

import html
import re
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, set_header

LINK = re.compile(r'data-picture="([^"]+)"')


async def shown(client: Client, path: str) -> str:
    """Return a page as somebody sees it."""
    answer = await client.http.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


async def hang(hub: HubServer, image_id: str, count: int) -> list[str]:
    """Hang copies of a picture's row, each a second older; return their ids, newest first."""
    row = (await Store(hub).database("SELECT * FROM images WHERE id = $1", UUID(image_id)))[0]
    ids = [uuid4() for _ in range(count)]
    columns = ", ".join(name for name in row if name not in ("id", "created_at"))
    await Store(hub).database(
        f"INSERT INTO images (id, created_at, {columns}) SELECT made.id,"
        f" created_at - made.number * interval '1 second', {columns}"
        " FROM images, unnest($1::uuid[]) WITH ORDINALITY AS made(id, number) WHERE images.id = $2",
        ids,
        UUID(image_id),
    )
    return [str(each) for each in ids]


async def test_the_gallery_page_by_page(client: Client, hub: HubServer) -> None:
    companion = (await client.companion(name="<Mira & Co>"))["id"]
    path = f"/companions/{companion}/gallery"
    empty = await client.http.get(path)
    assert "There are no pictures yet." in empty.text
    assert "Pictures of &lt;Mira &amp; Co&gt;" in empty.text
    image = (await client.paint(companion, prompt='moss "and" <b>'))["result"]
    older = await hang(hub, image["id"], 30)
    header = (await set_header(client, companion, 3))["id"]
    first = await client.http.get(path)
    assert LINK.findall(first.text) == [header, image["id"], *older[:22]]
    assert "moss &#34;and&#34; &lt;b&gt;" in first.text
    assert f'src="/api/images/{image["id"]}?size=thumb" width="832" height="1216"' in first.text
    found = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert found is not None
    second = await shown(client, html.unescape(found[1]))
    assert LINK.findall(second) == older[22:]
    assert 'rel="next"' not in second
    assert 'name="prompt"' not in second
    assert LINK.findall(await shown(client, f"{path}?kind=header")) == [header]
    assert LINK.findall(await shown(client, f"{path}?kind=generated")) == [image["id"], *older[:23]]


async def test_the_viewer_and_what_is_beside_it(client: Client, hub: HubServer) -> None:
    companion = (await client.companion())["id"]
    elsewhere = (await client.companion())["id"]
    image = (await client.paint(companion, prompt="a <b>lake</b>", seed=7))["result"]
    alone = (await client.paint(elsewhere))["result"]
    (older,) = await hang(hub, image["id"], 1)
    header = (await set_header(client, companion, 4))["id"]
    page = await client.http.get(f"/images/{image['id']}")
    recipe = image["recipe"]
    assert f'rel="prev" href="/images/{header}"' in page.text
    assert f'rel="next" href="/images/{older}"' in page.text
    assert html.escape(recipe["prompt"]) in page.text
    said = html.unescape(page.text)
    for part in (recipe["negative_prompt"], recipe["provider"], recipe["scene"]["location"]):
        assert f"<dd>{part}</dd>" in said
    assert f"Negative prompt: {recipe['negative_prompt']}\n" in said
    assert "Seed: 7, Size: 832x1216" in said
    assert re.search(r'download="companion-\d{8}-\d{6}\.avif"', said)
    assert "in the conversation" not in said
    assert 'class="turn"' not in await shown(client, f"/images/{alone['id']}")
    of_header = await shown(client, f"/images/{header}")
    assert "/again" not in of_header
    assert 'rel="prev"' not in of_header


async def test_a_picture_leads_to_its_message(client: Client) -> None:
    talk = await client.conversation()
    said = await client.send_for_image(talk["id"], "Show me the moss.")
    response = await client.ended(said["response"]["id"])
    image = (await client.done(response["image_job_id"]))["result"]
    page = await shown(client, f"/images/{image['id']}")
    assert f'href="/conversations/{talk["id"]}?message=2"' in page


async def test_asking_again_and_deleting(client: Client) -> None:
    companion = (await client.companion())["id"]
    path = f"/companions/{companion}/gallery"
    asked = await client.http.post(path, data={"prompt": "moss in the rain"})
    assert (asked.status_code, asked.headers["location"]) == (303, path)
    too_long = await client.http.post(path, data={"prompt": "m" * 2001})
    assert too_long.status_code == 400
    assert "Use at most 2,000 characters." in too_long.text
    (first,) = await painted(client, companion, 1)
    for seed in ("same", "new"):
        again = await client.http.post(f"/images/{first['id']}/again", data={"seed": seed})
        assert (again.status_code, again.headers["location"]) == (303, path)
    seeds = [each["recipe"]["seed"] for each in await painted(client, companion, 3)]
    assert seeds[1:] == [first["recipe"]["seed"]] * 2
    assert seeds[0] != seeds[1]
    header = (await set_header(client, companion, 5))["id"]
    refused = await client.http.post(f"/images/{header}/again", data={"seed": "new"})
    assert refused.status_code == 409
    assert "Delete this picture?" in await shown(client, f"/images/{first['id']}/delete")
    gone = await client.http.post(f"/images/{first['id']}/delete")
    assert (gone.status_code, gone.headers["location"]) == (303, path)
    assert "The picture is deleted." in await shown(client, path)
    assert (await client.http.get(f"/images/{first['id']}")).status_code == 404


async def painted(client: Client, companion: str, count: int) -> list[dict[str, dict[str, object]]]:
    """Wait until so many pictures hang in the gallery, by asking; return them, newest first."""
    jobs = re.findall(r'data-job="([^"]+)"', await shown(client, f"/companions/{companion}/gallery"))
    for job in jobs:
        assert (await client.done(job))["status"] == "completed"
    items = (await client.http.get(f"/api/companions/{companion}/images?kind=generated")).json()["items"]
    assert len(items) == count
    return list(items)


@pytest.fixture
async def theirs(client: Client) -> list[tuple[str, str]]:
    """Return the addresses of what is somebody's: method and path."""
    companion = (await client.companion())["id"]
    job = await client.paint(companion)
    image, gallery = f"/images/{job['result']['id']}", f"/companions/{companion}/gallery"
    return [
        ("GET", gallery),
        ("POST", gallery),
        ("POST", f"{gallery}/{job['id']}/cancel"),
        ("GET", image),
        ("POST", f"{image}/again"),
        ("GET", f"{image}/delete"),
        ("POST", f"{image}/delete"),
        ("GET", f"/search?companion={companion}"),
    ]


async def test_others_and_nobody(theirs: list[tuple[str, str]], client: Client, other: Client) -> None:
    async with httpx2.AsyncClient(base_url=client.url) as nobody:
        for method, path in theirs:
            foreign = await other.http.request(method, path, data={} if method == "POST" else None)
            assert foreign.status_code == 404, path
            assert "<h1>There is no such" in foreign.text
            unknown = await nobody.request(method, path)
            assert unknown.status_code == 303, path
            assert unknown.headers["location"].startswith("/login")
    mine = {path: (await client.http.get(path)).status_code for method, path in theirs if method == "GET"}
    assert set(mine.values()) == {200}


async def test_only_a_job_of_ones_own_is_stopped(client: Client, other: Client) -> None:
    mine, their = (await client.companion())["id"], (await other.companion())["id"]
    job = await client.paint(mine)
    path = f"/companions/{their}/gallery/{job['id']}/cancel"
    assert (await other.http.post(path)).status_code == 404
    assert (await client.http.post(f"/companions/{mine}/gallery/{job['id']}/cancel")).status_code == 303
