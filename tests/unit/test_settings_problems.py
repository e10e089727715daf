"""Settings: everything that is wrong is said at once, and no secret is said with it."""

import traceback
from pathlib import Path

import pytest

from hub.core.settings import FIELDS, Settings, load, load_settings
from tests.services.settings_case import failing, only_problem, problems, write

CANARY = "canary-51f0c2"
SECRETS = {
    "HUB_SECRET_KEY": CANARY,
    "HUB_LLM_KEY": CANARY,
    "HUB_DATABASE_URL": f"postgresql://u:{CANARY}@db:5432/hub?sslpassword={CANARY}",
    "HUB_BROKER_URL": f"amqps://{CANARY}:{CANARY}@mq/",
    "HUB_LLM_URL": f"https://{CANARY}@llm.example/v1",
    "HUB_LLM_MODEL": "m",
    "HUB_SD_URL": f"http://u:{CANARY}@sd:7860",
}


class TestProblems:
    def test_all_are_listed_at_once(self, tmp_path: Path) -> None:
        write(tmp_path / "config/hub.toml", "prot = 1\ntoken_days = 'many'\n[llm]\nurl = 'x'")
        write(tmp_path / ".env", "HUB_LOG_LEVEL=loud\nHUB_WORKERS_THREAD=3\nnonsense")
        environ = {
            "HUB_ENV": "production",
            "HUB_PORT": "70000",
            "HUB_LLM_URL": "llm.internal/v1",
            "HUB_SECRET_KEY": "",
            "HUB_DATABASE_URL": "postgresql://postgres:postgres@db/hub",
            "HUB_SD_URL_FILE": "nowhere",
            "HUB_LIMTS": "off",
            "HUB_LIMITS": "off",
        }
        assert sorted(problems(environ, tmp_path)) == sorted(
            [
                (".env", "unreadable"),
                ("HUB_BROKER_URL", "missing"),
                ("HUB_DATABASE_URL", "weak"),
                ("HUB_LIMITS", "weak"),
                ("HUB_LIMTS", "unknown"),
                ("HUB_LLM_MODEL", "missing"),
                ("HUB_LLM_URL", "malformed"),
                ("HUB_LOG_LEVEL", "malformed"),
                ("HUB_PORT", "malformed"),
                ("HUB_SD_URL_FILE", "unreadable"),
                ("HUB_SECRET_KEY", "empty"),
                ("HUB_TOKEN_DAYS", "malformed"),
                ("HUB_WORKERS_THREAD", "unknown"),
                ("llm", "unknown"),
                ("prot", "unknown"),
            ]
        )

    def test_the_message_is_framed_and_grouped(self, tmp_path: Path) -> None:
        message = failing(
            {"HUB_ENV": "production", "HUB_PORT": "eighty", "HUB_HOST": "", "HUB_LMM_URL": "x"}, tmp_path
        ).render()
        lines = message.splitlines()
        assert lines[0] == lines[2] == lines[-1]
        assert set(lines[0]) == {"+", "-"}
        assert lines[1].strip("| ") == "ENVIRONMENT VALIDATION FAILED"
        headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
        assert headings == [
            "Missing settings:",
            "Empty settings:",
            "Malformed settings:",
            "Unknown settings:",
        ]
        assert '  HUB_PORT (environment): expected a whole number from 0 to 65535, got "eighty"' in lines
        assert any(line.startswith("  HUB_DATABASE_URL: production needs it") for line in lines)
        assert "start again" in lines[-2]
        assert message.isascii()

    @pytest.mark.parametrize("name", [field.variable for field in FIELDS.values()])
    def test_empty_is_not_absent(self, tmp_path: Path, name: str) -> None:
        assert problems({name: "  "}, tmp_path) == [(name, "empty")]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("HUB_ENV", "staging"),
            ("HUB_PORT", "-1"),
            ("HUB_PORT", "65536"),
            ("HUB_PORT", "80.5"),
            ("HUB_PORT", "null"),
            ("HUB_PORT", "9" * 5000),
            ("HUB_HOST", "http://127.0.0.1"),
            ("HUB_HOST", "two words"),
            ("HUB_LLM_TIMEOUT", "0"),
            ("HUB_LLM_TIMEOUT", "nan"),
            ("HUB_LLM_TIMEOUT", "inf"),
            ("HUB_LLM_TIMEOUT", "60s"),
            ("HUB_LLM_TOP_P", "1.1"),
            ("HUB_LIMITS", "1"),
            ("HUB_LIMITS", "perhaps"),
            ("HUB_WORKER_THREADS", "1025"),
            ("HUB_MESSAGE_MAX_LENGTH", "100001"),
            ("HUB_LOG_FORMAT", "xml"),
            ("HUB_DATABASE_URL", "mysql://u:p@db/hub"),
            ("HUB_DATABASE_URL", "postgresql+asyncpg://u:p@db/hub"),
            ("HUB_DATABASE_URL", "postgresql:///hub"),
            ("HUB_DATABASE_URL", "postgresql://u:p@db:port/hub"),
            ("HUB_DATABASE_URL", "postgresql://u:12/34@db/hub"),
            ("HUB_DATABASE_URL", "db.internal"),
            ("HUB_BROKER_URL", "http://mq:5672"),
            ("HUB_BROKER_URL", "amqp://"),
            ("HUB_BROKER_URL", "amqp://mq:0/"),
            ("HUB_BROKER_URL", "amqp://a,b/"),
            ("HUB_SD_URL", "http://"),
            ("HUB_SD_URL", "http://[::1"),
            ("HUB_SD_URL", "http://sd host/"),
            ("HUB_SD_URL", "ftp://sd/"),
            ("HUB_SD_URL", "http://sd/?a=b"),
            ("HUB_SD_URL", "7860"),
            ("HUB_LLM_KEY", "two words"),
            ("HUB_LLM_KEY", "line\nbreak"),
            ("HUB_LLM_MODEL", "nul\0"),
            ("HUB_LLM_MODEL", "not utf-8 \udcff"),
            ("HUB_ALLOWED_ORIGINS", "*"),
            ("HUB_ALLOWED_ORIGINS", "https://a.example/path"),
            ("HUB_ALLOWED_ORIGINS", "https://a.example,b.example"),
        ],
    )
    def test_malformed_values(self, tmp_path: Path, name: str, value: str) -> None:
        assert problems({name: value}, tmp_path) == [(name, "malformed")]

    @pytest.mark.parametrize(
        "line",
        [
            'port = "8000"',
            "port = true",
            "port = [1]",
            "port = 1e400",
            "host = 1",
            "llm_key = 5",
            "data_dir = false",
            "allowed_origins = 5",
            "allowed_origins = [5]",
            'webhook_private_hosts = ["http://nas.lan"]',
            'webhook_private_hosts = ["nas.lan/hooks"]',
            'webhook_private_hosts = ["nas.lan:x"]',
            "limits = 1",
            "env = 1979-05-27",
        ],
    )
    def test_malformed_toml_values(self, tmp_path: Path, line: str) -> None:
        write(tmp_path / "config/hub.toml", line)
        problem = only_problem({}, tmp_path)
        assert problem.kind == "malformed"
        assert problem.name == f"HUB_{line.partition(' =')[0].upper()}"
        assert problem.origin == "config/hub.toml"

    @pytest.mark.parametrize(
        "value",
        [
            "postgresql:///hub?host=/run/postgresql",
            "postgres://u@%2Frun%2Fpg/hub",
            "postgresql://u:p%40%2F@[::1]:5432/hub",
            "postgresql://u:p@a:1,b:2/hub",
        ],
    )
    def test_database_addresses_of_every_kind(self, tmp_path: Path, value: str) -> None:
        assert load_settings({"HUB_DATABASE_URL": value}, tmp_path).database_url == value

    def test_a_model_must_be_named_for_an_outside_server(self, tmp_path: Path) -> None:
        problem = only_problem({"HUB_LLM_URL": "http://127.0.0.1:11434/v1"}, tmp_path)
        assert (problem.name, problem.kind) == ("HUB_LLM_MODEL", "missing")

    def test_a_reply_must_leave_room_for_the_prompt(self, tmp_path: Path) -> None:
        environ = {"HUB_LLM_URL": "http://a/v1", "HUB_LLM_MODEL": "m", "HUB_LLM_CONTEXT_TOKENS": "256"}
        assert problems(environ, tmp_path) == [("HUB_LLM_MAX_TOKENS", "malformed")]

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("HUB_LMM_URL", "HUB_LLM_URL"),
            ("HUB_DATABSE_URL", "HUB_DATABASE_URL"),
            ("HUB_LLM_KEYFILE", "HUB_LLM_KEY_FILE"),
        ],
    )
    def test_unknown_names_with_a_suggestion(self, tmp_path: Path, name: str, meant: str) -> None:
        assert f"did you mean {meant}?" in only_problem({name: CANARY}, tmp_path).detail
        write(tmp_path / ".env", f"{name}={CANARY}")
        problem = only_problem({}, tmp_path)
        assert f"did you mean {meant}?" in problem.detail
        assert problem.origin == ".env"

    def test_unknown_keys_of_the_config_file(self, tmp_path: Path) -> None:
        write(tmp_path / "config/hub.toml", 'HUB_PORT = 1\nllm_ur = "x"\nzzz = 1\n[llm]\nurl = "x"')
        found = {problem.name: problem.detail for problem in failing({}, tmp_path).problems}
        assert "did you mean port?" in found["HUB_PORT"]
        assert "did you mean llm_url?" in found["llm_ur"]
        assert "did you mean" not in found["zzz"]
        assert "no sections" in found["llm"]

    def test_names_of_tests_and_of_others_are_left_alone(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "POSTGRES_PASSWORD=x\nHUB_TEST_B=1")
        assert (
            load_settings({"HUB_TEST_REQUIRE": "", "PATH": "/bin", "hub_port": "1"}, tmp_path) == Settings()
        )

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("port = 1\nhost = \n", "line 2"),
            ("port = 1\nport = 2\n", "line 2"),
            (b"port = 1\n\n# \xff\n", "line 3"),
            ("a = " + "[" * 100_000, "not valid TOML"),
            ("port = " + "9" * 5000, "not valid TOML"),
        ],
    )
    def test_a_damaged_config_file(self, tmp_path: Path, content: str | bytes, words: str) -> None:
        write(tmp_path / "config/hub.toml", content)
        problem = only_problem({}, tmp_path)
        assert (problem.name, problem.kind) == ("config/hub.toml", "unreadable")
        assert words in problem.detail

    def test_files_that_are_folders(self, tmp_path: Path) -> None:
        (tmp_path / "config/hub.toml").mkdir(parents=True)
        (tmp_path / ".env").mkdir()
        assert sorted(problems({}, tmp_path)) == [(".env", "unreadable"), ("config/hub.toml", "unreadable")]

    def test_a_config_file_that_is_named_must_be_there(self, tmp_path: Path) -> None:
        problem = only_problem({"HUB_CONFIG_FILE": "gone.toml"}, tmp_path)
        assert (problem.name, problem.kind) == ("HUB_CONFIG_FILE", "unreadable")
        assert "gone.toml does not exist" in problem.detail
        assert problems({"HUB_CONFIG_FILE": ""}, tmp_path) == [("HUB_CONFIG_FILE", "empty")]

    def test_a_terminal_cannot_be_steered(self, tmp_path: Path) -> None:
        write(tmp_path / "config/hub.toml", '"a\\u001b[2Jb\\nc" = 1')
        message = failing({"HUB_\x1b[31m": "1", "HUB_\udcff": "1", "HUB_PORT": "é" * 500}, tmp_path).render()
        assert "\x1b" not in message
        message.encode()
        assert "é" * 61 not in message


