"""The graph for ComfyUI: places filled, an operator's own checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.providers.images.comfyui_graph import Graph, Values, comfy_sampler, first_number, first_text, weights

VALUES = Values(
    prompt='a {seed} "quoted" prompt',
    negative_prompt="",
    seed=2**32 - 1,
    width=832,
    height=1216,
    steps=28,
    cfg_scale=6.5,
    sampler="dpmpp_2m",
    scheduler="karras",
    model="some.safetensors",
)


def test_the_built_in_graph_holds_every_value_in_its_type() -> None:
    nodes = Graph.built_in().filled(VALUES)
    inputs = [node["inputs"] for node in nodes.values()]
    kinds = [node["class_type"] for node in nodes.values()]
    assert kinds == [
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "KSampler",
        "VAEDecode",
        "SaveImage",
    ]
    assert inputs[0] == {"ckpt_name": "some.safetensors"}
    assert inputs[1] == {"text": 'a {seed} "quoted" prompt', "clip": ["model", 1]}
    assert inputs[2] == {"text": "", "clip": ["model", 1]}
    assert inputs[3] == {"width": 832, "height": 1216, "batch_size": 1}
    assert "{" not in json.dumps([*inputs[3:], inputs[0]]).replace('{"', "")
    assert first_number(nodes, "seed") == 4294967295
    assert first_text(nodes, "sampler_name") == "dpmpp_2m"


def test_every_link_of_the_built_in_graph_leads_to_a_node() -> None:
    nodes = Graph.built_in().filled(VALUES)
    inputs = [node["inputs"] for node in nodes.values()]
    links = [value for each in inputs if isinstance(each, dict) for value in each.values()]
    assert {link[0] for link in links if isinstance(link, list)} == set(nodes) - {"file"}


def test_filling_leaves_the_graph_as_it_was() -> None:
    graph = Graph.built_in()
    graph.filled(VALUES)
    assert graph.asks_for_model
    assert first_text(graph.filled(VALUES), "ckpt_name") == "some.safetensors"


def test_the_sampler_is_most_of_the_work() -> None:
    assert weights(Graph.built_in().filled(VALUES))["sampler"] == 28


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DPM++ 2M Karras", ("dpmpp_2m", "karras")),
        ("dpm++ 2m sde exponential", ("dpmpp_2m_sde", "exponential")),
        ("DPM++ 2M SDE SGM Uniform", ("dpmpp_2m_sde", "sgm_uniform")),
        ("DPM++ 2M", ("dpmpp_2m", "normal")),
        ("Euler a", ("euler_ancestral", "normal")),
        ("Euler", ("euler", "normal")),
        ("DDIM", ("ddim", "ddim_uniform")),
        ("LCM", ("lcm", "sgm_uniform")),
        ("UniPC", ("uni_pc", "normal")),
        ("res_multistep", ("res_multistep", "normal")),
        ("heunpp2 Karras", ("heunpp2", "karras")),
    ],
)
def test_samplers_are_named_as_comfyui_does(name: str, expected: tuple[str, str]) -> None:
    assert comfy_sampler(name) == expected


def test_an_operators_graph_is_filled_wherever_a_place_stands(tmp_path: Path) -> None:
    nodes = {
        "7": {
            "class_type": "Text",
            "inputs": {"text": "{prompt}", "deep": [{"n": "{steps}"}, "{cfg_scale}"]},
        },
        "8": {"class_type": "Note", "inputs": {"text": "about {prompt}", "other": "{unknown}"}},
        "9": {"class_type": "Bare"},
    }
    (tmp_path / "graph.json").write_text(json.dumps(nodes))
    graph = Graph.read(tmp_path / "graph.json")
    filled = graph.filled(VALUES)
    assert not graph.asks_for_model
    assert filled["7"]["inputs"] == {"text": VALUES.prompt, "deep": [{"n": 28}, 6.5]}
    assert filled["8"]["inputs"] == {"text": "about {prompt}", "other": "{unknown}"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no JSON that can be read"),
        ("[" * 100_000, "is no JSON that can be read"),
        ("[]", "is no JSON object"),
        ('{"nodes": [], "links": []}', "node 'nodes' has no class_type"),
        ('{"1": {"class_type": 5}}', "node '1' has no class_type"),
        ('{"1": {"class_type": "Text", "inputs": {"text": "my {prompt}"}}}', 'whole value is "{prompt}"'),
        ("{}", 'whole value is "{prompt}"'),
    ],
)
def test_a_graph_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "graph.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="ComfyUI workflow") as refused:
        Graph.read(path)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ValueError, match="is no JSON that can be read"):
        Graph.read(tmp_path / "graph.json")


def test_a_graph_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"graph\.json cannot be read: No such file"):
        Graph.read(tmp_path / "graph.json")
