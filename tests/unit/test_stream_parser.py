"""The parser of chat streams: the same text however the bytes are cut, and no crash whatever they are."""

from __future__ import annotations

import random

import pytest

from hub.providers.llm.protocol import LanguageModelError, Usage
from hub.providers.llm.stream_parser import MAX_LINE_BYTES, MAX_STREAM_BYTES, StreamParser
from tests.fakes.llm_script import DONE, chunk, line

WORDS = "Grüße, “ça va” ☕🫖 \u2028 ok"
STREAM = (
    b": hello\n\n"
    + line(chunk(None, role="assistant"))
    + b"".join(line(chunk(character)) for character in WORDS)
    + b'data: {"choices":[{"delta":\ndata: {"content":"!"}}]}\n\n'
    + line(chunk(finish="stop"))
    + line(
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, choices=False),
    )
    + DONE
)
TEXT = WORDS + "!"
USAGE = Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)


def read(*pieces: bytes, max_characters: int = 1000) -> tuple[str, StreamParser]:
    parser = StreamParser(max_characters=max_characters)
    text = ""
    for piece in pieces:
        text += parser.feed(piece)
        if parser.done:
            return text + parser.flush(), parser
    return text + parser.end(), parser


def failing(*pieces: bytes) -> LanguageModelError:
    with pytest.raises(LanguageModelError) as caught:
        read(*pieces)
    return caught.value


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_every_cut_gives_the_same_text(eol: bytes) -> None:
    stream = STREAM.replace(b"\n", eol)
    for cut in range(len(stream)):
        text, parser = read(stream[:cut], stream[cut:])
        assert (text, parser.reason, parser.usage) == (TEXT, "stop", USAGE), cut
    text, parser = read(*(stream[at : at + 1] for at in range(len(stream))))
    assert (text, parser.reason, parser.usage) == (TEXT, "stop", USAGE)


def test_text_comes_with_the_bytes_that_complete_it() -> None:
    parser = StreamParser(max_characters=100)
    whole = line(chunk("Hi"))
    assert parser.feed(whole[:-2]) == ""
    assert parser.feed(whole[-2:-1]) == "Hi"  # the line is enough; the blank line may come late


def event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def word(text: bytes) -> bytes:
    return b'{"choices":[{"delta":{"content":"%s"},"finish_reason":null}]}' % text


def finish(reason: bytes) -> bytes:
    return event(b'{"choices":[{"delta":{},"finish_reason":"%s"}]}' % reason)


A = event(word(b"a"))
STOP = finish(b"stop")
PARTS = b'[{"type":"thinking","thinking":[]},{"type":"text","text":"a"}]'

GOOD: dict[str, tuple[bytes, str]] = {
    "no space": (b"data:" + word(b"a") + b"\n\n" + STOP, "a"),
    "no blank lines": (b"data: " + word(b"a") + b"\ndata: " + word(b"b") + b"\n" + STOP, "ab"),
    "several lines": (b'data: {"choices":[{"delta":\ndata: {"content":"a"}\ndata: }]}\n\n' + STOP, "a"),
    "byte order mark": (b"\xef\xbb\xbf" + A + STOP, "a"),
    "other fields": (b"event: x\nid: 7\nretry: 3\n" + A + STOP, "a"),
    "NUL": (event(word(rb"a\u0000b")) + STOP, "ab"),
    "surrogates in two events": (event(word(rb"\ud83e")) + event(word(rb"\uded6!")) + STOP, "\U0001fad6!"),
    "first half only": (event(word(rb"a\ud83e")) + STOP, "a\ufffd"),
    "second half only": (event(word(rb"\uded6a")) + STOP, "\ufffda"),
    "no UTF-8": (event(word(b"a\xf0\x9f")) + STOP, "a\ufffd"),
    "only thoughts": (event(b'{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}') + STOP, ""),
    "empty chunks": (event(b'{"choices":null}') + event(b"{}") + STOP, ""),
    "content in parts": (event(b'{"choices":[{"delta":{"content":%s}}]}' % PARTS) + STOP, "a"),
    "DONE without a finish": (A + DONE, "a"),
    "finish without an end of line": (A + STOP.strip(), "a"),
    "no stream": (b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}', "a"),
    "no stream, indented": (b'\n {\r\n"choices":\r[{"message":{"content":"a"}}]\n}\n', "a"),
    "an error after the finish": (A + STOP + event(b'{"error":{"message":"late"}}'), "a"),
}


