"""``hub config``: the settings as they are, where each comes from, and what is wrong with them."""

from __future__ import annotations

import click
import msgspec

from hub.commands.output import DefaultGroup, as_json_option, examples, print_json, print_table
from hub.core.settings import FIELDS, Loaded, Secret, SettingsError, load


@click.group(
    cls=DefaultGroup,
    default="show",
    epilog=examples("hub config", "hub config --changed --origin", "hub config check"),
)
def config() -> None:
    """Show every setting and where it comes from.

    `hub config` alone is `hub config show`. Stronger than config/hub.toml is .env, stronger than that the
    environment; HUB_PORT_FILE names a file that holds the value of HUB_PORT, and so on.
    """


@config.command(epilog=examples("hub config show --origin", "hub config show --json | jq .HUB_PORT"))
@click.option("--origin", is_flag=True, help="Add where each value comes from.")
@click.option("--changed", is_flag=True, help="Leave out what has its default value.")
@as_json_option
def show(*, origin: bool, changed: bool, as_json: bool) -> None:
    """Show the settings that are used; passwords and keys are hidden.

    With --json the values have their types, and the origins are always there.
    """
    loaded = _load_or_exit(as_json=False)
    names = [name for name, each in FIELDS.items() if not changed or _value(loaded, name) != each.default]
    if as_json:
        print_json(
            {
                FIELDS[name].variable: {"value": _shown(loaded, name), "origin": loaded.origins[name]}
                for name in names
            }
        )
        return
    heads = ["setting", "value", "origin"] if origin else ["setting", "value"]
    rows = [[FIELDS[name].variable, _text(loaded, name), loaded.origins[name]] for name in names]
    print_table(heads, [row[: len(heads)] for row in rows])


@config.command(epilog=examples("hub config check && systemctl restart hub"))
@as_json_option
def check(*, as_json: bool) -> None:
    """Say everything that is wrong with the settings; exit 2 if something is.

    Nothing but the settings is looked at: `hub doctor` also asks the servers that they name.
    """
    _load_or_exit(as_json=as_json)
    if as_json:
        print_json({"problems": []})
    else:
        click.echo("The settings can be used.")


def _load_or_exit(*, as_json: bool) -> Loaded:
    try:
        return load()
    except SettingsError as error:
        if as_json:
            print_json({"problems": error.problems})
        else:
            click.echo(error.render(), err=True)
        raise SystemExit(2) from None


def _value(loaded: Loaded, name: str) -> object:
    value: object = getattr(loaded.settings, name)
    return value


def _shown(loaded: Loaded, name: str) -> object:
    """Return a value for JSON, without its secrets."""
    value = _value(loaded, name)
    return value.masked() if isinstance(value, Secret) else msgspec.to_builtins(value, enc_hook=str)


def _text(loaded: Loaded, name: str) -> str:
    value = _shown(loaded, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
