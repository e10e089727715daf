"""Piccolo's view of the hub: which tables there are and where their migrations lie."""

from piccolo.conf.apps import AppConfig, table_finder

from hub.db.migrate import MIGRATIONS_FOLDER
from hub.db.tables import MODULES

APP_CONFIG = AppConfig(
    app_name="hub",
    migrations_folder_path=str(MIGRATIONS_FOLDER),
    table_classes=table_finder(modules=MODULES),
)
