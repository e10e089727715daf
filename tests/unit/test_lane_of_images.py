"""Which pictures wait for each other: those of one server that takes no overlapping calls."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

import pytest

from hub.core.settings import Settings
from hub.domain.painting.service import lane_of

URL = "http://sd.example:7860"


def lanes(url: str | None, kind: Literal["auto", "a1111", "comfyui", "openai"] = "auto") -> set[str]:
    settings = Settings(sd_url=url, sd_kind=kind)
    return {lane_of(settings, user_id=uuid4()) for _ in range(3)}


@pytest.mark.parametrize("url", [None, URL, f"{URL}/sdapi/v1"])
def test_users_of_a_server_that_takes_one_call_at_a_time_share_its_lane(url: str | None) -> None:
    assert len(lanes(url)) == 1


def test_an_address_that_names_the_api_is_the_same_server() -> None:
    assert lanes(URL) == lanes(f"{URL}/sdapi/v1")


def test_users_of_a_service_that_takes_many_calls_wait_for_nobody() -> None:
    assert len(lanes(f"{URL}/v1")) == 3
    assert len(lanes(URL, "openai")) == 3


def test_a_kind_that_is_set_counts_more_than_the_address() -> None:
    assert len(lanes(f"{URL}/v1", "a1111")) == 1
