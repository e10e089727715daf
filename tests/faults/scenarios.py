"""How a turn comes to the points where it is interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

from tests.fakes.llm_script import error
from tests.faults.failpoints import Action
from tests.faults.points import BEFORE
from tests.faults.turn import Turn


async def _send(turn: Turn) -> None:
    """A message without a key."""
    turn.arm()
    await turn.say_once(turn.new_content())


async def _send_with_key(turn: Turn) -> None:
    turn.arm()
    await turn.say(turn.new_content())


async def _send_by_socket(turn: Turn) -> None:
    turn.arm()
    await turn.say_by_socket(turn.new_content())


async def _send_unheard(turn: Turn) -> None:
    """The process that stored the message did not ring for it: a sweep has to."""
    turn.cluster.arm("Relay.ring", BEFORE, Action.SKIP)
    turn.arm()
    await turn.say(turn.new_content())


async def _send_long(turn: Turn) -> None:
    """The model stops in the middle of its answer until the fault has happened."""
    content = turn.new_content()
    turn.cluster.model.holds(content, turn.go)
    turn.arm()
    await turn.say(content)


async def _retry_later(turn: Turn) -> None:
    """The model's server fails once in a way that passes."""
    content = turn.new_content()
    turn.cluster.model.answers_first(content, error(503))
    turn.arm()
    await turn.say(content)


async def _fail(turn: Turn) -> None:
    """The model's server refuses for good."""
    content = turn.new_content()
    turn.ends_as = "failed"
    turn.cluster.model.answers_first(content, *[error(400)] * 9)
    turn.arm()
    await turn.say(content)


async def _ask_again(turn: Turn) -> None:
    content = turn.new_content()
    turn.cluster.model.answers_first(content, error(400))
    response_id = await turn.say(content)
    await turn.settle()
    turn.arm()
    answer = await turn.talker.insist("POST", f"/api/responses/{response_id}/retry")
    assert answer.status_code in (202, 409), answer.text  # 409: an answer that was cut had done it


async def _write_anew(turn: Turn) -> None:
    """The reply is asked for once more, under a key."""
    content = turn.new_content()
    await turn.say(content)
    await turn.settle()
    turn.arm()
    await turn.have_written_anew(content)


async def _cancel(turn: Turn) -> None:
    """Cancel a reply in its middle, with another message waiting behind it."""
    content = turn.new_content()
    turn.ends_as, turn.goes_when_fired = "cancelled", False
    turn.cluster.model.holds(content, turn.go)
    response_id = await turn.say(content)
    await turn.viewer.reads(response_id)
    await turn.say(turn.new_content())
    turn.arm()
    answer = await turn.talker.insist("POST", f"/api/responses/{response_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text


async def _release(turn: Turn) -> None:
    """The worker is asked to stop in the middle of a reply."""
    await _signal_worker(turn, signal.SIGTERM)


async def _rescue(turn: Turn) -> None:
    """The worker dies in the middle of a reply."""
    await _signal_worker(turn, signal.SIGKILL)


async def _signal_worker(turn: Turn, number: signal.Signals) -> None:
    content = turn.new_content()
    turn.cluster.model.holds(content, turn.go)
    response_id = await turn.say(content)
    await turn.viewer.reads(response_id)
    pid = await turn.worker_of(response_id)
    turn.arm()
    os.kill(pid, number)


async def _paint(turn: Turn) -> None:
    """A picture is asked for with a message."""
    turn.arm()
    await turn.say(turn.new_content(), paints=True)


async def _paint_long(turn: Turn) -> None:
    """The image server stops in the middle of it until the fault has happened."""
    turn.cluster.studio.holds(turn.go)
    await _paint(turn)


async def _paint_later(turn: Turn) -> None:
    """The image server fails once in a way that passes."""
    turn.cluster.studio.fails_once()
    await _paint(turn)


async def _paint_in_vain(turn: Turn) -> None:
    """The image server refuses for good."""
    turn.picture_ends_as = "failed"
    turn.cluster.studio.refuses()
    await _paint(turn)


async def _release_picture(turn: Turn) -> None:
    """The worker is asked to stop in the middle of a picture."""
    await _signal_painter(turn, signal.SIGTERM)


async def _rescue_picture(turn: Turn) -> None:
    """The worker dies in the middle of a picture."""
    await _signal_painter(turn, signal.SIGKILL)


async def _signal_painter(turn: Turn, number: signal.Signals) -> None:
    turn.cluster.studio.holds(turn.go)
    response_id = await turn.say(turn.new_content(), paints=True)
    pid = await turn.worker_of(response_id, "image")
    await turn.cluster.studio.works()
    turn.arm()
    os.kill(pid, number)


async def _release_reading(turn: Turn) -> None:
    """The worker is asked to stop while the scene is read."""
    await _signal_reader(turn, signal.SIGTERM)


async def _rescue_reading(turn: Turn) -> None:
    """The worker dies while the scene is read."""
    await _signal_reader(turn, signal.SIGKILL)


async def _signal_reader(turn: Turn, number: signal.Signals) -> None:
    content = turn.new_content()
    turn.cluster.model.holds_reading(content, turn.go)
    response_id = await turn.say(content, paints=True)
    pid = await turn.worker_of(response_id, "scene")
    turn.arm()
    os.kill(pid, number)


SCENARIOS: dict[str, Callable[[Turn], Awaitable[None]]] = {
    "send": _send,
    "send with key": _send_with_key,
    "send by socket": _send_by_socket,
    "send unheard": _send_unheard,
    "send long": _send_long,
    "retry later": _retry_later,
    "fail": _fail,
    "ask again": _ask_again,
    "write anew": _write_anew,
    "cancel": _cancel,
    "release": _release,
    "rescue": _rescue,
    "paint": _paint,
    "paint long": _paint_long,
    "paint later": _paint_later,
    "paint in vain": _paint_in_vain,
    "release picture": _release_picture,
    "rescue picture": _rescue_picture,
    "release reading": _release_reading,
    "rescue reading": _rescue_reading,
}
