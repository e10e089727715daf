"""What the operator chose for every picture of a server."""

from __future__ import annotations

from msgspec import Struct


class Options(Struct, frozen=True, kw_only=True):
    """How a server works; one that has no such thing ignores it.

    ``model``: its name at the server, None for the one that is loaded there (or the server's usual one).
    ``sampler``: as AUTOMATIC1111 names it, "DPM++ 2M Karras".
    """

    model: str | None
    steps: int
    cfg_scale: float
    sampler: str
