"""Settings: where values come from, and that the files in the repository say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from hub.core.settings import FIELDS, NOVITA_URL, Settings, load, load_settings
from tests.services.settings_case import failing, only_problem, problems, write
from tools import configuration

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-51f0c2"


class TestPrecedence:
    def test_an_empty_folder_gives_the_defaults(self, tmp_path: Path) -> None:
        loaded = load({}, tmp_path)
        assert loaded.settings == Settings()
        assert set(loaded.origins) == set(FIELDS)
        assert set(loaded.origins.values()) == {"default"}

    def test_each_source_is_stronger_than_the_one_before(self, tmp_path: Path) -> None:
        write(
            tmp_path / "config/hub.toml",
            "port = 1\ntoken_days = 1\nworker_threads = 1\nmessage_max_length = 1",
        )
        write(tmp_path / ".env", "HUB_TOKEN_DAYS=2\nHUB_WORKER_THREADS=2\nHUB_MESSAGE_MAX_LENGTH=2")
        write(tmp_path / "length", "4\n")
        environ = {"HUB_WORKER_THREADS": "3", "HUB_MESSAGE_MAX_LENGTH_FILE": "length"}
        loaded = load(environ, tmp_path)
        settings, origins = loaded.settings, loaded.origins
        assert (settings.port, origins["port"]) == (1, "config/hub.toml")
        assert (settings.token_days, origins["token_days"]) == (2, ".env")
        assert (settings.worker_threads, origins["worker_threads"]) == (3, "environment")
        assert settings.message_max_length == 4
        assert origins["message_max_length"] == "HUB_MESSAGE_MAX_LENGTH_FILE"

    def test_config_file_is_read_from_where_the_environment_says(self, tmp_path: Path) -> None:
        write(tmp_path / "config/hub.toml", "port = 1")
        other = write(tmp_path / "elsewhere.toml", "port = 2")
        loaded = load({"HUB_CONFIG_FILE": str(other)}, tmp_path)
        assert loaded.settings.port == 2
        assert loaded.origins["port"] == str(other)

    def test_config_file_may_be_named_in_dotenv(self, tmp_path: Path) -> None:
        write(tmp_path / "mine.toml", "port = 3")
        write(tmp_path / ".env", "HUB_CONFIG_FILE=mine.toml")
        assert load_settings({}, tmp_path).port == 3

    def test_every_type_is_read_from_text(self, tmp_path: Path) -> None:
        settings = load_settings(
            {
                "HUB_ENV": "Development",
                "HUB_PORT": " 0 ",
                "HUB_DATA_DIR": "/var/lib/hub",
                "HUB_LLM_TIMEOUT": "2.5",
                "HUB_LIMITS": "off",
                "HUB_LOG_LEVEL": "warning",
                "HUB_ALLOWED_ORIGINS": "https://chat.example, http://127.0.0.1:3000/",
                "HUB_SD_URL": "http://127.0.0.1:7860/",
                "HUB_HOST": "::1",
                "HUB_WEBHOOK_PRIVATE_HOSTS": "NAS.lan, 192.168.1.5:8080,[::1]:80",
            },
            tmp_path,
        )
        assert settings.env == "development"
        assert settings.port == 0
        assert settings.data_dir == Path("/var/lib/hub")
        assert settings.llm_timeout == 2.5
        assert settings.limits is False
        assert settings.log_level == "warning"
        assert settings.allowed_origins == ("https://chat.example", "http://127.0.0.1:3000")
        assert settings.sd_url == "http://127.0.0.1:7860"
        assert settings.host == "::1"
        assert settings.webhook_private_hosts == ("nas.lan", "192.168.1.5:8080", "[::1]:80")

    @pytest.mark.parametrize(
        ("text", "value"), [("on", True), ("TRUE", True), ("Off", False), ("false", False)]
    )
    def test_limits_are_a_switch(self, tmp_path: Path, text: str, value: bool) -> None:  # noqa: FBT001 - a case
        assert load_settings({"HUB_LIMITS": text}, tmp_path).limits is value
        write(tmp_path / "config/hub.toml", f'limits = "{text}"')
        assert load_settings({}, tmp_path).limits is value

    def test_toml_has_its_own_types(self, tmp_path: Path) -> None:
        write(
            tmp_path / "config/hub.toml",
            'limits = false\nllm_timeout = 5\nallowed_origins = ["https://a.example"]\ndata_dir = "d"',
        )
        settings = load_settings({}, tmp_path)
        assert settings.limits is False
        assert settings.llm_timeout == 5.0
        assert settings.allowed_origins == ("https://a.example",)
        assert settings.data_dir == Path("d")

    def test_a_home_folder_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        assert load_settings({"HUB_DATA_DIR": "~/hub"}, tmp_path).data_dir == Path("/home/someone/hub")


class TestDotenv:
    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("HUB_LLM_MODEL=plain", "plain"),
            ("export HUB_LLM_MODEL=exported", "exported"),
            ("  HUB_LLM_MODEL = spaced  ", "spaced"),
            ("HUB_LLM_MODEL=a#b # a comment", "a#b"),
            ("HUB_LLM_MODEL='single # \"quoted\" \\n'  # c", 'single # "quoted" \\n'),
            ('HUB_LLM_MODEL="double # \\"quoted\\" \\\\ \\$x" # c', 'double # "quoted" \\ $x'),
            ("HUB_LLM_MODEL=$HOME-${HOME}", "$HOME-${HOME}"),
            ("HUB_LLM_MODEL=crlf\r", "crlf"),
            ("HUB_LLM_MODEL=first\nHUB_LLM_MODEL=last", "last"),
            ("\ufeffHUB_LLM_MODEL=bom", "bom"),
            ("# comment\n\nOTHER_TOOL=ignored\nHUB_LLM_MODEL=größe", "größe"),
        ],
    )
    def test_lines_are_read(self, tmp_path: Path, line: str, value: str) -> None:
        write(tmp_path / ".env", line)
        loaded = load({}, tmp_path)
        assert loaded.settings.llm_model == value
        assert loaded.origins["llm_model"] == ".env"

    @pytest.mark.parametrize(
        "line", [f"HUB_LLM_KEY {CANARY}", f'HUB_LLM_KEY="{CANARY}', f"A='{CANARY}' x", "=x"]
    )
    def test_a_damaged_line_is_named_by_its_number_only(self, tmp_path: Path, line: str) -> None:
        write(tmp_path / ".env", f"# fine\nHUB_PORT=1\n{line}\n")
        problem = only_problem({}, tmp_path)
        assert (problem.name, problem.kind) == (".env", "unreadable")
        assert "line 3" in problem.detail
        assert CANARY not in problem.line()


class TestFiles:
    def test_a_secret_comes_from_its_file(self, tmp_path: Path) -> None:
        secret = write(tmp_path / "run/secrets/key", "sk-abc\r\n")
        loaded = load({"HUB_LLM_KEY_FILE": str(secret)}, tmp_path)
        assert loaded.settings.llm_key == "sk-abc"
        assert loaded.origins["llm_key"] == "HUB_LLM_KEY_FILE"

    @pytest.mark.parametrize("field", FIELDS)
    def test_every_setting_has_one(self, tmp_path: Path, field: str) -> None:
        assert problems({f"HUB_{field.upper()}_FILE": "nowhere"}, tmp_path) == [
            (f"HUB_{field.upper()}_FILE", "unreadable")
        ]

    def test_value_and_file_together_are_refused_naming_both(self, tmp_path: Path) -> None:
        environ = {"HUB_LLM_KEY": CANARY, "HUB_LLM_KEY_FILE": str(write(tmp_path / "key", CANARY))}
        problem = only_problem(environ, tmp_path)
        assert problem.kind == "malformed"
        assert "HUB_LLM_KEY and HUB_LLM_KEY_FILE are both set" in problem.detail

    def test_a_file_in_dotenv_does_not_silently_beat_the_environment(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "HUB_LLM_KEY_FILE=key")
        write(tmp_path / "key", "from-file")
        assert load_settings({}, tmp_path).llm_key == "from-file"
        assert "both set" in only_problem({"HUB_LLM_KEY": "x"}, tmp_path).detail

    def test_a_file_in_the_environment_beats_dotenv(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "HUB_LLM_KEY=weaker")
        write(tmp_path / "key", "stronger")
        assert load_settings({"HUB_LLM_KEY_FILE": "key"}, tmp_path).llm_key == "stronger"

    def test_what_cannot_be_read_is_said_without_the_path(self, tmp_path: Path) -> None:
        # The path may be the secret itself, put there by mistake.
        write(tmp_path / "bytes", b"ok\n\xff\xfe")
        (tmp_path / "folder").mkdir()
        expected = {CANARY: "does not exist", "folder": "cannot be read", "bytes": "not UTF-8 text (line 2)"}
        for path, words in expected.items():
            error = failing({"HUB_LLM_KEY_FILE": path}, tmp_path)
            assert words in error.render()
            assert CANARY not in error.render()

    def test_an_endless_file_is_refused(self, tmp_path: Path) -> None:
        assert "larger than 1 MB" in only_problem({"HUB_LLM_KEY_FILE": "/dev/zero"}, tmp_path).detail

    def test_empty_files_and_empty_names_are_empty(self, tmp_path: Path) -> None:
        write(tmp_path / "key", "\n")
        assert problems({"HUB_LLM_KEY_FILE": "key"}, tmp_path) == [("HUB_LLM_KEY", "empty")]
        assert problems({"HUB_LLM_KEY_FILE": " "}, tmp_path) == [("HUB_LLM_KEY_FILE", "empty")]


class TestOtherNames:
    @pytest.mark.parametrize(
        ("alias", "field", "value"),
        [
            ("DATABASE_URL", "database_url", "postgresql://u:p@db/hub"),
            ("NOVITA_KEY", "llm_key", "sk_novita"),
            ("SD_API_URL", "sd_url", "http://sd:7860"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel_endpoint", "http://collector:4318"),
            ("OTEL_SERVICE_NAME", "otel_service_name", "my-hub"),
            ("SENTRY_DSN", "sentry_dsn", "https://key@sentry.example/1"),
        ],
    )
    def test_the_guides_names_are_accepted(self, tmp_path: Path, alias: str, field: str, value: str) -> None:
        loaded = load({alias: value, "HUB_LLM_MODEL": "m"}, tmp_path)
        assert getattr(loaded.settings, field) == value
        assert loaded.origins[field] == f"environment: {alias}"
        write(tmp_path / "value", value + "\n")
        loaded = load({f"{alias}_FILE": "value", "HUB_LLM_MODEL": "m"}, tmp_path)
        assert getattr(loaded.settings, field) == value
        assert loaded.origins[field] == f"{alias}_FILE"

    def test_the_hub_name_wins_wherever_it_stands(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "HUB_SD_URL=http://mine:1\nDATABASE_URL=postgresql://a:b@from-dotenv/x")
        environ = {
            "SD_API_URL": "http://theirs:2",
            "DATABASE_URL": "postgresql://a:b@theirs/x",
            "HUB_DATABASE_URL": "postgresql://a:b@mine/x",
        }
        settings = load_settings(environ, tmp_path)
        assert settings.sd_url == "http://mine:1"
        assert settings.database_url == "postgresql://a:b@mine/x"

    def test_a_novita_key_alone_brings_novitas_address(self, tmp_path: Path) -> None:
        loaded = load({"NOVITA_KEY": "sk_x", "HUB_LLM_MODEL": "m"}, tmp_path)
        assert loaded.settings.llm_url == NOVITA_URL
        assert NOVITA_URL.endswith("/v1")
        assert "NOVITA_KEY" in loaded.origins["llm_url"]
        assert problems({"NOVITA_KEY": "sk_x"}, tmp_path) == [("HUB_LLM_MODEL", "missing")]

    def test_novitas_address_does_not_replace_a_given_one(self, tmp_path: Path) -> None:
        environ = {"NOVITA_KEY": "sk_x", "HUB_LLM_MODEL": "m", "HUB_LLM_URL": "http://mine/v1"}
        assert load_settings(environ, tmp_path).llm_url == "http://mine/v1"
        assert load_settings({"HUB_LLM_KEY": "sk_x", "NOVITA_KEY": "sk_y"}, tmp_path).llm_url is None


class TestShippedFiles:
    """config/hub.toml and .env.example say what the Struct says."""

    def test_hub_toml_names_every_setting_with_its_default(self, tmp_path: Path) -> None:
        text = (ROOT / "config/hub.toml").read_text()
        table = tomllib.loads(text)
        optional = {name for name, field in FIELDS.items() if field.default is None}
        assert set(table) == set(FIELDS) - optional
        assert set(re.findall(r"^# (\w+) = ", text, re.MULTILINE)) == optional
        write(tmp_path / "config/hub.toml", text)
        loaded = load({}, tmp_path)
        assert loaded.settings == Settings()
        assert {name for name, origin in loaded.origins.items() if origin != "default"} == set(table)

    def test_hub_toml_explains_every_setting(self) -> None:
        lines = (ROOT / "config/hub.toml").read_text().splitlines()
        for name in FIELDS:
            place = next(i for i, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line))
            assert re.match(r"# [^-]", lines[place - 1]), name

    def test_hub_toml_is_valid_with_every_line_taken_in(self, tmp_path: Path) -> None:
        text = re.sub(r"^# (\w+ = )", r"\1", (ROOT / "config/hub.toml").read_text(), flags=re.MULTILINE)
        write(tmp_path / "config/hub.toml", text)
        loaded = load({}, tmp_path)
        assert set(loaded.origins.values()) == {"config/hub.toml"}

    def test_env_example_names_every_setting_with_its_default(self, tmp_path: Path) -> None:
        text = (ROOT / ".env.example").read_text()
        names = re.findall(r"^#(HUB_\w+)=", text, re.MULTILINE)
        assert sorted(names) == sorted(field.variable for field in FIELDS.values())
        write(tmp_path / ".env", re.sub(r"^#(HUB_)", r"\1", text, flags=re.MULTILINE))
        loaded = load({}, tmp_path)
        assert set(loaded.origins.values()) == {".env"}
        for name, field in FIELDS.items():
            if field.default not in (None, ()):
                assert getattr(loaded.settings, name) == field.default, name

    def test_env_example_changes_nothing_as_it_is(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", (ROOT / ".env.example").read_bytes())
        assert load_settings({}, tmp_path) == Settings()

    def test_what_is_written_from_the_settings_is_what_they_say(self) -> None:
        assert configuration.PAGE.read_text() == configuration.configuration(), "run: make documents"
        assert configuration.EXAMPLE.read_text() == configuration.env_example(), "run: make documents"

    def test_the_reference_has_every_setting_once(self) -> None:
        rows = re.findall(r"^\| `(HUB_\w+)`.* \|$", configuration.reference(), re.MULTILINE)
        assert sorted(rows) == sorted(field.variable for field in FIELDS.values())

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("HUB_DATABASE_URL", "`HUB_DATABASE_URL`<br>`DATABASE_URL` | postgresql://"),
            ("HUB_DATABASE_URL", "**Production needs it.** Production refuses a weak one."),
            ("HUB_LIMITS", "| on or off | `on` | Rate limits"),
            ("HUB_LIMITS", "Production refuses `off`."),
            ("HUB_PORT", "| a whole number from 0 to 65535 | `8000` |"),
            ("HUB_LLM_MODEL", "| text | none |"),
        ],
    )
    def test_the_reference_says_what_is_checked(self, name: str, told: str) -> None:
        rows = configuration.reference().splitlines()
        assert told in next(row for row in rows if row.startswith(f"| `{name}`"))

    def test_every_setting_is_documented(self) -> None:
        assert all(field.doc for field in FIELDS.values())
