"""A fake language model at a steady pace, whose every token is the moment at which it was sent.

The moments are nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import uvloop

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import DONE, Script, Step, chunk, line

#: A message may wish for a reply of a length of its own.
_WISH = re.compile(r"in (\d+) tokens")


class Stamps(Sequence[Step]):
    """The steps of one answer, each token made when it is its turn."""

    def __init__(self, tokens: int, pace: float) -> None:
        self._tokens = tokens
        self._pause = 1 / pace

    def __iter__(self) -> Iterator[Step]:
        """Yield token, pause, token, ... and the end."""
        # Answers that start together do not speak in step.
        due = time.monotonic() + self._pause * (time.monotonic_ns() % 997) / 997
        for _ in range(self._tokens):
            yield max(due - time.monotonic(), 0.0)
            due += self._pause
            yield line(chunk(f" {time.monotonic_ns()}"))
        yield line(chunk(finish="stop"))
        yield DONE

    def __len__(self) -> int:
        """Return how many steps there are."""
        return 2 * self._tokens + 2

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        """Refuse: a step exists in its moment only."""
        raise TypeError("these steps can only be played in order")


async def _serve(tokens: int, pace: float) -> None:
    async with FakeLLM() as fake:
        fake.default = lambda body: Script(steps=Stamps(_wished(body) or tokens, pace))
        print(fake.url, flush=True)
        await asyncio.Event().wait()


def _wished(body: Mapping[str, object]) -> int:
    """Return how many tokens the last message asks for, 0 if it does not say."""
    messages = body["messages"]
    assert isinstance(messages, list)
    found = _WISH.search(str(messages[-1]["content"]))
    return int(found[1]) if found else 0


def main() -> None:
    """Serve until killed; print the base address first."""
    parser = argparse.ArgumentParser(description="A fake language model that tells the time.")
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--pace", type=float, required=True, help="tokens per second of each answer")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.tokens, options.pace))


if __name__ == "__main__":
    main()
