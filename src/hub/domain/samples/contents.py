"""The samples as they are written down, one file for each language."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from hub.domain.samples.schemas import Language, Sample


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    samples: tuple[Sample, ...]


@cache
def samples_in(language: Language) -> tuple[Sample, ...]:
    """Return the samples in a language, in the order in which they are listed."""
    file = resources.files("hub.domain.samples") / "texts" / f"{language}.toml"
    return msgspec.toml.decode(file.read_bytes(), type=_File).samples