class TestSecretsStaySecret:
    def test_not_in_any_representation(self, tmp_path: Path) -> None:
        loaded = load(SECRETS, tmp_path)
        settings = loaded.settings
        shown = [repr(loaded), str(settings), f"{settings}", repr([settings.llm_key]), f"{settings.sd_url!r}"]
        shown += [repr(settings.__rich_repr__()), repr(loaded.origins)]
        assert CANARY not in "".join(shown)
        assert "postgresql://***@db:5432/hub?***" in repr(settings)
        # They still work as the strings they are.
        assert settings.database_url == SECRETS["HUB_DATABASE_URL"]
        assert f"Bearer {settings.llm_key}" == f"Bearer {CANARY}"

    def test_not_when_constructed_by_hand(self) -> None:
        settings = Settings(
            secret_key=CANARY,
            llm_key=CANARY,
            database_url=f"postgresql://u:1/{CANARY}@db/x",
            sd_url=f"http://[{CANARY}",
        )
        assert CANARY not in repr(settings)

    @pytest.mark.parametrize(
        "broken",
        [
            {"HUB_DATABASE_URL": f"mysql://u:{CANARY}@db/hub"},
            {"HUB_DATABASE_URL": f"postgresql://u:{CANARY}/x@db/hub"},
            {"HUB_BROKER_URL": f"amqp://u:{CANARY}@mq:x/"},
            {"HUB_LLM_URL": CANARY},
            {"HUB_SD_URL": f"http://sd/?key={CANARY}"},
            {"HUB_LLM_KEY": f"{CANARY} {CANARY}"},
            {"HUB_SECRET_KEY": f"{CANARY}\0"},
            {"HUB_UNKNOWN": CANARY},
            {"HUB_ALLOWED_ORIGINS": CANARY},
            {"HUB_ENV": "production"},
        ],
    )
    def test_not_in_the_error_nor_its_traceback(self, tmp_path: Path, broken: dict[str, str]) -> None:
        write(tmp_path / ".env", f"HUB_NOVITA={CANARY}\n{CANARY}")
        write(tmp_path / "config/hub.toml", f'llm_kex = "{CANARY}"\nport = ["{CANARY}"]')
        for name, value in {**SECRETS, **broken}.items():
            write(tmp_path / "secrets" / name, value)
        environ = {f"{name}_FILE": f"secrets/{name}" for name in SECRETS if name not in broken} | broken
        error = failing(environ, tmp_path)
        shown = [str(error), repr(error), error.render()]
        shown += traceback.format_exception(error)
        # What a debugger shows: the locals of every frame of ours. `environ` is the caller's own.
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        for frame in frames:
            shown += [text for name, text in (frame.locals or {}).items() if "/settings/" in frame.filename
                      and name != "environ"]  # fmt: skip
        assert CANARY not in "".join(shown)
        assert error.__cause__ is None
        assert error.__context__ is None

    def test_the_canary_would_be_seen(self, tmp_path: Path) -> None:
        assert CANARY in failing({"HUB_PORT": CANARY}, tmp_path).render()
