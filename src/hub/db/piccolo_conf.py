"""What Piccolo's command line and migration runner look for (``PICCOLO_CONF=hub.db.piccolo_conf``)."""

from piccolo.conf.apps import AppRegistry

from hub.db.engine import ENGINE

DB = ENGINE
APP_REGISTRY = AppRegistry(apps=["hub.db.piccolo_app"])
