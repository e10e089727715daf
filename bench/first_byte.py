"""From the POST of a message to the first text of its reply on a WebSocket: the hub against the floor."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.report import Figure, summary
from bench.wire import Http, WebSocket, post_request
from bench.world import World
from tests.services.hub import Client

GOAL = 4.0
ROUNDS = 12
EACH = 25
WARM_UP = 60
#: Seconds of quiet after a reply, so that what it leaves behind does not count against the next.
_QUIET = 0.01
#: The same where the scene is read once more after it.
_QUIET_AFTER_SCENE = 0.04

_BODY = json.dumps({"content": "What have you found in the forest today, and may I see it?"}).encode()
_DELTA = b'"response.output_text.delta"'
_BEGUN = b'"response.in_progress"'
_NO_TEXT = b'"output_text":""'


class Target:
    """A server to be measured: where to POST, the socket that tells, and what ends a reply there."""

    def __init__(
        self, url: str, request: bytes, socket: WebSocket, end: bytes, *, quiet: float = _QUIET
    ) -> None:
        self.request = request
        self.firsts: list[float] = []
        self.frames: list[float] = []
        self._url = url
        self._socket = socket
        self._end = end
        self._quiet = quiet

    def run(self, count: int) -> None:
        """Say something ``count`` times, each after the reply before; note the milliseconds."""
        with Http(self._url) as http:
            self._run_once(http)  # on a connection that is new, so it does not count
            for _ in range(count):
                first_frame, first_text = self._run_once(http)
                self.frames.append(first_frame * 1000)
                self.firsts.append(first_text * 1000)

    def _run_once(self, http: Http) -> tuple[float, float]:
        started = time.perf_counter()
        http.send(self.request)
        text = self._socket.receive()
        first_frame = time.perf_counter()
        while not _says_something(text):
            text = self._socket.receive()
        first_text = time.perf_counter()
        status, body = http.answer()
        if status != 202:
            raise RuntimeError(body.decode())
        self._socket.receive_until(self._end)
        time.sleep(self._quiet)
        return first_frame - started, first_text - started

    def forget(self) -> None:
        """Drop what was noted: it was the warm-up."""
        self.firsts.clear()
        self.frames.clear()

    def turn_to(self, url: str, token: str, conversation_id: str) -> None:
        """Go on in another conversation of the hub."""
        subscribe = {"type": "conversation.subscribe", "conversation_id": conversation_id}
        self._socket.send(json.dumps(subscribe).encode())
        self._socket.receive_until(b'"conversation.subscribed"')
        self.request = post_request(url, f"/api/conversations/{conversation_id}/messages", _BODY, token)


def _says_something(frame: bytes) -> bool:
    """Tell whether a frame brings text: a delta does, and an attempt that is joined once it has some."""
    return _DELTA in frame or (_BEGUN in frame and _NO_TEXT not in frame)


async def measure(world: World) -> list[Figure]:
    """Measure in one run, a round of each in turn: without reading the scene, and then with it."""
    with world.llm() as llm, world.program("bench.floor", "--llm", llm) as floor_url:
        async with world.hub_up(llm) as server:
            hub, floor, bare = await _measure(server.url, floor_url, ("ask", "greet"), _QUIET)
        async with world.hub_up(llm, HUB_SCENE_ANALYSIS="both") as server:
            reading, floor_reading = await _measure(server.url, floor_url, ("read",), _QUIET_AFTER_SCENE)
    with_scene = _figure(
        "POST to the first text where the scene is read before, against a task with the same two calls",
        reading.firsts,
        floor_reading.firsts,
        f"to the first frame: {summary(reading.frames)}",
    )
    return [*_figures(hub, floor, bare), with_scene]


async def _measure(hub_url: str, floor_url: str, routes: tuple[str, ...], quiet: float) -> list[Target]:
    """Return the hub and each of the floor's routes, measured a round of each in turn."""
    client = await Client(hub_url).register()
    companion = (await client.companion())["id"]
    with _targets(hub_url, floor_url, client.token, routes, quiet) as targets:
        for number in range(ROUNDS + 1):
            # A fresh conversation each round: the prompt's length stays what it is in the floor.
            conversation = await client.conversation(companion)
            targets[0].turn_to(hub_url, client.token, conversation["id"])
            for target in targets:
                target.run(EACH if number else WARM_UP)
                if not number:
                    target.forget()
    await client.close()
    return targets


@contextmanager
def _targets(
    hub_url: str, floor_url: str, token: str, routes: tuple[str, ...], quiet: float
) -> Iterator[list[Target]]:
    some_id = "01900000-0000-7000-8000-000000000000"
    with (
        WebSocket(hub_url, "/api/ws", token) as hub_socket,
        WebSocket(floor_url, "/ws") as floor_socket,
    ):
        hub_socket.receive_until(b'"session.created"')
        ended = b'"response.output_text.done"'
        requests = [post_request(floor_url, f"/{route}/{some_id}", _BODY) for route in routes]
        yield [
            Target(hub_url, b"", hub_socket, b'"response.completed"', quiet=quiet),
            *(Target(floor_url, request, floor_socket, ended) for request in requests),
        ]


def _figures(hub: Target, floor: Target, bare: Target) -> list[Figure]:
    return [
        _figure(
            "POST to the first frame on a WebSocket, against an in-process task",
            hub.frames,
            floor.frames,
            f"without a model, the task takes {summary(bare.frames)}",
        ),
        _figure(
            "POST to the first text of the reply there, against the same",
            hub.firsts,
            floor.firsts,
            f"without a model, the task takes {summary(bare.firsts)}",
        ),
    ]


def _figure(name: str, hub: list[float], floor: list[float], more: str) -> Figure:
    ratio = statistics.median(hub) / statistics.median(floor)
    per_round = [
        statistics.median(hub[at : at + EACH]) / statistics.median(floor[at : at + EACH])
        for at in range(0, len(hub), EACH)
    ]
    return Figure(
        name=name,
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"hub up: {summary(hub)}",
            f"in-process task with the same model: {summary(floor)}",
            more,
            f"the ratio in {len(per_round)} rounds: {min(per_round):.2f} to {max(per_round):.2f}",
        ),
    )
