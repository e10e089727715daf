"""Settings: what production needs, and what it refuses as too weak."""

import random
import string
from pathlib import Path

import pytest

from hub.core.settings import load_settings
from tests.services.settings_case import failing, problems, write

STRONG = "9f2c4e61b7d80a35c1e4f6987b2d03a8"
PRODUCTION = {
    "HUB_ENV": "production",
    "HUB_SECRET_KEY": STRONG,
    "HUB_DATABASE_URL": f"postgresql://hub_app:{STRONG}@db.internal:5432/hub",
    "HUB_BROKER_URL": f"amqp://hub_app:{STRONG}@mq.internal:5672/",
    "HUB_LLM_URL": "http://llm.internal:8000/v1",
    "HUB_LLM_MODEL": "some-model",
}


class TestProduction:
    def test_strong_settings_pass(self, tmp_path: Path) -> None:
        assert load_settings(PRODUCTION, tmp_path).env == "production"

    def test_nothing_is_required_in_development(self, tmp_path: Path) -> None:
        weak = {
            "HUB_SECRET_KEY": "x",
            "HUB_DATABASE_URL": "postgresql://postgres:postgres@db/x",
            "HUB_BROKER_URL": "amqp://guest:guest@mq/",
            "HUB_LIMITS": "off",
        }
        assert load_settings(weak, tmp_path).limits is False

    def test_what_is_missing_is_listed_together(self, tmp_path: Path) -> None:
        assert sorted(problems({"HUB_ENV": "production"}, tmp_path)) == [
            ("HUB_BROKER_URL", "missing"),
            ("HUB_DATABASE_URL", "missing"),
            ("HUB_LLM_MODEL", "missing"),
            ("HUB_LLM_URL", "missing"),
            ("HUB_SECRET_KEY", "missing"),
        ]

    def test_a_missing_model_is_listed_once(self, tmp_path: Path) -> None:
        environ = {name: value for name, value in PRODUCTION.items() if name != "HUB_LLM_MODEL"}
        assert problems(environ, tmp_path) == [("HUB_LLM_MODEL", "missing")]

    @pytest.mark.parametrize("line", ['env = "production"', None])
    def test_it_can_be_chosen_in_a_file(self, tmp_path: Path, line: str | None) -> None:
        if line:
            write(tmp_path / "config/hub.toml", line)
        else:
            write(tmp_path / ".env", "HUB_ENV=production")
        assert ("HUB_SECRET_KEY", "missing") in problems({}, tmp_path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("HUB_SECRET_KEY", STRONG[:31]),
            ("HUB_SECRET_KEY", "a" * 64),
            ("HUB_SECRET_KEY", "ab12" * 16),
            ("HUB_SECRET_KEY", "changeme" * 5),
            ("HUB_SECRET_KEY", "change-me-please-change-me-please-now"),
            ("HUB_SECRET_KEY", "your-secret-key-here-change-in-production"),
            ("HUB_SECRET_KEY", "0123456789" * 4),
            ("HUB_SECRET_KEY", "abcdefghijklmnopqrstuvwxyz012345"),
            ("HUB_SECRET_KEY", STRONG[:16] * 2),
            ("HUB_SECRET_KEY", "qwertyuiopasdfghjklzxcvbnm123456"),
            ("HUB_DATABASE_URL", "postgresql://hub@db/hub"),
            ("HUB_DATABASE_URL", "postgresql://hub:@db/hub"),
            ("HUB_DATABASE_URL", "postgresql://hub@db/hub?host=db"),
            ("HUB_DATABASE_URL", "postgresql://app:Postgres@db/hub"),
            ("HUB_DATABASE_URL", "postgresql://app:change%6De@127.0.0.1/hub"),
            ("HUB_DATABASE_URL", "postgresql://someone:someone@db/hub"),
            ("HUB_DATABASE_URL", "postgresql://app@db/hub?password=hub"),
            ("HUB_BROKER_URL", "amqp://guest:guest@mq/"),
            ("HUB_BROKER_URL", "amqp://mq:5672/"),
            ("HUB_BROKER_URL", "amqp://guest:guest@192.168.1.4/"),
            ("HUB_BROKER_URL", "amqps://hub:password@mq/"),
            ("HUB_LIMITS", "off"),
        ],
    )
    def test_weak_settings_are_refused(self, tmp_path: Path, name: str, value: str) -> None:
        error = failing({**PRODUCTION, name: value}, tmp_path)
        assert [(problem.name, problem.kind) for problem in error.problems] == [(name, "weak")]
        assert "Refused in production:" in error.render()
        assert value not in error.render() or name == "HUB_LIMITS"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("HUB_SECRET_KEY", "correct horse battery staple zephyr lamp"),
            ("HUB_SECRET_KEY", "pLq8-v_R2mZxW0sTnB4yKdHfJ6aUeC1g_oI3wXk5tQM"),
            ("HUB_DATABASE_URL", "postgresql://hub@/hub?host=/run/postgresql"),
            ("HUB_DATABASE_URL", "postgresql://hub@db/hub?sslcert=/run/hub.crt&sslkey=/run/hub.key"),
            ("HUB_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/"),
            ("HUB_BROKER_URL", "amqp://guest:guest@[::1]:5672/"),
            ("HUB_BROKER_URL", "amqp://localhost"),
        ],
    )
    def test_strong_or_local_ones_are_not(self, tmp_path: Path, name: str, value: str) -> None:
        load_settings({**PRODUCTION, name: value}, tmp_path)

    def test_random_keys_are_never_called_weak(self, tmp_path: Path) -> None:
        source = random.Random(20260101)
        for alphabet in ("0123456789abcdef", string.ascii_letters + string.digits + "-_"):
            for _ in range(200):
                key = "".join(source.choices(alphabet, k=32))
                load_settings({**PRODUCTION, "HUB_SECRET_KEY": key}, tmp_path)
