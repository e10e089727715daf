"""How much room a text takes in a model's context, told without the model's own tokens."""

from __future__ import annotations

#: Bytes of UTF-8 that are counted as one token; English has about four, so this errs on the safe side.
BYTES_PER_TOKEN = 3
#: Tokens that a chat template adds to each message.
MESSAGE_OVERHEAD = 6


def tokens(text: str) -> int:
    """Estimate the tokens of one message, rather too many than too few."""
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + MESSAGE_OVERHEAD


def shorten(text: str, budget: int) -> str:
    """Cut a message's end at a budget of tokens."""
    room = max(budget - MESSAGE_OVERHEAD, 1) * BYTES_PER_TOKEN
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text
    return encoded[:room].decode("utf-8", "ignore")


def shorten_start(text: str, budget: int) -> str:
    """Cut a message's start at a budget of tokens, for one whose end is the newest."""
    return shorten(text[::-1], budget)[::-1]
