"""Logs: the form of a line, where libraries end up, and what never gets into one."""

import io
import json
import logging
import os
import pty
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import structlog

from hub.core.logging import configure_logging, get_logger
from hub.core.settings import Secret, Settings

CANARY = "canary-51f0c2"
JSON = Settings(log_format="json")
PRETTY = Settings(log_format="pretty")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Stream(io.TextIOWrapper):
    """A file in memory, like standard output: text over bytes."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.data = io.BytesIO()
        super().__init__(self.data, encoding=encoding)

    @property
    def text(self) -> str:
        self.flush()
        return self.data.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def line(self) -> dict[str, object]:
        (line,) = self.lines
        return line


@pytest.fixture
def out() -> Stream:
    stream = Stream()
    configure_logging(JSON, stream=stream)
    return stream


def fail_with(text: str) -> None:
    raise ValueError(text)


class TestJson:
    def test_a_line_says_what_when_where(self, out: Stream) -> None:
        before = datetime.now(UTC)
        get_logger("hub.domain.chat").info("reply completed", duration_ms=12.5, attempt=1)
        line = out.line
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert line["event"] == "reply completed"
        assert line["level"] == "info"
        assert line["logger"] == "hub.domain.chat"
        assert line["duration_ms"] == 12.5
        assert line["attempt"] == 1
        assert str(line["timestamp"]).endswith("Z")
        assert before <= datetime.fromisoformat(str(line["timestamp"])) <= datetime.now(UTC)

    def test_bound_ids_stand_on_every_line(self, out: Stream) -> None:
        ids = {"request_id": uuid4(), "user_id": uuid4(), "job_id": uuid4()}
        with structlog.contextvars.bound_contextvars(**ids):
            get_logger("hub.a").info("one")
            logging.getLogger("dramatiq").warning("two")
        get_logger("hub.a").info("three")
        one, two, three = out.lines
        assert {name: one[name] for name in ids} == {name: str(value) for name, value in ids.items()}
        assert {name: two[name] for name in ids} == {name: str(value) for name, value in ids.items()}
        assert not ids.keys() & three.keys()

    @pytest.mark.parametrize(
        ("settings", "is_json"),
        [
            (Settings(env="production"), True),
            (Settings(env="production", log_format="pretty"), False),
            (Settings(), False),
            (Settings(log_format="json"), True),
        ],
    )
    def test_auto_is_json_in_production(self, settings: Settings, is_json: bool) -> None:  # noqa: FBT001 - a case
        stream = Stream()
        configure_logging(settings, stream=stream)
        get_logger("hub.a").info("x")
        assert stream.text.startswith("{") is is_json

    def test_what_json_cannot_hold_does_not_cost_the_line(self, out: Stream) -> None:
        get_logger("hub.a").info("odd", big=2**70, half="\ud800", nothing=None, yes=True)
        assert out.line["big"] == 2**70
        assert out.line["yes"] is True
        assert out.line["nothing"] is None

    def test_line_breaks_do_not_make_lines(self, out: Stream) -> None:
        get_logger("hub.a").info("a\nb", path="c\r\nd")
        assert out.line["event"] == "a\nb"

    def test_umlauts_survive_a_terminal_of_another_time(self) -> None:
        stream = Stream("ascii")
        configure_logging(JSON, stream=stream)
        get_logger("hub.a").info("größe 日本")
        assert stream.line["event"] == "größe 日本"

    def test_whole_lines_from_many_threads(self, out: Stream) -> None:
        def work() -> None:
            for _ in range(200):
                get_logger("hub.a").info("x" * 500)
                logging.getLogger("pika").warning("y" * 500)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(out.lines) == 1600


class TestLevels:
    @pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
    def test_less_important_lines_are_dropped(self, level: str, seen: int) -> None:
        stream = Stream()
        configure_logging(msgspec.structs.replace(JSON, log_level=level), stream=stream)
        for write in (get_logger("hub.a"), logging.getLogger("hub.a")):
            write.debug("x")
            write.info("x")
            write.warning("x")
            write.error("x")
        assert len(stream.lines) == 2 * seen

    @pytest.mark.parametrize(
        "name", ["uvicorn.error", "uvicorn.access", "httpx2", "pika", "asyncpg", "other"]
    )
    def test_libraries_are_heard_from_warnings_up(self, name: str) -> None:
        stream, elsewhere = Stream(), io.StringIO()
        library = logging.getLogger(name)
        if name != "other":
            library.addHandler(logging.StreamHandler(elsewhere))  # as a library's own set-up would
        library.propagate = name == "other"
        library.setLevel(logging.DEBUG if name != "other" else logging.NOTSET)
        configure_logging(msgspec.structs.replace(JSON, log_level="debug"), stream=stream)
        library.info("GET /api/ws?ticket=%s", CANARY)
        library.warning("low on %s", "memory")
        line = stream.line
        assert (line["event"], line["level"], line["logger"]) == ("low on memory", "warning", name)
        assert elsewhere.getvalue() == ""

    def test_libraries_follow_a_stricter_level(self) -> None:
        stream = Stream()
        configure_logging(msgspec.structs.replace(JSON, log_level="error"), stream=stream)
        logging.getLogger("pika").warning("x")
        assert stream.text == ""

    def test_loggers_made_before_work_and_setting_up_again_does_not_double(self) -> None:
        early, first, second = get_logger("hub.early"), Stream(), Stream()
        configure_logging(JSON, stream=first)
        configure_logging(JSON, stream=second)
        early.info("one")
        logging.getLogger("pika").warning("two")
        assert first.text == ""
        assert [line["event"] for line in second.lines] == ["one", "two"]


class TestExceptions:
    def fail(self) -> None:
        password = CANARY[::-1][::-1]
        raise RuntimeError(f"nothing about {len(password)}")

    def test_tracebacks_come_without_local_variables(self, out: Stream) -> None:
        try:
            self.fail()
        except RuntimeError:
            get_logger("hub.a").exception("it failed")
            logging.getLogger("dramatiq").exception("it failed")
        ours, theirs = out.lines
        for line in (ours, theirs):
            assert line["level"] == "error"
            assert "in fail" in str(line["exception"])
            assert str(line["exception"]).endswith("RuntimeError: nothing about 13")
        assert CANARY not in out.text

    def test_pretty_tracebacks_too(self) -> None:
        stream = Stream()
        configure_logging(PRETTY, stream=stream)
        try:
            self.fail()
        except RuntimeError:
            get_logger("hub.a").exception("it failed")
        assert "in fail" in stream.text
        assert CANARY not in stream.text

    def test_messages_of_the_database_lose_the_row(self, out: Stream) -> None:
        text = (
            "duplicate key value\nDETAIL:  Key (email)=(" + CANARY + ") already exists.\n"
            "invalid input for query argument $2: '" + CANARY + "' (expected int)\n"
            "cannot reach postgresql://hub:" + CANARY + "@db/hub with Bearer " + CANARY
        )
        try:
            fail_with(text)
        except ValueError as error:
            get_logger("hub.a").exception("it failed", reason=str(error), error=error)
        assert CANARY not in out.text
        assert "duplicate key value" in out.text


class TestNothingSecret:
    @pytest.mark.parametrize(
        "name",
        [
            "password", "new_password", "passwordHash", "token", "access_token", "accessToken", "secret",
            "client_secret", "secret_key", "authorization", "Authorization", "cookie", "set-cookie",
            "cookies", "api_key", "apiKey", "x-api-key", "llm_key", "content", "prompt", "negative_prompt",
            "text", "output_text", "TOKEN",
        ],
    )  # fmt: skip
    def test_names_that_tell_of_secrets_or_texts(self, out: Stream, name: str) -> None:
        log = get_logger("hub.a")
        log.info("x", **{name: CANARY})
        log.bind(**{name: [CANARY]}).info("x")
        log.info("x", data={"deep": [{name: CANARY}]}, headers=[(name.encode(), CANARY.encode())])
        with structlog.contextvars.bound_contextvars(**{name: CANARY}):
            log.info("x")
        assert out.lines[0][name] == "***"
        assert len(out.lines) == 4
        assert CANARY not in out.text

    @pytest.mark.parametrize(
        "name",
        ["prompt_tokens", "max_tokens", "content_type", "text_length", "key", "idempotency_key_used", "path"],
    )
    def test_figures_stay(self, out: Stream, name: str) -> None:
        get_logger("hub.a").info("x", **{name: 42})
        assert out.line[name] == 42

    def test_objects_are_shown_as_their_type(self, out: Stream) -> None:
        class Message(msgspec.Struct):
            body: str

        get_logger("hub.a").info(
            "x",
            message=Message(body=CANARY),
            settings=Settings(llm_key=CANARY),
            wrapped=Secret(CANARY),
            raw=CANARY.encode(),
            failure=ValueError("why"),
            folder=Path("/srv"),
        )
        line = out.line
        assert CANARY not in out.text
        assert line["message"] == f"<{Message.__qualname__}>"
        assert line["wrapped"] == "***"
        assert line["failure"] == "ValueError: why"
        assert line["folder"] == "/srv"

    @pytest.mark.parametrize(
        "text",
        [
            f"amqp://user:{CANARY}@mq/ is down",
            f"https://{CANARY}@llm/v1",
            f"Authorization: Bearer {CANARY}",
            f"GET /api/ws?ticket={CANARY}&x=1",
            f"POST /x?a=1&access_token={CANARY}",
            f"Incorrect API key provided: sk-{CANARY}",
        ],
    )
    def test_known_shapes_inside_texts(self, out: Stream, text: str) -> None:
        get_logger("hub.a").info(text, reason=text, more=[text])
        logging.getLogger("dramatiq").warning("%s", text)
        assert CANARY not in out.text

    def test_a_structure_that_never_ends(self, out: Stream) -> None:
        loop: list[object] = []
        loop.append(loop)
        get_logger("hub.a").info("x", loop=loop)
        assert "..." in str(out.line["loop"])

    def test_pretty_lines_hide_the_same(self) -> None:
        stream = Stream()
        configure_logging(PRETTY, stream=stream)
        get_logger("hub.a").info("x", token=CANARY, settings=Settings(llm_key=CANARY))
        assert "token=***" in stream.text
        assert CANARY not in stream.text


class TestPretty:
    def on_terminal(self) -> str:
        ours, theirs = pty.openpty()
        try:
            with os.fdopen(theirs, "w") as terminal:
                configure_logging(Settings(), stream=terminal)
                get_logger("hub.a").info("hello", user_id="u1")
                return os.read(ours, 65_536).decode()
        finally:
            os.close(ours)

    def test_colours_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        shown = self.on_terminal()
        assert "\x1b[" in shown
        assert "hello" in shown

    def test_no_colours_if_nobody_wants_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[" not in self.on_terminal()

    def test_no_colours_in_a_file(self) -> None:
        stream = Stream()
        configure_logging(Settings(), stream=stream)
        get_logger("hub.a").warning("hello", user_id="u1")
        assert re.fullmatch(r"\S+Z \[warning *\] hello +\[hub\.a\] user_id=u1\n", stream.text)

    def test_nobody_steers_the_terminal(self) -> None:
        stream = Stream()
        configure_logging(PRETTY, stream=stream)
        get_logger("hub.a").info("a\x1b[2Jb\nc", path="/\x1b]0;x\x07\u2028")
        try:
            fail_with("bad \x1b[31m")
        except ValueError:
            get_logger("hub.a").exception("failed")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u2028]", stream.text.replace("\t", ""))
        assert "\\x1b[2Jb" in stream.text


class TestOutput:
    def test_standard_output_is_the_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging(JSON)
        get_logger("hub.a").info("x")
        assert json.loads(capsys.readouterr().out)["event"] == "x"

    def test_what_a_command_prints_keeps_its_place(self, out: Stream) -> None:
        print("before", file=out)
        get_logger("hub.a").info("after")
        before, after = out.text.splitlines()
        assert before == "before"
        assert json.loads(after)["event"] == "after"

    def test_a_plain_text_stream_will_do(self) -> None:
        stream = io.StringIO()
        configure_logging(JSON, stream=stream)
        get_logger("hub.a").info("x")
        assert json.loads(stream.getvalue())["event"] == "x"

    def test_a_full_disk_does_not_stop_the_work(self) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("needs /dev/full (Linux)")
        stream = full.open("w")
        configure_logging(JSON, stream=stream)
        get_logger("hub.a").info("x")
        logging.getLogger("pika").warning("x")
        configure_logging(JSON, stream=io.StringIO())
        with pytest.raises(OSError, match="No space left"):
            stream.close()  # what could not be written is still there: the disk was full

    def test_a_closed_pipe_does_not_stop_the_work(self) -> None:
        reader, writer = os.pipe()
        stream = os.fdopen(writer, "w")
        configure_logging(JSON, stream=stream)
        os.close(reader)
        get_logger("hub.a").info("x")
        with pytest.raises(BrokenPipeError):
            stream.close()

    def test_a_closed_stream_does_not_stop_the_work(self) -> None:
        stream = Stream()
        configure_logging(JSON, stream=stream)
        stream.close()
        get_logger("hub.a").info("x")
