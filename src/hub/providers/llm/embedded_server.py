"""The embedded model's own process: llama.cpp behind an OpenAI-compatible server on loopback.

Started as a file by ``embedded.EmbeddedServer``, never imported by the hub: a crash in native code ends
this process only. One line of JSON on standard input says what to serve, one line on standard output where;
the end of standard input, or of the parent, ends it.
"""

import json
import os
import sys
from typing import TypedDict

import xllamacpp

from hub.core.child import die_with

_BATCH_TOKENS = 256  # a long prompt gives way to the other slots' tokens after so many
_SPARE_HTTP_THREADS = 8  # beside one for each slot: health checks, connections kept alive
_REPEAT_PENALTY = 1.1  # without it the model says one sentence again and again


class Order(TypedDict):
    """What to serve: the model's file, the key to ask for, and how much at once."""

    parent: int
    model: str
    key: str
    threads: int
    slots: int
    slot_tokens: int


def main() -> None:
    """Serve until the parent leaves."""
    order: Order = json.loads(sys.stdin.readline())
    die_with(order["parent"])
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever native code prints is no answer
    server = _serve(order)
    os.write(answer, json.dumps({"url": server.listening_address}).encode() + b"\n")
    sys.stdin.read()
    os._exit(0)  # no destructors: llama.cpp's threads may be at work


def _serve(order: Order) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.n_parallel = order["slots"]
    params.n_ctx = order["slots"] * order["slot_tokens"]
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.n_threads_http = order["slots"] + _SPARE_HTTP_THREADS
    params.cache_ram_mib = 0  # no copies of old prompts beside what the slots hold
    params.verbosity = 0
    params.ui = params.endpoint_slots = params.warmup = params.fit_params = False
    params.offline = True
    params.sampling.penalty_repeat = _REPEAT_PENALTY
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
