"""The samples as they are written down, one file for each language."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final, get_args

import msgspec
from msgspec import Struct

from hub.domain.samples.schemas import Language, Sample

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    samples: tuple[Sample, ...]


def samples_in(language: str) -> tuple[Sample, ...]:
    """Return the samples in a language, or in English, in the order in which they are listed."""
    return _read(language if language in LANGUAGES else "en")


@cache
def _read(language: str) -> tuple[Sample, ...]:
    file = resources.files("hub.domain.samples") / "texts" / f"{language}.toml"
    return msgspec.toml.decode(file.read_bytes(), type=_File).samples
