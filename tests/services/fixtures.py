"""Fixtures for the servers that tests talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.services.rabbitmq import INSTALL, RabbitMQNode, find_server


def require_or_skip(service: str, reason: str) -> None:
    """Skip the test, or fail it where HUB_TEST_REQUIRE (a comma-separated list) names the service."""
    required = os.environ.get("HUB_TEST_REQUIRE", "")
    if service in (each.strip() for each in required.split(",")):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """Yield the test run's own RabbitMQ node."""
    if find_server() is None:
        require_or_skip("rabbitmq", f"RabbitMQ is not installed; install it with: {INSTALL}")
    node = RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"))
    node.start()
    yield node
    node.stop()
