"""The command line itself: its help, its list, and the page that describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import SECTIONS, main
from hub.commands.output import print_table
from tools import commands

LISTED = [each for section in SECTIONS.values() for each in section]


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, words, prog_name="hub", env=env)


def test_help_has_every_command_in_its_section() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    sections = dict(part.split(":\n", 1) for part in shown.output.split("\n\n") if ":\n" in part)
    for section, members in SECTIONS.items():
        lines = sections[section].splitlines()
        assert [line.split()[0] for line in lines] == [each.name for each in members]
        assert all(line.endswith(each.sentence) for line, each in zip(lines, members, strict=True))
    assert "Exit codes" in shown.output


def test_no_command_is_a_wrong_command_line_and_shows_the_help() -> None:
    shown = run()
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == run("--help").output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["docter"], "No such command 'docter'. Did you mean 'doctor'?"),
        (["config", "chek"], "No such command 'chek'. Did you mean 'check'?"),
        (["doctor", "--jsn"], "No such option '--jsn'. Did you mean '--json'?"),
        (["token", "create", "me", "--name", "x", "--scope", "root"], "'root' is not one of"),
    ],
)
def test_a_mistake_on_the_command_line(words: list[str], expected: str) -> None:
    shown = run(*words)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert expected in shown.stderr


@pytest.mark.parametrize("words", [path for path, _ in commands.paths()])
def test_every_command_says_what_it_is_for_and_has_examples(words: str) -> None:
    shown = run(*words.split(), "--help")
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Usage: hub {words}")
    assert f" hub {words}" in shown.output.partition("Examples:")[2]
    assert "\x1b" not in shown.output


def test_the_list_names_what_is_there() -> None:
    for each in LISTED:
        command = each.load()
        assert command.name == each.name
        assert each.sentence.endswith(".")


def test_the_page_of_commands_is_what_the_help_says() -> None:
    assert commands.PAGE.read_text() == commands.page(), "run: make documents"


def test_a_bad_setting_is_told_by_every_command_that_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = {"HUB_PORT": "eighty", "HUB_DATABASE_URL": "mysql://hub:canary@db/hub", "HUB_COLOUR": "green"}
    for words in (["config"], ["config", "check", "--json"], ["doctor"], ["migrate"], ["admin", "list"]):
        shown = run(*words, env=wrong)
        assert shown.exit_code == (1 if words == ["doctor"] else 2), words
        assert all(name in shown.output for name in wrong), shown.output
        assert "canary" not in shown.output


def test_config_shows_what_is_used_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HUB_TOKEN_DAYS=7\n")
    given = {"HUB_DATABASE_URL": "postgresql://hub:canary@db/hub", "HUB_LLM_KEY": "canary"}
    table = run("config", "--changed", "--origin", env=given)
    rows = {row[0]: row[1:] for row in (line.split() for line in table.output.splitlines())}
    assert rows["HUB_TOKEN_DAYS"] == ["7", ".env"]
    assert rows["HUB_DATABASE_URL"] == ["postgresql://***@db/hub", "environment"]
    assert rows["HUB_LLM_KEY"] == ["***", "environment"]
    assert "HUB_HOST" not in rows
    shown = run("config", "show", "--json", env=given)
    told = json.loads(shown.output)
    assert told["HUB_TOKEN_DAYS"] == {"value": 7, "origin": ".env"}
    assert told["HUB_HOST"] == {"value": "127.0.0.1", "origin": "default"}
    assert run("config", "check", env=given).output == "The settings can be used.\n"
    assert "canary" not in table.output + shown.output


def test_a_terminal_obeys_nothing_that_people_call_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "state"], [["mira\x1b]0;x\x07\n", "here"], ["kö", "-"]])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["name", "state"], [r"mira\x1b]0;x\x07\n", "here"], ["kö", "-"]]
