"""Asking for pictures, and what comes of it: jobs, pictures with their recipes, the same picture again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.services.fixtures import new_user
from tests.services.hub import Client, HubServer
from tests.services.picture_files import gallery, set_header
from tests.services.refusals import pointers, refused
from tests.services.world import query

SMALL = {"width": 64, "height": 64}
JOB = {
    *("id", "kind", "status", "progress", "position", "result", "error", "created_at", "completed_at"),
}
RECIPE = {
    *(
        "prompt",
        "negative_prompt",
        "seed",
        "provider",
        "model",
        "sampler",
        "steps",
        "width",
        "height",
        "scene",
    ),
}


@pytest.fixture(scope="module")
async def owner(hub: HubServer) -> AsyncIterator[Client]:
    async with new_user(hub) as user:
        yield user


@pytest.fixture(scope="module")
async def painted(owner: Client) -> dict[str, Any]:
    """Return a companion, and a picture of it of which everything was said."""
    companion = await owner.companion()
    asked = {
        "prompt": "in the moss",
        "negative_prompt": "rain",
        "seed": 2**32 - 1,
        "width": 71,
        "height": 100,
    }
    return {"companion": companion, "job": await owner.paint(companion["id"], **asked)}


async def test_it_is_taken_with_the_address_of_its_job(client: Client, companion: str) -> None:
    answer = await client.http.post(f"/api/companions/{companion}/images", json=SMALL)
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/jobs/{job['id']}")
    assert set(job) == JOB
    assert (job["kind"], job["result"], job["error"], job["completed_at"]) == ("image", None, None, None)
    assert job["status"] in ("queued", "in_progress")
    done = await client.done(job["id"])
    assert set(done) == JOB
    assert (done["status"], done["progress"], done["position"], done["error"]) == ("completed", 1, None, None)
    assert done["completed_at"] > done["created_at"] == job["created_at"]


async def test_the_picture_is_in_the_gallery_with_its_recipe(owner: Client, painted: dict[str, Any]) -> None:
    companion, image = painted["companion"], painted["job"]["result"]
    assert (await gallery(owner, companion["id"], kind="generated"))["items"] == [image]
    assert (image["kind"], image["width"], image["height"]) == ("generated", 64, 96)
    recipe = image["recipe"]
    assert set(recipe) == RECIPE
    assert "in the moss" in recipe["prompt"]
    assert "rain" in recipe["negative_prompt"]
    assert (recipe["seed"], recipe["width"], recipe["height"]) == (2**32 - 1, 64, 96)
    assert (recipe["provider"], recipe["scene"]) == ("painter", companion["scene"])
    shown = await owner.http.get(image["url"])
    assert (shown.status_code, len(shown.content)) == (200, image["bytes"])
    assert sha256(shown.content).hexdigest() == image["sha256"]
    assert "private" in shown.headers["cache-control"]


async def test_nobody_else_sees_any_of_it(other: Client, painted: dict[str, Any]) -> None:
    companion, job = painted["companion"]["id"], painted["job"]
    image = f"/api/images/{job['result']['id']}"
    for method, path in (
        ("GET", f"/api/jobs/{job['id']}"),
        ("POST", f"/api/jobs/{job['id']}/cancel"),
        ("POST", f"/api/companions/{companion}/images"),
        ("GET", image),
        ("POST", f"{image}/again"),
        ("GET", f"/api/jobs/{uuid4()}"),
        ("POST", f"/api/images/{uuid4()}/again"),
    ):
        refused(await other.http.request(method, path), 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -2},
        {"seed": 2**32},
        {"seed": 1.5},
        {"width": 63},
        {"width": 2049},
        {"height": 0},
        {"height": "64"},
        {"prompt": "x" * 2001},
        {"negative_prompt": "x" * 2001},
        {"prompt": "a\0b"},
        {"steps": 5},
        {"count": 2, "model": "x"},
    ],
    ids=str,
)
async def test_what_is_out_of_bounds_is_named(
    owner: Client, painted: dict[str, Any], wrong: dict[str, Any]
) -> None:
    path = f"/api/companions/{painted['companion']['id']}/images"
    problem = refused(await owner.http.post(path, json={**SMALL, **wrong}), 400)
    assert pointers(problem) == {f"/{field}" for field in wrong}


async def test_the_least_that_can_be_said_is_enough(client: Client, companion: str) -> None:
    """No body, an empty one, blanks, null, any seed: all of them follow from companion and scene."""
    path = f"/api/companions/{companion}/images"
    everything = {"prompt": " \n", "negative_prompt": "", "seed": -1, **SMALL}
    bodies: list[dict[str, Any]] = [{}, {"content": b""}, {"json": everything}]
    bodies.append({"json": {**SMALL, "seed": None, "prompt": None, "negative_prompt": None}})
    asked = [await client.http.post(path, **body) for body in bodies]
    assert [each.status_code for each in asked] == [202] * len(bodies)
    jobs = [await client.done(each.json()["id"]) for each in asked]
    recipes = [job["result"]["recipe"] for job in jobs]
    assert len({(recipe["prompt"], recipe["negative_prompt"]) for recipe in recipes}) == 1
    assert "casual clothes" in recipes[0]["prompt"]
    assert [(each["width"], each["height"]) for each in recipes] == [(832, 1216)] * 2 + [(64, 64)] * 2
    seeds = {recipe["seed"] for recipe in recipes}
    assert len(seeds) == len(bodies), "each has a seed of its own"
    assert all(0 <= seed < 2**32 for seed in seeds)


async def test_again_gives_the_same_picture_of_the_scene_of_then(client: Client) -> None:
    companion = (await client.companion())["id"]
    first = (await client.paint(companion, prompt="by the sea", **SMALL))["result"]
    scene = {"outfit": "a coat", "location": "a pier", "action": "fishing", "expression": "joy"}
    changed = await client.http.patch(f"/api/companions/{companion}", json={"scene": scene, "name": "Mira"})
    assert changed.status_code == 200
    path = f"/api/images/{first['id']}/again"
    bodies: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"seed": 9}}, {"json": {"seed": -1}}]
    same, empty, sown, free = [await client.http.post(path, **body) for body in bodies]
    assert same.status_code == 202
    assert same.headers["location"] == f"/api/jobs/{same.json()['id']}"
    images = [(await client.done(each.json()["id"]))["result"] for each in (same, empty, sown, free)]
    assert [each["sha256"] == first["sha256"] for each in images] == [True, True, False, False]
    assert images[0]["id"] != first["id"]
    assert [each["recipe"] for each in images[:2]] == [first["recipe"]] * 2
    assert images[2]["recipe"] == {**first["recipe"], "seed": 9}
    assert images[3]["recipe"]["seed"] != first["recipe"]["seed"]
    of_now = (await client.paint(companion, prompt="by the sea", **SMALL))["result"]
    assert of_now["recipe"]["scene"] == scene
    again_of_again = await client.http.post(f"/api/images/{images[0]['id']}/again")
    assert (await client.done(again_of_again.json()["id"]))["result"]["sha256"] == first["sha256"]


async def test_a_header_has_no_recipe(client: Client, companion: str) -> None:
    header = await set_header(client, companion, 1)
    assert header["recipe"] is None
    problem = refused(await client.http.post(f"/api/images/{header['id']}/again"), 409)
    assert problem["type"] == "/problems/no-recipe"
    for wrong in ({"seed": None}, {"seed": -2}, {"seed": 2**32}):
        answer = await client.http.post(f"/api/images/{header['id']}/again", json=wrong)
        assert pointers(refused(answer, 400)) == {"/seed"}


async def test_a_deleted_picture_leaves_its_job_without_result(client: Client, companion: str) -> None:
    job = await client.paint(companion, **SMALL)
    assert (await client.http.delete(f"/api/images/{job['result']['id']}")).status_code == 204
    after = await client.job(job["id"])
    assert (after["status"], after["result"], after["error"]) == ("completed", None, None)
    refused(await client.http.post(f"/api/images/{job['result']['id']}/again"), 404)


async def test_a_wipe_forgets_the_words_of_requests(hub: HubServer, client: Client, companion: str) -> None:
    job = await client.paint(companion, prompt="what nobody may read again", **SMALL)
    assert (await client.http.post(f"/api/companions/{companion}/wipe")).status_code == 200
    sql = "SELECT prompt FROM image_requests WHERE companion_id = $1"
    assert await query(hub.settings["HUB_DATABASE_URL"], sql, UUID(companion)) == []
    assert (await client.job(job["id"]))["status"] == "completed"


async def test_cancelling_what_has_ended_changes_nothing(owner: Client, painted: dict[str, Any]) -> None:
    answer = await owner.http.post(f"/api/jobs/{painted['job']['id']}/cancel")
    assert (answer.status_code, answer.json()) == (200, painted["job"])


async def test_many_at_once_are_all_painted(client: Client, other: Client, companion: str) -> None:
    """Also from several users at the same instant; each gets their own."""
    theirs = (await other.companion())["id"]
    asked = await asyncio.gather(
        *(client.ask_image(companion, seed=seed, **SMALL) for seed in range(5)),
        *(other.ask_image(theirs, seed=seed, **SMALL) for seed in range(5)),
    )
    for owner, of, jobs in ((client, companion, asked[:5]), (other, theirs, asked[5:])):
        done = [await owner.done(job["id"]) for job in jobs]
        assert [job["result"]["recipe"]["seed"] for job in done] == list(range(5))
        stored = (await gallery(owner, of, kind="generated"))["items"]
        assert {each["id"] for each in stored} == {job["result"]["id"] for job in done}