@pytest.mark.parametrize("case", GOOD)
def test_shapes_of_good_answers(case: str) -> None:
    stream, text = GOOD[case]
    for cut in (0, len(stream) // 2, len(stream) - 1):
        got, parser = read(stream[:cut], stream[cut:])
        assert (got, parser.reason) == (text, "stop")


TRANSIENT = {
    "llm_truncated": True,
    "llm_garbled": True,
    "llm_server_error": True,
    "llm_overloaded": True,
    "llm_bad_answer": False,
    "llm_context_exceeded": False,
    "llm_quota": False,
    "llm_refused_key": False,
    "llm_content_filter": False,
}
FAILING: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "llm_truncated"),
    "only comments": (b": ping\n\n" * 3, "llm_truncated"),
    "no finish": (A, "llm_truncated"),
    "cut in JSON": (A + b'data: {"cho', "llm_truncated"),
    "HTML": (b"<html><body>Welcome", "llm_bad_answer"),
    "plain text": (b"hello there\n", "llm_bad_answer"),
    "one word": (b"OK", "llm_bad_answer"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0", "llm_bad_answer"),
    "other JSON": (b'{"hello": 1}', "llm_bad_answer"),
    "a JSON list": (b"[1, 2]", "llm_bad_answer"),
    "half a JSON": (b'{"choices": [', "llm_bad_answer"),
    "deep JSON": (event(b"[" * 100_000), "llm_bad_answer"),
    "no JSON": (event(b"{nonsense}"), "llm_bad_answer"),
    "wrong shape": (event(b'{"choices": 7}'), "llm_bad_answer"),
    "no JSON later": (A + event(b"{nonsense}"), "llm_garbled"),
    "noise later": (A + b"\xff\xfe\0\n", "llm_garbled"),
    "error": (event(b'{"error":{"message":"x","type":"server_error"}}'), "llm_server_error"),
    "error as text": (event(b'{"error":"boom"}'), "llm_server_error"),
    "vLLM's": (event(b'{"object":"error","message":"x","code":500}'), "llm_server_error"),
    "vLLM's, bare": (event(b'{"object":"error"}'), "llm_server_error"),
    "llama.cpp's": (b'error: {"code":400,"type":"exceed_context_size_error"}\n\n', "llm_context_exceeded"),
    "llama.cpp's, wrapped": (b'error: {"error":{"code":500}}\n\n', "llm_server_error"),
    "error without data": (b': x\n{"error":{"code":429}}\n', "llm_overloaded"),
    "error with 200": (b'{"error":{"code":"insufficient_quota"}}', "llm_quota"),
    "error with half a character": (event(rb'{"error":{"code":429,"message":"\ud83d"}}'), "llm_overloaded"),
    "deep error": (event(b'{"error":%b%b}' % (b"[" * 900, b"]" * 900)), "llm_server_error"),
    "deep JSON with half a character": (
        event(rb'{"x":"\ud83d","y":' + b"[" * 100_000 + b"}"),
        "llm_bad_answer",
    ),
    "401 inside": (event(b'{"error":{"code":401,"message":"no"}}'), "llm_refused_key"),
    "content filter": (finish(b"content_filter"), "llm_content_filter"),
    "finish reason error": (finish(b"error"), "llm_server_error"),
    "aborted": (finish(b"abort"), "llm_truncated"),
}


@pytest.mark.parametrize("case", FAILING)
def test_shapes_of_failures(case: str) -> None:
    stream, code = FAILING[case]
    error = failing(stream)
    assert (error.code, error.transient) == (code, TRANSIENT[code])


@pytest.mark.parametrize(
    ("told", "reason"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("eos_token", "stop")],
)
def test_finish_reasons(told: str, reason: str) -> None:
    assert read(line(chunk(finish=told)))[1].reason == reason


TOO_MANY = f'{{"prompt_tokens":1,"completion_tokens":{"9" * 400}}}'


@pytest.mark.parametrize("usage", ['"x"', "[]", '{"prompt_tokens":"many"}', "null", "{}", "-1", TOO_MANY])
def test_a_usage_that_makes_no_sense_is_none(usage: str) -> None:
    assert read(STOP + event(b'{"choices":[],"usage":%s}' % usage.encode()))[1].usage is None


def test_long_answers_are_cut_at_the_limit() -> None:
    text, parser = read(STREAM[:-20], max_characters=5)
    assert (text, parser.reason, parser.cut) == (TEXT[:5], "length", True)


def test_a_line_has_a_limit() -> None:
    assert failing(*[b"data: " + b"x" * 65536] * (MAX_LINE_BYTES // 65536 + 1)).code == "llm_garbled"


def test_a_stream_has_a_limit() -> None:
    comments = (b":" + b"~" * 60_000 + b"\n") * 16
    parser = StreamParser(max_characters=10)
    for _ in range(MAX_STREAM_BYTES // len(comments)):
        parser.feed(comments)
    with pytest.raises(LanguageModelError, match="unreadable"):
        parser.feed(comments)


def test_mutants_of_a_stream_never_crash() -> None:
    dice = random.Random(7)
    for _ in range(3000):
        bytes_ = bytearray(STREAM)
        for _ in range(dice.randint(1, 12)):
            at = dice.randrange(len(bytes_))
            match dice.randint(0, 2):
                case 0:
                    bytes_[at] = dice.randrange(256)
                case 1:
                    del bytes_[at : at + dice.randint(1, 40)]
                case _:
                    bytes_[at:at] = dice.randbytes(dice.randint(1, 20))
        cut = dice.randrange(len(bytes_))
        try:
            text, _ = read(bytes(bytes_[:cut]), bytes(bytes_[cut:]))
        except LanguageModelError:
            continue
        text.encode()  # no lone surrogate
        assert "\0" not in text
