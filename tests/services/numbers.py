"""The numbers that a hub tells Prometheus, as Prometheus would read them."""

from __future__ import annotations

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.services.hub import NO_TLS

#: The families of the public contract, and the rest that docs, dashboard and alert rules name.
PROMISED = {
    "hub_http_requests_total": "counter",
    "hub_responses_total": "counter",
    "hub_queue_wait_seconds": "histogram",
    "hub_first_token_seconds": "histogram",
    "hub_image_seconds": "histogram",
    "hub_image_bytes_saved_total": "counter",
    "hub_database_pool_connections": "gauge",
    "hub_websockets": "gauge",
    "hub_relay_lag_seconds": "gauge",
}


class Numbers:
    """One answer of ``/metrics``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types = {
            family.name + ("_total" if family.type == "counter" else ""): family.type
            for family in text_string_to_metric_families(text)
        }
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    @property
    def empty(self) -> set[str]:
        """The families that have a name and no sample."""
        families = text_string_to_metric_families(self.text)
        return {family.name for family in families if not family.samples}

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values that a label has."""
        return {sample.labels[label] for sample in self._samples if sample.name == name}


async def numbers(url: str, **headers: str) -> Numbers:
    """Ask a process for its numbers."""
    async with httpx2.AsyncClient(base_url=url, verify=NO_TLS) as http:
        answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Numbers(answer.text)
