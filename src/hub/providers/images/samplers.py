"""AUTOMATIC1111's names of samplers: "DPM++ 2M Karras" in old builds, sampler and scheduler in new ones."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

# As GET /schedulers of AUTOMATIC1111 and Forge labels them; "SGM Uniform" before "Uniform".
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

    @property
    def split(self) -> SamplerName:
        """The same, as sampler and scheduler; unchanged if it names no scheduler."""
        for label in _SCHEDULERS:
            if not self.scheduler and self.sampler.lower().endswith(f" {label.lower()}"):
                return SamplerName(self.sampler[: -len(label) - 1].rstrip(), label)
        return self

    def used(self, told: str) -> str:
        """Return the whole name of what the server used, if it says ``told`` ("": nothing).

        New builds tell the sampler and keep the scheduler to themselves.
        """
        asked = self.split
        if asked.scheduler and told in ("", asked.sampler):
            return f"{asked.sampler} {asked.scheduler}"
        return told or self.sampler

    def fields(self) -> dict[str, object]:
        """Return what a request says of it."""
        named = {"sampler_name": self.sampler, "scheduler": self.scheduler}
        return {key: value for key, value in named.items() if value}


def ways_to_name(name: str) -> Sequence[SamplerName]:
    """Return the ways to ask for a sampler, to be tried one after the other; the server's own is the last."""
    whole = SamplerName(name)
    return list(dict.fromkeys([whole, whole.split, SamplerName("")]))


def is_about_samplers(status: int, body: bytes) -> bool:
    """Whether a refusal says that the server does not know the sampler or scheduler."""
    words = body.lower()
    return (
        status in (400, 404, 422) and b"not found" in words and (b"sampler" in words or b"scheduler" in words)
    )
