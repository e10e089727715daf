"""Write docs/configuration.md and .env.example from the settings: ``python -m tools.configuration``.

Names, types, bounds, defaults and what each is for come from ``hub.core.settings``; groups, their order and
values to show where there is no default from config/hub.toml. What stands between two marks in
docs/configuration.md is written anew, all else by hand.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from pathlib import Path

from msgspec import Struct

from hub.core.settings import FIELDS, Field, Settings, SettingsError, load_settings
from hub.core.settings.convert import expected
from hub.core.settings.rules import check

PROJECT = Path(__file__).resolve().parents[1]
CONFIG = PROJECT / "config" / "hub.toml"
PAGE = PROJECT / "docs" / "configuration.md"
EXAMPLE = PROJECT / ".env.example"

_GROUP = re.compile(r"# --- (?P<name>.+?)(?: \((?P<page>docs/\S+)\))? ---")
_SETTING = re.compile(r"(?P<absent># )?(?P<name>[a-z][a-z0-9_]*) = (?P<value>.+)")
_LIKE = re.compile(r"like (\[[^\]]*\])")
_ABSENT = re.compile(r"Absent: ([^.]+)\.")
_DOCS = re.compile(r"docs/([a-z-]+\.md)")
_SECRETS = ("secret", "key")
_FIRST = "In general"

#: What a start says about, in the page: one mistake of each kind.
_MISTAKES = {
    "HUB_ENV": "production",
    "HUB_PROT": "8080",
    "HUB_LLM_TIMEOUT": "soon",
    "HUB_LLM_MODEL": "",
    "HUB_LLM_KEY_FILE": "/run/secrets/llm_key",
    "HUB_SECRET_KEY": "changeme",
    "HUB_DATABASE_URL": "postgresql://hub:hub@db.example/hub",
}
#: What production refuses, where it looks at a setting of this form.
_WEAK = {
    "secret": "weak",
    "database": "postgresql://hub@db.example/hub",
    "broker": "amqp://guest:guest@mq.example/",
}
_HEAD = """\
# Copy this file to .env and take the # off the lines you need. config/hub.toml explains each setting.
# A secret can also come from a file: HUB_LLM_KEY_FILE=/run/secrets/llm_key instead of HUB_LLM_KEY.
# Make a secret key or token with: openssl rand -hex 32
"""


class Shown(Struct, frozen=True):
    """A setting as config/hub.toml has it: its comment, and a value for it."""

    field: Field
    comment: str
    value: object


def groups() -> dict[str, list[Shown]]:
    """Return all settings by the headings of config/hub.toml; a page in a heading goes with each of them."""
    found: dict[str, list[Shown]] = {}
    heading, page, comment = _FIRST, "", ""
    for line in CONFIG.read_text(encoding="utf-8").splitlines():
        if group := _GROUP.fullmatch(line):
            heading, page, comment = group["name"], group["page"] or "", ""
        elif (setting := _SETTING.fullmatch(line)) and setting["name"] in FIELDS:
            value = tomllib.loads(f"value = {setting['value']}")["value"]
            shown = Shown(FIELDS[setting["name"]], f"{comment} {page}", value)
            found.setdefault(heading, []).append(shown)
            comment = ""
        else:
            comment = f"{comment} {line.removeprefix('#').strip()}" if line else ""
    return found


# docs/configuration.md


def configuration() -> str:
    """Return the page with everything between its marks written anew."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("mistakes", mistakes()), ("settings", reference())):
        start, end = f"<!-- {name}, by make documents -->\n", "<!-- end -->\n"
        before, mark, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = before + mark + content + end + after
    return text


def mistakes() -> str:
    """Return what a start says when much is wrong."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            load_settings(_MISTAKES, Path(empty))
        except SettingsError as error:
            given = "".join(f"{name}={value}\n" for name, value in _MISTAKES.items())
            return f"```\n{given}```\n```\n{error.render()}\n```\n"
    raise AssertionError("these are mistakes")


def reference() -> str:
    """Return a table for each group."""
    required = _said("missing", Settings(env="production"))
    parts: list[str] = []
    for heading, settings in groups().items():
        parts += [f"\n### {heading}", "", "| setting | takes | default | |", "|---|---|---|---|"]
        parts += [_row(each, is_required=each.field.variable in required) for each in settings]
    return "\n".join([*parts, ""])


def _row(shown: Shown, *, is_required: bool) -> str:
    field = shown.field
    names = "<br>".join(f"`{name}`" for name in (field.variable, *field.aliases))
    about = [field.doc]
    if is_required:
        about.append("**Production needs it.**")
    if _is_looked_at(field):
        about.append(
            "Production refuses `off`." if field.form == "plain" else "Production refuses a weak one."
        )
    about += [f"[{page}]({page})" for page in sorted(set(_DOCS.findall(shown.comment)))]
    cells = [names, expected(field), _default(field), " ".join(about)]
    return f"| {' | '.join(each.replace('|', '&#124;') for each in cells)} |"


def _default(field: Field) -> str:
    if field.default is None or field.default == ():
        return "none"
    return f"`{_written(field.default)}`"


def _is_looked_at(field: Field) -> bool:
    """Tell whether production refuses some values of a setting that are fine elsewhere."""
    weak = not field.default if isinstance(field.default, bool) else _WEAK.get(field.form)
    if weak is None:
        return False
    return field.variable in _said("weak", Settings(env="production", **{field.name: weak}))  # type: ignore[arg-type] # by name


def _said(kind: str, settings: Settings) -> set[str]:
    return {problem.name for problem in check(settings, set()) if problem.kind == kind}


# .env.example


def env_example() -> str:
    """Return the example, with every setting in a comment."""
    parts = [_HEAD]
    for heading, settings in groups().items():
        without = "".join(_without(each.field) for each in settings)
        lines = "".join(f"#{each.field.variable}={_example(each)}\n" for each in settings)
        parts.append(f"# {heading}\n{without}{lines}")
    return "\n".join(parts)


def _without(field: Field) -> str:
    """Say what is done without a setting, where it says so itself."""
    return f"# Without {field.variable}: {said[1]}.\n" if (said := _ABSENT.search(field.doc)) else ""


def _example(shown: Shown) -> str:
    """Return a value that may be written there; a secret is nobody's."""
    if shown.field.form in _SECRETS:
        return "replace-me"
    value = shown.value
    if value == []:
        if (like := _LIKE.search(shown.comment)) is None:
            raise ValueError(f"config/hub.toml: show what {shown.field.name} may be: like [...]")
        value = tomllib.loads(f"value = {like[1]}")["value"]
    written = _written(value)
    return f"'{written}'" if "#" in written else written


def _written(value: object) -> str:
    """Return a value as one writes it in the environment."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    PAGE.write_text(configuration(), encoding="utf-8")
    EXAMPLE.write_text(env_example(), encoding="utf-8")
