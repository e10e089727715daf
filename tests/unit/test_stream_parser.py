"""The parser of chat streams: the same text however the bytes are cut, and no crash whatever they are."""

from __future__ import annotations

import random

import pytest

from hub.providers.llm.protocol import LanguageModelError, Usage
from hub.providers.llm.stream_parser import MAX_LINE_BYTES, MAX_STREAM_BYTES, StreamParser
from tests.fakes.llm_script import DONE, chunk, line

TEXT = "Grüße – “ça va” ☕🫖 \u2028 ok"
STREAM = (
    b": hello\n\n"
    + line(chunk(None, role="assistant"))
    + b"".join(line(chunk(character)) for character in TEXT)
    + line(chunk(finish="stop"))
    + line(
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, choices=False),
    )
    + DONE
)
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
    event = line(chunk("Hi"))
    assert parser.feed(event[:-2]) == ""
    assert parser.feed(event[-2:-1]) == "Hi"  # the line is enough; the blank line may come late


JSON_WORD = b'{"choices":[{"delta":{"content":"%s"},"finish_reason":null}]}'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        pytest.param(b"data:" + JSON_WORD % b"a" + b"\n\n" + FINISH, "a", id="no space"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b"\ndata: " + JSON_WORD % b"b" + b"\n" + FINISH, "ab",
                     id="no blank lines"),
        pytest.param(b'data: {"choices":[{"delta":\ndata: {"content":"a"}\ndata: }]}\n\n' + FINISH, "a",
                     id="several data lines"),
        pytest.param(b"\xef\xbb\xbfdata: " + JSON_WORD % b"a" + b"\n\n" + FINISH, "a", id="byte order mark"),
        pytest.param(b"event: x\nid: 7\nretry: 3\ndata: " + JSON_WORD % b"a" + b"\n\n" + FINISH, "a",
                     id="other fields"),
        pytest.param(b"data: " + JSON_WORD % rb"a\u0000b" + b"\n\n" + FINISH, "ab", id="NUL"),
        pytest.param(b"data: " + JSON_WORD % rb"\ud83e" + b"\n\ndata: " + JSON_WORD % rb"\uded6!" + b"\n\n"
                     + FINISH, "\U0001fad6!", id="surrogates in two events"),
        pytest.param(b"data: " + JSON_WORD % rb"a\ud83e" + b"\n\n" + FINISH, "a\ufffd", id="first half only"),
        pytest.param(b"data: " + JSON_WORD % rb"\uded6a" + b"\n\n" + FINISH, "\ufffda", id="second half only"),
        pytest.param(b"data: " + JSON_WORD % b"a\xf0\x9f" + b"\n\n" + FINISH, "a\ufffd", id="no UTF-8"),
        pytest.param(b'data: {"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}\n\n'
                     b'data: {"choices":null}\n\ndata: {}\n\n' + FINISH, "", id="nothing to say"),
        pytest.param(b'data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},'
                     b'{"type":"text","text":"a"}]}}]}\n\n' + FINISH, "a", id="content in parts"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b"\n\ndata: [DONE]\n\n", "a", id="DONE without a finish"),
        pytest.param(FINISH.strip(), "", id="finish without an end of line"),
        pytest.param(b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}', "a", id="no stream"),
        pytest.param(b'\n {\r\n"choices":\r[{"message":{"content":"a"}}]\n}\n', "a", id="no stream, indented"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b"\n\n" + FINISH + b'data: {"error":{"message":"late"}}\n\n',
                     "a", id="an error after the finish"),
    ],
)  # fmt: skip
def test_shapes_of_good_answers(stream: bytes, text: str) -> None:
    for cut in (0, len(stream) // 2, len(stream) - 1):
        got, parser = read(stream[:cut], stream[cut:])
        assert (got, parser.reason) == (text, "stop")


@pytest.mark.parametrize(
    ("stream", "code", "transient"),
    [
        pytest.param(b"", "llm_truncated", True, id="nothing"),
        pytest.param(b": ping\n\n" * 3, "llm_truncated", True, id="only comments"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b"\n\n", "llm_truncated", True, id="no finish"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b'\n\ndata: {"cho', "llm_garbled", True, id="cut in JSON"),
        pytest.param(b"<html><body>Welcome", "llm_bad_answer", False, id="HTML"),
        pytest.param(b"hello there\n", "llm_bad_answer", False, id="plain text"),
        pytest.param(b"OK", "llm_bad_answer", False, id="one word"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "llm_bad_answer", False, id="binary"),
        pytest.param(b'{"hello": 1}', "llm_bad_answer", False, id="other JSON"),
        pytest.param(b"[1, 2]", "llm_bad_answer", False, id="a JSON list"),
        pytest.param(b'{"choices": [', "llm_bad_answer", False, id="half a JSON"),
        pytest.param(b"data: " + b"[" * 100_000 + b"\n\n", "llm_bad_answer", False, id="deep JSON"),
        pytest.param(b"data: {nonsense}\n\n", "llm_bad_answer", False, id="no JSON"),
        pytest.param(b"data: " + JSON_WORD % b"a" + b"\n\n\xff\xfe\0\n", "llm_garbled", True, id="noise later"),
        pytest.param(b'data: {"choices": 7}\n\n', "llm_bad_answer", False, id="wrong shape"),
        pytest.param(b'data: {"error":{"message":"x","type":"server_error"}}\n\n', "llm_server_error", True,
                     id="error"),
        pytest.param(b'data: {"error":"boom"}\n\n', "llm_server_error", True, id="error as text"),
        pytest.param(b'data: {"object":"error","message":"x","code":500}\n\n', "llm_server_error", True,
                     id="vLLM's error"),
        pytest.param(b'data: {"object":"error"}\n\n', "llm_server_error", True, id="vLLM's error, bare"),
        pytest.param(b'error: {"error":{"code":400,"type":"exceed_context_size_error"}}\n\n',
                     "llm_context_exceeded", False, id="llama.cpp's error"),
        pytest.param(b': x\n{"error":{"code":429}}\n', "llm_overloaded", True, id="error without data"),
        pytest.param(b'{"error":{"code":"insufficient_quota"}}', "llm_quota", False, id="error with 200"),
        pytest.param(b'data: {"error":{"code":401,"message":"no"}}\n\n', "llm_refused_key", False, id="401"),
        pytest.param(b'data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}\n\n',
                     "llm_content_filter", False, id="content filter"),
        pytest.param(b'data: {"choices":[{"delta":{},"finish_reason":"error"}]}\n\n', "llm_server_error", True,
                     id="finish reason error"),
        pytest.param(b'data: {"choices":[{"delta":{},"finish_reason":"abort"}]}\n\n', "llm_truncated", True,
                     id="aborted"),
    ],
)  # fmt: skip
def test_shapes_of_failures(stream: bytes, code: str, transient: bool) -> None:  # noqa: FBT001 - a table's column
    error = failing(stream)
    assert (error.code, error.transient) == (code, transient)


@pytest.mark.parametrize(
    ("told", "reason"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("eos_token", "stop")],
)
def test_finish_reasons(told: str, reason: str) -> None:
    assert read(line(chunk(finish=told)))[1].reason == reason


@pytest.mark.parametrize("usage", ['"x"', "[]", '{"prompt_tokens":"many"}', "null", "{}", "-1"])
def test_a_usage_that_makes_no_sense_is_none(usage: str) -> None:
    assert read(FINISH + b'data: {"choices":[],"usage":%s}\n\n' % usage.encode())[1].usage is None


def test_long_answers_are_cut_at_the_limit() -> None:
    text, parser = read(STREAM[:-20], max_characters=5)
    assert (text, parser.reason, parser.cut) == (TEXT[:5], "length", True)


def test_a_line_has_a_limit() -> None:
    assert failing(*[b"data: " + b"x" * 65536] * (MAX_LINE_BYTES // 65536 + 1)).code == "llm_garbled"


def test_a_stream_has_a_limit() -> None:
    comments = b":\n" * 500_000
    parser = StreamParser(max_characters=10)
    with pytest.raises(LanguageModelError, match="unreadable"):
        for _ in range(MAX_STREAM_BYTES // len(comments) + 1):
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
