"""Piccolo's view of the hub: which tables there are and where their migrations lie."""

from piccolo.conf.apps import AppConfig, table_finder

from hub.db.migrate import MIGRATIONS_FOLDER

APP_CONFIG = AppConfig(
    app_name="hub",
    migrations_folder_path=str(MIGRATIONS_FOLDER),
    table_classes=table_finder(
        modules=[
            "hub.domain.accounts.tables",
            "hub.domain.companions.tables",
            "hub.domain.completions.tables",
            "hub.domain.chat.tables",
            "hub.domain.images.tables",
            "hub.domain.limits.tables",
            "hub.domain.monitoring.tables",
            "hub.domain.painting.tables",
            "hub.domain.scenes.tables",
            "hub.domain.webhooks.tables",
            "hub.jobs.tables",
            "hub.legacy.tables",
        ]
    ),
)
