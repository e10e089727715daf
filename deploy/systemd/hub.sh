#!/bin/sh
# The command hub beside these units, with the services' settings and as their user: hub doctor, hub admin ...
# To /usr/local/bin/hub; root calls it.
set -eu

settings=/etc/companion-hub
while IFS= read -r line; do
    case $line in
    HUB_*=*) export "${line?}" ;;
    esac
done < "$settings/hub.env"
for name in secret_key database_url broker_url llm_key; do
    export "HUB_$(printf %s "$name" | tr '[:lower:]' '[:upper:]')=$(cat "$settings/$name")"
done
export HUB_ENV=production HUB_DATA_DIR=/var/lib/companion-hub
cd /var/lib/companion-hub
exec runuser --user companion-hub -- /opt/companion-hub/bin/hub "$@"
