"""AUTOMATIC1111's names of samplers: "DPM++ 2M Karras" in old builds, sampler and scheduler in new ones."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

# As GET /schedulers of AUTOMATIC1111 and Forge labels them.
_SCHEDULERS = (
    "Align Your Steps",
    "Automatic",
    "Beta",
    "DDIM",
    "Exponential",
    "KL Optimal",
    "Karras",
    "Normal",
    "Polyexponential",
    "SGM Uniform",
    "Simple",
    "Turbo",
    "Uniform",
)


class SamplerName(Struct, frozen=True):
    """How a sampler is asked for; an empty name leaves it to the server."""

    sampler: str
    scheduler: str = ""

    def fields(self) -> dict[str, object]:
        """Return what a request says of it."""
        named = {"sampler_name": self.sampler, "scheduler": self.scheduler}
        return {key: value for key, value in named.items() if value}


def ways_to_name(name: str) -> Sequence[SamplerName]:
    """Return the ways to ask for a sampler, to be tried one after the other; the server's own is the last."""
    ways = [SamplerName(name)]
    for label in sorted(_SCHEDULERS, key=len, reverse=True):
        if name.lower().endswith(f" {label.lower()}"):
            ways.append(SamplerName(name[: -len(label) - 1].rstrip(), label))
            break
    return [*ways, SamplerName("")] if name else [SamplerName("")]


def is_about_samplers(status: int, body: bytes) -> bool:
    """Whether a refusal says that the server does not know the sampler or scheduler."""
    words = body.lower()
    return (
        status in (400, 404, 422) and b"not found" in words and (b"sampler" in words or b"scheduler" in words)
    )
