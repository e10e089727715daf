"""Settings: typed, checked at start, read from hub.toml, .env, the environment and secret files."""

from hub.core.settings.addresses import Secret, SecretUrl
from hub.core.settings.fields import Field
from hub.core.settings.load import NOVITA_URL, Loaded, load, load_settings
from hub.core.settings.problems import Problem, SettingsError
from hub.core.settings.schema import FIELDS, Settings

__all__ = [
    "FIELDS",
    "NOVITA_URL",
    "Field",
    "Loaded",
    "Problem",
    "Secret",
    "SecretUrl",
    "Settings",
    "SettingsError",
    "load",
    "load_settings",
]
