"""The OpenAI-compatible model against a real HTTP server with every fault that servers have."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import shutil
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.http.network import open_pool
from hub.providers.llm import ChatRequest, Delta, Finish, LanguageModelError, Usage
from hub.providers.llm.openai_compatible import OpenAICompatible
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import (
    DONE,
    End,
    Script,
    Step,
    chunk,
    default_text,
    error,
    line,
    reply,
    silence,
    status,
    stream,
)
from tests.services.outside_model import KEY, ask, model_at

HELLO = line(chunk("Hello"))
STOP = line(chunk(finish="stop"))


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as server:
        yield server


async def answer(model: OpenAICompatible, request: ChatRequest | None = None) -> tuple[str, Finish]:
    """Read a whole answer, checking what every answer keeps: no empty delta, one finish, last."""
    events = [event async for event in model.stream(request or ask())]
    finish = events.pop()
    assert isinstance(finish, Finish)
    deltas = [event.text for event in events if isinstance(event, Delta)]
    assert len(deltas) == len(events)
    assert all(deltas)
    return "".join(deltas), finish


async def failure(model: OpenAICompatible) -> LanguageModelError:
    with pytest.raises(LanguageModelError) as caught:
        await answer(model)
    return caught.value


async def test_a_reply_streams_in(fake: FakeLLM) -> None:
    gate = asyncio.Event()
    fake.script(reply(["One", " two", " three"], between={2: gate}))
    async with model_at(fake.url) as model, contextlib.aclosing(model.stream(ask())) as events:
        text = ""
        while text != "One two":  # before the gate opens: nothing waits for the end
            event = await anext(events)
            assert isinstance(event, Delta)
            text += event.text
        gate.set()
        rest = [event async for event in events]
    assert rest == [
        Delta(" three"),
        Finish("stop", Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)),
    ]


async def test_the_request_is_what_was_asked(fake: FakeLLM) -> None:
    async with model_at(fake.url) as model:
        text, _ = await answer(model, ask("Ça va ? 🫖", stop=("\nUser:",)))
    assert text == "You said: “Ça va ? 🫖” — how lovely ☕ 🫖, tell me more."
    (request,) = fake.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.body == {
        "model": "test-model",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Ça va ? 🫖"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": ["\nUser:"],
    }


async def test_without_a_key_no_authorization_is_sent(fake: FakeLLM) -> None:
    async with model_at(fake.url, key=None) as model:
        await answer(model)
    assert "authorization" not in fake.requests[0].headers


COMPLETION = {
    "choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
GOOD: dict[str, tuple[Script, str, str]] = {
    "plain": (reply("Grüße, ☕ and 🫖!"), "Grüße, ☕ and 🫖!", "stop"),
    "CRLF": (reply("Hello there", eol="\r\n"), "Hello there", "stop"),
    "comments": (reply("Hello there", comment="OPENROUTER PROCESSING"), "Hello there", "stop"),
    "no role, no usage": (reply("Hello", role=False, usage=False), "Hello", "stop"),
    "finish without DONE": (reply("Hello", done=False), "Hello", "stop"),
    "DONE without finish": (reply("Hello", finish=None, usage=False), "Hello", "stop"),
    "length": (reply("Hello", finish="length"), "Hello", "length"),
    "tool calls": (reply("Hello", finish="tool_calls"), "Hello", "stop"),
    "empty": (reply([]), "", "stop"),
    "white space": (reply([" ", "\n"]), " \n", "stop"),
    "until EOF": (Script(steps=[HELLO, STOP, DONE], framing="close"), "Hello", "stop"),
    "closed after the finish": (stream(HELLO, STOP, End.CLOSE), "Hello", "stop"),
    "reset after the finish": (stream(HELLO, STOP, 0.01, End.RESET), "Hello", "stop"),
    "no stream": (status(200, COMPLETION), "Hi.", "stop"),
    "wrong content type": (Script(steps=[HELLO, STOP], content_type="text/plain"), "Hello", "stop"),
    "a character cut in two": (stream(*(bytes([byte]) for byte in line(chunk("🫖"))), STOP), "🫖", "stop"),
}


@pytest.mark.parametrize("case", GOOD)
async def test_good_answers(fake: FakeLLM, case: str) -> None:
    script, text, reason = GOOD[case]
    fake.script(script)
    async with model_at(fake.url) as model:
        got, finish = await answer(model)
    assert (got, finish.reason) == (text, reason)


HTML = "<html><body>Bad gateway sk-canary-5f1c9e</body></html>"
FAILING: dict[str, tuple[Script, str, bool]] = {
    "401": (error(401, f"Incorrect API key: {KEY}", code="invalid_api_key"), "llm_refused_key", False),
    "402": (status(402), "llm_quota", False),
    "403": (error(403, "model_access_denied"), "llm_forbidden", False),
    "404": (error(404, "no such model", code="model_not_found"), "llm_not_found", False),
    "400": (error(400, "temperature must be <= 2"), "llm_bad_request", False),
    "400 context": (error(400, "too long", code="context_length_exceeded"), "llm_context_exceeded", False),
    "400 vLLM context": (
        status(400, {"object": "error", "message": "This model's maximum context length is 8 tokens."}),
        "llm_context_exceeded",
        False,
    ),
    "400 max_tokens too large": (error(400, "max_tokens is too large: 50"), "llm_bad_request", False),
    "413": (status(413, HTML, content_type="text/html"), "llm_context_exceeded", False),
    "422": (status(422, {"detail": [{"msg": "bad", "input": "How are you?"}]}), "llm_bad_request", False),
    "408": (status(408), "llm_timeout", True),
    "409": (status(409), "llm_overloaded", True),
    "425": (status(425), "llm_overloaded", True),
    "429 rate": (error(429, "see /account/billing", type="requests"), "llm_overloaded", True),
    "429 quota": (error(429, code="insufficient_quota"), "llm_quota", False),
    "500": (error(500, "boom"), "llm_server_error", True),
    "500 empty": (status(500), "llm_server_error", True),
    "502 HTML": (status(502, HTML, content_type="text/html"), "llm_server_error", True),
    "503 HTML": (status(503, HTML, content_type="text/html"), "llm_overloaded", True),
    "504": (status(504), "llm_timeout", True),
    "204": (Script(status=204, framing="close"), "llm_bad_answer", False),
    "301": (status(301, headers={"location": "http://127.0.0.1:1/v1"}), "llm_redirected", False),
    "307": (status(307, headers={"location": "https://example.org/"}), "llm_redirected", False),
    "endless error": (Script(steps=[*[b"x" * 60_000] * 4, End.HANG], status=500), "llm_server_error", True),
    "closed before the head": (Script(status=None, before_head=[End.CLOSE]), "llm_unreachable", True),
    "reset before the head": (Script(status=None, before_head=[End.RESET]), "llm_unreachable", True),
    "no HTTP": (Script(status=None, before_head=[b"SSH-2.0-x\r\n", End.CLOSE]), "llm_unreachable", True),
    "nothing": (stream(), "llm_truncated", True),
    "ended midway": (stream(HELLO), "llm_truncated", True),
    "closed midway": (stream(HELLO, End.CLOSE), "llm_truncated", True),
    "reset midway": (stream(HELLO, 0.01, End.RESET), "llm_truncated", True),
    "closed in a character": (stream(HELLO, line(chunk("🫖"))[:-8], End.CLOSE), "llm_truncated", True),
    "error midway": (stream(HELLO, line({"error": {"message": KEY, "code": 502}})), "llm_server_error", True),
    "vLLM error midway": (
        stream(HELLO, line({"object": "error", "message": "CUDA out of memory", "code": 500})),
        "llm_server_error",
        True,
    ),
    "content filter": (stream(HELLO, line(chunk(finish="content_filter"))), "llm_content_filter", False),
    "HTML": (Script(steps=[HTML.encode()], content_type="text/html"), "llm_bad_answer", False),
    "noise": (stream(bytes(range(256)) * 40), "llm_bad_answer", False),
    "noise midway": (stream(HELLO, b"\0\xff\xfe\n"), "llm_garbled", True),
    "gzip": (stream(b"\x1f\x8b\x08" + bytes(40)), "llm_bad_answer", False),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING)
async def test_failures(fake: FakeLLM, case: str) -> None:
    script, code, transient = FAILING[case]
    fake.script(script)
    async with model_at(fake.url) as model:
        caught = await failure(model)
        assert (caught.code, caught.transient) == (code, transient)
        assert caught.message.endswith(".")
        whole = "".join(traceback.format_exception(caught)) + repr(vars(caught)) + repr(model)
        for secret in (KEY, "<", "How are you"):
            assert secret not in caught.message + caught.detail
        assert KEY not in whole
        await answer(model)  # and the next question is none the worse


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        ("-3", 0, 0),
        ("999999", 3600, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Tue, 31 Dec 2999 23:59:59 GMT", 3600, 3600),
        ("in 90 seconds", 60, 90),
    ],
)
async def test_retry_after(fake: FakeLLM, value: str, low: float, high: float) -> None:
    if value == "in 90 seconds":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    fake.script(error(429, "slow down", headers={"Retry-After": value}))
    async with model_at(fake.url) as model:
        wish = (await failure(model)).retry_after
    assert wish is not None
    assert low <= wish <= high


@pytest.mark.parametrize("value", ["soon", "nan", ""])
async def test_a_senseless_retry_after_is_none(fake: FakeLLM, value: str) -> None:
    fake.script(error(503, "slow down", headers={"Retry-After": value}))
    async with model_at(fake.url) as model:
        assert (await failure(model)).retry_after is None


async def test_a_refused_parameter_is_left_out_from_then_on(fake: FakeLLM) -> None:
    fake.script(
        error(400, "Unrecognized request argument supplied: stream_options"),
        error(400, "Unsupported parameter", param="max_tokens", code="unsupported_parameter"),
        status(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"]}]}),
    )
    async with model_at(fake.url) as model:
        await answer(model)
        await answer(model)
    for request in fake.requests[3:]:
        assert request.body.keys() == {"model", "messages", "stream", "max_completion_tokens"}
        assert request.body["max_completion_tokens"] == 50
    assert len(fake.requests) == 5


async def test_a_fallback_that_does_not_help_is_not_remembered(fake: FakeLLM) -> None:
    fake.script(error(400, "unknown field stream_options"), error(500))
    async with model_at(fake.url) as model:
        await failure(model)
        await answer(model)
    assert "stream_options" in fake.requests[-1].body


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param(silence(), "", id="never answers"),
        pytest.param(stream(End.HANG), "", id="no first byte"),
        pytest.param(stream(HELLO, End.HANG), "Hello", id="falls silent"),
    ],
)
async def test_silence_is_given_up(fake: FakeLLM, script: Script, text: str) -> None:
    fake.script(script)
    async with model_at(fake.url, silence_seconds=0.1) as model:
        events = model.stream(ask())
        if text:
            assert await anext(events) == Delta(text)
        with pytest.raises(LanguageModelError) as caught:
            await anext(events)
        assert (caught.value.code, caught.value.transient) == ("llm_timeout", True)
        await fake.wait_for_disconnects()


async def test_comments_break_the_silence_but_not_the_deadline(fake: FakeLLM) -> None:
    slow: list[Step] = [step for _ in range(8) for step in (b": processing\n\n", 0.05)]
    fake.script(stream(*slow, HELLO, STOP), stream(*slow * 100))
    async with model_at(fake.url, silence_seconds=0.2, total_seconds=1) as model:
        assert (await answer(model))[0] == "Hello"
        assert (await failure(model)).code == "llm_timeout"


async def test_empty_chunks_without_end_meet_the_deadline(fake: FakeLLM) -> None:
    empty: list[Step] = [line(chunk("")), 0.02]
    fake.script(stream(*empty * 1000))
    async with model_at(fake.url, silence_seconds=0.2, total_seconds=0.3) as model:
        assert (await failure(model)).code == "llm_timeout"


async def test_a_text_without_end_is_cut(fake: FakeLLM) -> None:
    fake.script(stream(*[line(chunk("ab ☕"))] * 100, End.HANG))
    async with model_at(fake.url, max_characters=10) as model:
        text, finish = await answer(model)
        await fake.wait_for_disconnects()
    assert (text, finish.reason) == ("ab ☕ab ☕ab", "length")


async def test_a_server_that_never_closes_does_not_hold_up_the_end(fake: FakeLLM) -> None:
    fake.script(stream(HELLO, STOP, DONE, End.HANG))
    async with asyncio.timeout(5), model_at(fake.url, silence_seconds=60) as model:
        assert (await answer(model))[0] == "Hello"


async def test_closing_the_stream_closes_the_connection(fake: FakeLLM) -> None:
    fake.script(stream(HELLO, End.HANG))
    async with model_at(fake.url) as model:
        async with contextlib.aclosing(model.stream(ask())) as events:
            assert await anext(events) == Delta("Hello")
        await fake.wait_for_disconnects()


@pytest.mark.parametrize("script", [silence(), stream(HELLO, End.HANG)], ids=["before the head", "midway"])
async def test_cancelling_closes_the_connection(fake: FakeLLM, script: Script) -> None:
    fake.script(script)
    async with model_at(fake.url) as model:
        asking = asyncio.create_task(answer(model))
        await fake.wait_for_requests()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await fake.wait_for_disconnects()
        await answer(model)


async def test_connections_are_kept_and_shared(fake: FakeLLM) -> None:
    async with model_at(fake.url) as model:
        for _ in range(5):
            await answer(model)
        assert fake.connections == 1
        await asyncio.gather(*(answer(model, ask(str(number))) for number in range(20)))
        assert fake.connections <= 20


async def test_a_kept_connection_that_the_server_closes_costs_nothing(fake: FakeLLM) -> None:
    async with model_at(fake.url) as model:
        await answer(model)
        # The request meets a connection on its way out: read, never answered, closed.
        fake.script(Script(status=None, before_head=[End.CLOSE]))
        assert (await answer(model))[0] == default_text(fake.requests[0].body)
    assert len(fake.requests) == 3


async def test_a_server_that_restarts_is_found_again(fake: FakeLLM) -> None:
    async with model_at(fake.url) as model:
        await answer(model)
        await fake.stop()
        caught = await failure(model)
        assert (caught.code, caught.transient) == ("llm_unreachable", True)
        await fake.start()
        await answer(model)


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    async with model_at("http://nowhere.invalid/v1") as model:
        caught = await failure(model)
    assert (caught.code, caught.transient) == ("llm_unreachable", True)


async def test_five_hundred_streams_at_once(fake: FakeLLM) -> None:
    async with model_at(fake.url, silence_seconds=30) as model, asyncio.TaskGroup() as group:
        asking = [group.create_task(answer(model, ask(f"n{number}"))) for number in range(500)]
    replies = [task.result() for task in asking]
    expected = [
        default_text({"messages": [{"role": "user", "content": f"n{number}"}]}) for number in range(500)
    ]
    assert [text for text, _ in replies] == expected


async def test_proxies_of_the_environment_are_not_used(
    fake: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with model_at(fake.url) as model:
        await answer(model)


async def test_nothing_secret_is_logged(fake: FakeLLM, caplog: pytest.LogCaptureFixture) -> None:
    fake.script(error(401, KEY))
    with caplog.at_level(logging.DEBUG):
        async with model_at(fake.url) as model:
            await failure(model)
            await answer(model)
    assert KEY not in caplog.text
    assert "How are you" not in caplog.text


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (status(200, {"data": []}), None),
        (status(404), None),
        (status(405), None),
        (error(401), "llm_refused_key"),
        (status(500), "llm_server_error"),
        (status(302), "llm_redirected"),
        (silence(), "llm_timeout"),
    ],
)
async def test_check(fake: FakeLLM, script: Script, code: str | None) -> None:
    fake.models = script
    async with model_at(fake.url, silence_seconds=0.2) as model:
        if code is None:
            await model.check()
        else:
            with pytest.raises(LanguageModelError) as caught:
                await model.check()
            assert caught.value.code == code


async def test_check_of_a_server_that_is_down() -> None:
    async with FakeLLM() as fake:
        url = fake.url
    async with model_at(url) as model:
        with pytest.raises(LanguageModelError) as caught:
            await model.check()
    assert caught.value.code == "llm_unreachable"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://127.0.0.1/v1", f"{KEY}\nX-Other: 1"),
        ("http://127.0.0.1/v1", f"{KEY}é"),
        ("ftp://127.0.0.1/v1", KEY),
        ("127.0.0.1:8000/v1", KEY),
        ("http:///v1", KEY),
        ("http://127.0.0.1:99999/v1", KEY),
        (f"http://me:{KEY}@127.0.0.1/v1", None),
        ("http://127.0.0.1/v 1", KEY),
        ("http://127.0.0.1/vé", KEY),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(url: str, key: str | None) -> None:
    with pytest.raises(ValueError, match="language model") as caught:
        OpenAICompatible(base_url=url, key=key, model="m", timeout=1, context_tokens=1, pool=open_pool())
    assert KEY not in str(caught.value)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        f"{program} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
async def tls_fake(certificate: Path) -> AsyncIterator[FakeLLM]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with FakeLLM(tls=context) as server:
        yield server


async def test_tls(tls_fake: FakeLLM, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    tls_fake.script(reply("Hello there"), stream(HELLO, End.HANG))
    async with model_at(tls_fake.url) as model:
        assert (await answer(model))[0] == "Hello there"
        async with contextlib.aclosing(model.stream(ask())) as events:
            assert await anext(events) == Delta("Hello")
        await tls_fake.wait_for_disconnects()
        assert tls_fake.connections == 1


async def test_one_pool_serves_http_and_https(
    fake: FakeLLM, tls_fake: FakeLLM, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    pool = open_pool()
    models = [
        OpenAICompatible(base_url=url, key=None, model="m", timeout=5, context_tokens=4096, pool=pool)
        for url in (fake.url, tls_fake.url)
    ]
    for _ in range(2):
        await asyncio.gather(*(answer(model) for model in models))
    await pool.aclose()
    assert (fake.connections, tls_fake.connections) == (1, 1)


async def test_a_certificate_that_nobody_vouches_for(tls_fake: FakeLLM) -> None:
    async with model_at(tls_fake.url, breaker=Breaker(threshold=1)) as model:
        await failure(model)
        caught = await failure(model)  # no server that is down: it says so each time
    assert (caught.code, caught.transient, caught.detail) == ("llm_certificate", False, "ConnectError")


async def test_abandoned_streams_leave_nothing_behind(fake: FakeLLM) -> None:
    """A consumer that just drops the generator: the loop closes it, and the connection with it."""
    fake.script(stream(HELLO, End.HANG))
    async with model_at(fake.url) as model:
        events = model.stream(ask())
        await anext(events)
        del events
        gc.collect()
        await fake.wait_for_disconnects()
