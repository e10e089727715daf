"""The graph that ComfyUI is asked to run: the built-in one, or the operator's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct, structs

_MAX_BYTES = 4 * 1024 * 1024  # of the operator's file

Nodes = dict[str, dict[str, object]]

# Text to image in seven nodes, in the format of ComfyUI's "Export (API)".
_BUILT_IN: Nodes = {
    "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{model}"}},
    "positive": {"class_type": "CLIPTextEncode", "inputs": {"text": "{prompt}", "clip": ["model", 1]}},
    "negative": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "{negative_prompt}", "clip": ["model", 1]},
    },
    "canvas": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": "{width}", "height": "{height}", "batch_size": 1},
    },
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "seed": "{seed}",
            "steps": "{steps}",
            "cfg": "{cfg_scale}",
            "sampler_name": "{sampler}",
            "scheduler": "{scheduler}",
            "denoise": 1.0,
            "model": ["model", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["canvas", 0],
        },
    },
    "picture": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
    "file": {"class_type": "SaveImage", "inputs": {"filename_prefix": "hub", "images": ["picture", 0]}},
}

# AUTOMATIC1111's names, as settings are written, and ComfyUI's for the same methods.
_SAMPLERS = {
    "euler": "euler",
    "euler a": "euler_ancestral",
    "heun": "heun",
    "lms": "lms",
    "dpm2": "dpm_2",
    "dpm2 a": "dpm_2_ancestral",
    "dpm fast": "dpm_fast",
    "dpm adaptive": "dpm_adaptive",
    "dpm++ 2s a": "dpmpp_2s_ancestral",
    "dpm++ 2m": "dpmpp_2m",
    "dpm++ sde": "dpmpp_sde",
    "dpm++ 2m sde": "dpmpp_2m_sde",
    "dpm++ 3m sde": "dpmpp_3m_sde",
    "ddim": "ddim",
    "ddpm": "ddpm",
    "unipc": "uni_pc",
    "lcm": "lcm",
}
_SCHEDULERS = {
    " karras": "karras",
    " exponential": "exponential",
    " sgm uniform": "sgm_uniform",
    " simple": "simple",
    " normal": "normal",
    " beta": "beta",
}
_USUAL_SCHEDULERS = {"ddim": "ddim_uniform", "lcm": "sgm_uniform"}


class Values(Struct, frozen=True, kw_only=True):
    """What stands in the graph where its name stands in braces: ``"{prompt}"``, ``"{seed}"``, ..."""

    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    model: str


class Graph:
    """A graph with places for values."""

    def __init__(self, nodes: Mapping[str, object]) -> None:
        """Raises ``ValueError`` in one sentence for what is no graph, or has no place for the prompt."""
        self._nodes: Nodes = {}
        for name, node in nodes.items():
            kind = node.get("class_type") if isinstance(node, dict) else None
            if not isinstance(node, dict) or not isinstance(kind, str):
                raise ValueError(  # noqa: TRY004 - it is the file's content, no caller's mistake
                    f"the ComfyUI workflow's node {name!r} has no class_type: "
                    'save the workflow in ComfyUI with "Export (API)"'
                )
            self._nodes[name] = node
        leaves = (leaf for node in self._nodes.values() for leaf in _leaves(node.get("inputs")))
        self._texts = {leaf for leaf in leaves if isinstance(leaf, str)}
        if "{prompt}" not in self._texts:
            raise ValueError('the ComfyUI workflow needs an input whose whole value is "{prompt}"')

    @classmethod
    def built_in(cls) -> Self:
        """Return the graph of seven nodes that every ComfyUI can run."""
        return cls(_BUILT_IN)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the operator's graph from a JSON file; raises ``ValueError`` as the constructor does."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise ValueError(f"the ComfyUI workflow {path} cannot be read: {error.strerror}") from None
        if len(content) > _MAX_BYTES:
            raise ValueError(f"the ComfyUI workflow {path} has more than {_MAX_BYTES // 1024**2} MB")
        try:
            nodes: object = json.loads(content)
            if not isinstance(nodes, dict):
                raise ValueError(f"the ComfyUI workflow {path} is no JSON object")  # noqa: TRY004 - content, not a type
            return cls(nodes)
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise ValueError(f"the ComfyUI workflow {path} is no JSON that can be read") from None

    @property
    def asks_for_model(self) -> bool:
        """Whether the model's name is to be filled in."""
        return "{model}" in self._texts

    def filled(self, values: Values) -> Nodes:
        """Return the graph with the values in their places; texts stay texts, numbers become numbers."""
        places = {f"{{{name}}}": value for name, value in structs.asdict(values).items()}
        return {
            name: {**node, "inputs": _filled(node.get("inputs"), places)}
            for name, node in self._nodes.items()
        }


def comfy_sampler(name: str) -> tuple[str, str]:
    """Return ComfyUI's sampler and scheduler for AUTOMATIC1111's ``name``; a name not known stays as it is.

    >>> comfy_sampler("DPM++ 2M Karras")
    ('dpmpp_2m', 'karras')
    """
    method, scheduler = name.strip(), ""
    for ending, its_scheduler in _SCHEDULERS.items():
        if method.lower().endswith(ending):
            method, scheduler = method[: -len(ending)].rstrip(), its_scheduler
            break
    sampler = _SAMPLERS.get(method.lower(), method)
    return sampler, scheduler or _USUAL_SCHEDULERS.get(sampler, "normal")


def first_text(nodes: Nodes, *names: str) -> str:
    """Return the first input of these names that is a text; "" where the graph has none."""
    return next((value for value in _inputs(nodes, names) if isinstance(value, str)), "")


def first_number(nodes: Nodes, *names: str) -> int | None:
    """Return the first input of these names that is a whole number."""
    return next((value for value in _inputs(nodes, names) if type(value) is int), None)


def weights(nodes: Nodes) -> dict[str, int]:
    """Return how much of the work each node is: its steps where it has some, else 1."""
    return {name: max(first_number({name: node}, "steps") or 1, 1) for name, node in nodes.items()}


def _inputs(nodes: Nodes, names: tuple[str, ...]) -> Iterator[object]:
    for node in nodes.values():
        inputs = node.get("inputs")
        if isinstance(inputs, dict):
            yield from (inputs[name] for name in names if name in inputs)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _filled(value: object, places: Mapping[str, object]) -> object:
    if isinstance(value, dict):
        return {key: _filled(part, places) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, places) for part in value]
    return places.get(value, value) if isinstance(value, str) else value
