"""What is counted and measured for operators: every family of this process, in one place.

An observation takes about a microsecond and cannot fail: labels come from short lists, never from what people
send. :mod:`hub.web.metrics` tells the numbers to Prometheus; docs/metrics.md says what each one means.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as _without_times_of_creation

import hub

_without_times_of_creation()  # type: ignore[no-untyped-call] # theirs is not annotated

#: All families of this process, and what the system says of it.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

#: How a job's attempt may end.
TRIES = ("completed", "failed", "retried")


def _counter(name: str, text: str, label: str | None = None, values: Iterable[str] = ()) -> Counter:
    family = Counter(name, text, (label,) if label else (), registry=REGISTRY)
    for value in values:
        family.labels(value)
    return family


def _gauge(name: str, text: str, label: str | None = None, values: Iterable[str] = ()) -> Gauge:
    family = Gauge(name, text, (label,) if label else (), registry=REGISTRY)
    for value in values:
        family.labels(value)
    return family


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, text, labels, registry=REGISTRY, buckets=buckets)


_SHORT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Requests and sockets

HTTP_REQUESTS = Counter(
    "hub_http_requests_total",
    "Requests that were answered, by method, route and class of status; none: the client left before.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = _histogram(
    "hub_http_request_seconds",
    "Seconds from a request to the beginning of its answer.",
    _SHORT,
    "method",
    "route",
)
WEBSOCKETS = _gauge("hub_websockets", "WebSockets that are open.")
REFUSALS = _counter(
    "hub_rate_limit_refusals_total",
    "Requests, sockets and frames that were refused because there had been too many, by what was limited.",
    "action",
    ("sockets", "frames"),
)

# Replies

RESPONSES = _counter(
    "hub_responses_total",
    "Replies and completions that have ended, by their final status.",
    "status",
    ("completed", "failed", "cancelled"),
)
FIRST_TOKEN = _histogram(
    "hub_first_token_seconds",
    "Seconds from the asking for a reply to the first of its text.",
    (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60),
)
TOKENS_PER_SECOND = _histogram(
    "hub_tokens_per_second",
    "Tokens in a second of a reply's writing, from its first on.",
    (1, 2, 5, 10, 20, 30, 50, 75, 100, 200, 500),
)
TOKENS = _counter(
    "hub_tokens_total",
    "Tokens that the language model says it has read and written.",
    "kind",
    ("prompt", "completion"),
)
MODEL_FAILURES = _counter(
    "hub_llm_failures_total",
    "Attempts at a text that the language model failed, by the code of the error.",
    "code",
    ("llm_unreachable", "llm_timeout", "llm_overloaded", "llm_server_error", "llm_truncated"),
)

# Jobs

QUEUE_WAIT = _histogram(
    "hub_queue_wait_seconds",
    "Seconds from the storing of a job to its first attempt, by its kind.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    "kind",
)
JOBS = Gauge(
    "hub_jobs",
    "Jobs that have not ended, of all processes: queued, scheduled for later, or in progress.",
    ("kind", "status"),
    registry=REGISTRY,
)
RELAY_LAG = _gauge(
    "hub_relay_lag_seconds",
    "Seconds that the oldest job waits which could run now, of all processes; 0 when none does.",
)
WEBHOOKS = _counter(
    "hub_webhook_deliveries_total",
    "Attempts to deliver an event to a webhook, by their end.",
    "status",
    TRIES,
)

# Pictures

IMAGES = _counter("hub_images_total", "Attempts to have a picture painted, by their end.", "status", TRIES)
IMAGE_SECONDS = _histogram(
    "hub_image_seconds",
    "Seconds that a picture took to be painted and stored.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
)
IMAGE_BYTES = _counter(
    "hub_image_original_bytes_total", "Bytes of the pictures that were stored, as they came in."
)
IMAGE_BYTES_SAVED = _counter(
    "hub_image_bytes_saved_total", "Bytes that stored pictures are smaller by than they came in."
)

# What they run on

POOL = _gauge(
    "hub_database_pool_connections",
    "Connections of this process to the database: in use, idle, and max, the most there may be;"
    " waiting: who waits for one.",
    "state",
    ("in_use", "idle", "max", "waiting"),
)
DATABASE_UP = _gauge(
    "hub_database_up", "1 if the database answered when these numbers were asked for, else 0."
)
DISK_FREE = _gauge("hub_disk_free_bytes", "Bytes that are free on the data folder's disk.")
DISK_FLOOR = _gauge("hub_disk_floor_bytes", "Bytes of it that no picture may take.")
BACKUP_AT = _gauge(
    "hub_backup_timestamp_seconds",
    "When the newest backup in the folder for backups was made, as Unix time; 0: there is none.",
)
MEMORY_USED = _gauge(
    "hub_memory_used_bytes", "Memory in use that cannot be given up, of the container or else the machine."
)
MEMORY_LIMIT = _gauge("hub_memory_limit_bytes", "The memory of the container, or else of the machine.")
_BUILD = Gauge(
    "hub_build_info",
    "Which version of the hub runs, and on what: always 1.",
    ("version", "python"),
    registry=REGISTRY,
)
_BUILD.labels(hub.__version__, platform.python_version()).set(1)

_METHODS = frozenset(HTTPMethod)
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
#: The route of what has none: no page is there, or it was refused before.
NO_ROUTE = "none"


def note_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count an answered request.

    Args:
        method: as it came; what HTTP does not know counts as "other".
        route: the template of the path, never the path itself; None where there is none.
        status: of the answer; 0 if the client left before.
        seconds: to the beginning of the answer.
    """
    method, route = method if method in _METHODS else "other", route or NO_ROUTE
    HTTP_REQUESTS.labels(method, route, _CLASSES[status // 100]).inc()
    HTTP_SECONDS.labels(method, route).observe(seconds)


def note_stored_image(*, original_bytes: int, stored_bytes: int) -> None:
    """Count a picture that was stored; one that has grown saves nothing."""
    IMAGE_BYTES.inc(original_bytes)
    IMAGE_BYTES_SAVED.inc(max(original_bytes - stored_bytes, 0))


def note_usage(prompt_tokens: int, completion_tokens: int, seconds: float) -> None:
    """Note what a model's server says of a reply; the first of its tokens came ``seconds`` before the end."""
    TOKENS.labels("prompt").inc(max(prompt_tokens, 0))  # servers may say anything
    TOKENS.labels("completion").inc(max(completion_tokens, 0))
    if completion_tokens > 1 and seconds > 0:
        TOKENS_PER_SECOND.observe((completion_tokens - 1) / seconds)
