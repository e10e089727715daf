"""An image process: ``python -P -m hub.storage.codec.program PARENT_PID CPU_SECONDS``.

Started by ``hub.storage.images``. Reads an order a line from standard input and answers on standard output;
ends with its input, or with its parent.
"""

from __future__ import annotations

import os
import select
import sys

import msgspec
import pyvips

from hub.storage.codec import pictures
from hub.storage.codec.confinement import allow_seconds, confine, give_back
from hub.storage.codec.contracts import (
    Answer,
    Begun,
    Converted,
    DiskFailed,
    EncodeOrder,
    Order,
    Painted,
    PaintOrder,
    Ready,
    Refusal,
    Refused,
    Result,
)
from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.codec.painter.painting import paint

# Memory that goes back after each picture has to come again for the next one, a twentieth of all work.
_REST_SECONDS = 0.5


def main() -> None:
    """Carry out orders until there are no more."""
    parent, seconds = (int(argument) for argument in sys.argv[1:])
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever native code prints is no answer
    confine(parent)
    pyvips.cache_set_max(0)
    pictures.allow_only(None)
    decoder = msgspec.json.Decoder(Order)
    _say(answers, Ready())
    for line in sys.stdin.buffer:
        order = decoder.decode(line)
        allow_seconds(seconds)
        _say(answers, Begun())
        _say(answers, _carry_out(order))
        if not select.select([sys.stdin], [], [], _REST_SECONDS)[0]:  # nobody sends two orders at once
            give_back()


def _carry_out(order: Order) -> Result:
    try:
        if isinstance(order, EncodeOrder):
            return pictures.encode(order)
        if isinstance(order, PaintOrder):
            paint(order)
            return Painted()
        pictures.convert(order)
        return Converted()
    except (UnsupportedImageError, UnreadableImageError, TooManyPixelsError) as error:
        return Refused(code=_code(error), detail=str(error))
    except MemoryError:
        return Refused(
            code="unreadable_image", detail="The picture takes too much memory. Please send a smaller one."
        )
    except OSError as error:
        return DiskFailed(number=error.errno or 0, text=error.strerror or type(error).__name__)


def _code(error: UnsupportedImageError | UnreadableImageError | TooManyPixelsError) -> Refusal:
    if isinstance(error, UnsupportedImageError):
        return "unsupported_image"
    return "too_many_pixels" if isinstance(error, TooManyPixelsError) else "unreadable_image"


def _say(answers: int, answer: Answer) -> None:
    os.write(answers, msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
