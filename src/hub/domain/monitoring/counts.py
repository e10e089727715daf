"""Counts that go from one process to another: what was added here, and how it is added there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from hub.core import metrics

#: What workers count. All of it only grows, so that it can be handed on in pieces.
OF_WORKERS = (
    metrics.RESPONSES,
    metrics.FIRST_TOKEN,
    metrics.TOKENS_PER_SECOND,
    metrics.TOKENS,
    metrics.MODEL_FAILURES,
    metrics.QUEUE_WAIT,
    metrics.WEBHOOKS,
    metrics.IMAGES,
    metrics.IMAGE_SECONDS,
    metrics.IMAGE_BYTES,
    metrics.IMAGE_BYTES_SAVED,
)
_FAMILIES = {told.name: family for family in OF_WORKERS for told in family.collect()}
_SUFFIXES = ("_total", "_bucket", "_sum", "_count")

#: A sample's name and its labels.
Key = tuple[str, frozenset[tuple[str, str]]]
Totals = Mapping[Key, float]


class Count(Struct, frozen=True, array_like=True):
    """So much was added to one sample."""

    sample: str
    labels: dict[str, str]
    added: float


def totals() -> Totals:
    """Return what this process has counted so far of :data:`OF_WORKERS`."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in OF_WORKERS
        for told in family.collect()
        for sample in told.samples
    }


def added(since: Totals, now: Totals) -> list[Count]:
    """Return what ``now`` has more than ``since``."""
    return [
        Count(name, dict(labels), value - before)
        for (name, labels), value in now.items()
        if value > (before := since.get((name, labels), 0.0))
    ]


class Gathered(Collector):
    """All families of this process, and what others have counted on top; a registry to read."""

    def __init__(self) -> None:
        self._others: dict[Key, float] = {}

    def add(self, counts: Iterable[Count]) -> None:
        """Add what another process has counted; what this version of the hub does not know is left out."""
        for each in counts:
            if _is_known(each):
                key = (each.sample, frozenset(each.labels.items()))
                self._others[key] = self._others.get(key, 0.0) + each.added

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        for told in metrics.REGISTRY.collect():
            if told.name in _FAMILIES and self._others:
                told.samples = [self._with_others(sample) for sample in told.samples]
            yield told

    def _with_others(self, sample: Sample) -> Sample:
        more = self._others.get((sample.name, frozenset(sample.labels.items())), 0.0)
        return sample._replace(value=sample.value + more)


def _is_known(count: Count) -> bool:
    """Tell whether there is such a family, and see to it that it has such labels."""
    name = next((s for suffix in _SUFFIXES if (s := count.sample.removesuffix(suffix)) in _FAMILIES), None)
    labels = {key: value for key, value in count.labels.items() if key != "le"}
    if name is None:
        return False
    try:
        if labels:
            _FAMILIES[name].labels(**labels)
    except ValueError:  # it had other labels then
        return False
    return True
