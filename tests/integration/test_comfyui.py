"""Pictures from ComfyUI against a real server that speaks its API, with every fault it has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import open_pool
from hub.providers.images.comfyui import ComfyUI
from hub.providers.images.protocol import ImageServerError, Picture
from tests.fakes.comfyui import OUT_OF_MEMORY, PNG, SAVED, Answer, FakeComfyUI, Json, Run, refused_node
from tests.services.comfyui import CHOSEN, KEY, ORDER, PROMPT, UNCHOSEN, failed, server_at
from tests.services.image_servers import Told


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as server:
        yield server


def inputs_of(body: Json, kind: str) -> Json:
    graph = body["prompt"]
    assert isinstance(graph, dict)
    [inputs] = [node["inputs"] for node in graph.values() if node["class_type"] == kind]
    assert isinstance(inputs, dict)
    return inputs


async def test_a_picture_with_its_recipe_and_its_progress(fake: FakeComfyUI) -> None:
    heard, go_on = Told(), asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await heard.wait_for_share(0.4)
        go_on.set()
        picture = await making
    assert server.provider == "comfyui"
    assert picture == Picture(
        content=PNG, seed=2**32 - 1, model="chosen.safetensors", sampler="DPM++ 2M Karras", steps=28
    )
    [body] = fake.bodies("/prompt")
    assert inputs_of(body, "KSampler") | {"model": None, "positive": None, "negative": None} == {
        "seed": 2**32 - 1,
        "steps": 28,
        "cfg": 6.0,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "denoise": 1.0,
        "latent_image": ["canvas", 0],
        "model": None,
        "positive": None,
        "negative": None,
    }
    assert inputs_of(body, "EmptyLatentImage") == {"width": 832, "height": 1216, "batch_size": 1}
    assert heard.tickets == [fake.made[0].prompt_id]
    assert heard.shares == sorted(set(heard.shares))
    assert len([share for share in heard.shares if 0.1 < share < 0.6]) == 3  # the sampler is most of it
    assert heard.shares[-1] == 1.0


async def test_the_key_goes_along_with_every_request(fake: FakeComfyUI) -> None:
    async with server_at(fake.url) as server:
        await server.make(ORDER, progress=Told().progress)
    assert {asked.headers.get("authorization") for asked in fake.asked} == {f"Bearer {KEY}"}
    assert fake.sockets_opened == 1


async def test_the_socket_says_when_to_look(fake: FakeComfyUI) -> None:
    async with server_at(fake.url, poll=60, seconds=20) as server:
        picture = await server.make(ORDER, progress=Told().progress)
    assert picture.content == PNG


async def test_the_server_may_choose_the_id(fake: FakeComfyUI) -> None:
    fake.takes_wished_id = False
    heard = Told()
    async with server_at(fake.url, poll=60) as server:
        await server.make(ORDER, progress=heard.progress)
    assert heard.tickets[-1] == fake.made[0].prompt_id
    assert len(heard.tickets) == 2


async def test_without_a_socket_only_the_progress_is_missing(fake: FakeComfyUI) -> None:
    fake.sockets_refused = True
    heard = Told()
    async with server_at(fake.url) as server:
        picture = await server.make(ORDER, progress=heard.progress)
    assert picture.content == PNG
    assert heard.shares == [1.0]


async def test_a_socket_that_hangs_does_not_hold_up_the_work(fake: FakeComfyUI) -> None:
    fake.always["/ws"] = Answer(0)
    async with server_at(fake.url, seconds=2.0) as server:
        picture = await server.make(ORDER, progress=Told().progress)
    assert picture.content == PNG


async def test_a_socket_that_is_a_redirect_is_not_followed(fake: FakeComfyUI) -> None:
    fake.always["/ws"] = Answer(302, headers={"location": f"{fake.url}/elsewhere"})
    async with server_at(fake.url) as server:
        await server.make(ORDER, progress=Told().progress)
    assert fake.count("/elsewhere") == 0


async def test_a_socket_that_breaks_is_opened_again(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(cut_socket=True, halfway=go_on))
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await fake.wait_for_sockets(2)
        go_on.set()
        picture = await making
    assert picture.content == PNG
    assert heard.shares == sorted(set(heard.shares))


async def test_a_graph_that_is_all_cached_is_a_picture_too(fake: FakeComfyUI) -> None:
    fake.runs.append(Run(cached=True))
    async with server_at(fake.url) as server:
        assert (await server.make(ORDER, progress=Told().progress)).content == PNG


async def test_the_saved_picture_goes_before_the_preview(fake: FakeComfyUI) -> None:
    preview: Json = {"filename": "p.png", "subfolder": "", "type": "temp"}
    saved: Json = {"filename": "a b&c=d/../ö%.png", "subfolder": "deep/er", "type": "output"}
    fake.files = {("a b&c=d/../ö%.png", "deep/er", "output"): PNG, ("p.png", "", "temp"): b"RIFF\0\0\0\0WEBP"}
    fake.runs.extend([Run(images=(preview, saved)), Run(images=(preview,))])
    async with server_at(fake.url) as server:
        assert (await server.make(ORDER, progress=Told().progress)).content == PNG
        assert (await server.make(ORDER, progress=Told().progress)).content == b"RIFF\0\0\0\0WEBP"


@pytest.mark.parametrize(
    "choices",
    [
        [["first.safetensors", "second.safetensors"], {"tooltip": "..."}],
        ["COMBO", {"options": ["first.safetensors", "second.safetensors"]}],
    ],
)
async def test_without_a_model_the_first_checkpoint_is_taken_and_remembered(
    fake: FakeComfyUI, choices: object
) -> None:
    fake.checkpoints = choices
    async with server_at(fake.url, options=UNCHOSEN) as server:
        for _ in range(2):
            picture = await server.make(ORDER, progress=Told().progress)
            assert picture.model == "first.safetensors"
    assert fake.count("/object_info") == 1


@pytest.mark.parametrize("choices", [[[], {}], [], ["COMBO", {}], None])
async def test_a_server_without_a_model_is_told_of(fake: FakeComfyUI, choices: object) -> None:
    fake.checkpoints = choices
    async with server_at(fake.url, options=UNCHOSEN) as server:
        error = await failed(server.make(ORDER, progress=Told().progress))
    assert (error.code, error.transient) == ("image_not_found", False)


async def test_a_model_that_is_gone_is_looked_for_again(fake: FakeComfyUI) -> None:
    async with server_at(fake.url, options=UNCHOSEN) as server:
        await server.make(ORDER, progress=Told().progress)
        fake.instead["/prompt"] = [refused_node("model", received="first.safetensors")]
        await failed(server.make(ORDER, progress=Told().progress))
        fake.checkpoints = [["third.safetensors"], {}]
        picture = await server.make(ORDER, progress=Told().progress)
    assert picture.model == "third.safetensors"


async def test_a_refused_node_is_named_in_the_detail_only(fake: FakeComfyUI) -> None:
    fake.instead["/prompt"] = [refused_node("model", received=PROMPT)]
    async with server_at(fake.url) as server:
        error = await failed(server.make(ORDER, progress=Told().progress))
    assert (error.code, error.transient) == ("image_bad_request", False)
    assert error.detail == "node 'model' (CheckpointLoaderSimple): value_not_in_list"


@pytest.mark.parametrize(
    ("run", "code", "transient"),
    [
        (Run(error=OUT_OF_MEMORY), "image_out_of_memory", True),
        (Run(error=("RuntimeError", "CUDA error: out of memory")), "image_out_of_memory", True),
        (Run(error=("ValueError", PROMPT)), "image_server_error", True),
        (Run(error=(PROMPT, PROMPT)), "image_server_error", True),
        (Run(interrupted=True), "image_server_error", True),
        (Run(images=()), "image_empty", False),
        (Run(images=({"filename": "hub_00001_.png", "type": "input"},)), "image_empty", False),
        (Run(images=({"filename": "", "type": "output"}, {"other": 1})), "image_empty", False),
        (Run(images=({**SAVED[0], "filename": "gone.png"},)), "image_server_error", True),
    ],
)
@pytest.mark.parametrize("socket", [True, False])
async def test_work_that_fails(
    fake: FakeComfyUI, run: Run, code: str, *, transient: bool, socket: bool
) -> None:
    fake.sockets_refused = not socket
    fake.runs.append(run)
    async with server_at(fake.url) as server:
        error = await failed(server.make(ORDER, progress=Told().progress))
    assert (error.code, error.transient) == (code, transient)


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/prompt", Answer(400, b"Bad Request"), "image_bad_request"),
        ("/prompt", Answer(400, {"error": {"type": "no_prompt"}, "node_errors": {}}), "image_bad_request"),
        ("/prompt", Answer(400, {"node_errors": {"model": 5, PROMPT: 1}}), "image_bad_request"),
        ("/prompt", Answer(401), "image_refused_key"),
        ("/prompt", Answer(404), "image_not_found"),
        ("/prompt", Answer(500, {"error": "OutOfMemoryError"}), "image_out_of_memory"),
        ("/prompt", Answer(429), "image_overloaded"),
        ("/prompt", Answer(307, headers={"location": "/elsewhere"}), "image_redirected"),
        ("/prompt", Answer(200, {}), "image_bad_answer"),
        ("/prompt", Answer(200, {"prompt_id": "../queue"}), "image_bad_answer"),
        ("/prompt", Answer(200, b"<html>"), "image_bad_answer"),
        ("/prompt", Answer(200, b"[" * 100_000), "image_bad_answer"),
        ("/prompt", Answer(-1), "image_unreachable"),
        ("/history", Answer(401), "image_refused_key"),
        ("/history", Answer(500), "image_server_error"),
        ("/history", Answer(-1), "image_unreachable"),
        ("/view", Answer(403), "image_forbidden"),
        ("/view", Answer(200, b"GIF89a"), "image_bad_answer"),
        ("/view", Answer(200, PNG * 50_000), "image_bad_answer"),
    ],
)
async def test_answers_that_are_no_good(fake: FakeComfyUI, path: str, answer: Answer, code: str) -> None:
    fake.always[path] = answer
    async with server_at(fake.url) as server:
        assert (await failed(server.make(ORDER, progress=Told().progress))).code == code


@pytest.mark.parametrize("path", ["/prompt", "/history", "/view", "/object_info"])
async def test_silence_ends_in_time(fake: FakeComfyUI, path: str) -> None:
    fake.always[path] = Answer(0)
    async with server_at(fake.url, options=UNCHOSEN, seconds=0.2) as server:
        error = await failed(server.make(ORDER, progress=Told().progress))
    assert (error.code, error.transient) == ("image_timeout", True)


async def test_work_that_takes_too_long_goes_on_for_the_next_attempt(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    heard = Told()
    async with server_at(fake.url, seconds=0.3) as server:
        error = await failed(server.make(ORDER, progress=heard.progress))
    assert error.code == "image_timeout"
    go_on.set()
    async with server_at(fake.url) as server:
        picture = await server.make(ORDER, progress=Told().progress, ticket=heard.tickets[-1])
    assert picture.content == PNG
    assert len(fake.made) == 1


async def test_a_few_looks_in_vain_are_no_failure(fake: FakeComfyUI) -> None:
    fake.instead["/history"] = [Answer(502), Answer(-1)]
    async with server_at(fake.url) as server:
        assert (await server.make(ORDER, progress=Told().progress)).content == PNG


async def test_a_server_that_forgets_fails_this_attempt_and_serves_the_next(fake: FakeComfyUI) -> None:
    fake.runs.append(Run(halfway=asyncio.Event()))
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await heard.wait_for_share(0.4)
        await fake.restart()
        error = await failed(making)
        assert error.transient
        assert error.code != "image_timeout"
        again = await server.make(ORDER, progress=heard.progress, ticket=heard.tickets[-1])
    assert again.content == PNG
    assert len(fake.made) == 2


async def test_a_server_that_is_not_there(fake: FakeComfyUI) -> None:
    await fake.__aexit__()
    async with server_at(fake.url) as server:
        error = await failed(server.make(ORDER, progress=Told().progress))
        assert (error.code, error.transient) == ("image_unreachable", True)
        for _ in range(5):
            error = await failed(server.make(ORDER, progress=Told().progress))
    assert (error.code, error.transient) == ("image_server_down", False)


async def test_an_operators_own_workflow(fake: FakeComfyUI, tmp_path: Path) -> None:
    nodes: Json = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 7,
                "steps": 12,
                "cfg": "{cfg_scale}",
                "sampler_name": "euler",
                "text": "{prompt}",
            },
        },
        "9": {"class_type": "UNETLoader", "inputs": {"unet_name": "own.safetensors"}},
    }
    (tmp_path / "own.json").write_text(json.dumps(nodes))
    async with server_at(fake.url, options=UNCHOSEN, workflow=tmp_path / "own.json") as server:
        picture = await server.make(ORDER, progress=Told().progress)
    assert picture == Picture(content=PNG, seed=7, model="own.safetensors", sampler="euler", steps=12)
    assert inputs_of(fake.bodies("/prompt")[0], "KSampler")["text"] == PROMPT
    assert fake.count("/object_info") == 0


def test_a_workflow_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("[]")
    with pytest.raises(ValueError, match="no JSON object"):
        ComfyUI(
            Endpoint.parse("http://127.0.0.1:1", None, whose="the image server's"),
            open_pool(),
            options=CHOSEN,
            timeout=1,
            breaker=Breaker(),
            workflow=tmp_path / "own.json",
        )


async def test_the_check_knows_a_comfyui_from_another_server(fake: FakeComfyUI) -> None:
    async with server_at(fake.url) as server:
        await server.check()
        fake.always["/system_stats"] = Answer(404)
        with pytest.raises(ImageServerError) as raised:
            await server.check()
        assert raised.value.code == "image_not_found"
        fake.always["/system_stats"] = Answer(200, {"hello": 1})
        with pytest.raises(ImageServerError) as raised:
            await server.check()
    assert raised.value.code == "image_bad_answer"
