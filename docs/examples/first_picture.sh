#!/bin/sh
# A first picture with curl: register, create a companion, have it painted, save it, make it again.
#   sh docs/examples/first_picture.sh [http://127.0.0.1:8000] [mira.jpg]
set -eu
hub=${1:-http://127.0.0.1:8000} file=${2:-mira.jpg}
field() { python3 -c "import json, sys
found = json.loads(sys.stdin.read() or sys.exit(1))
print(found$1) if 'detail' not in found else sys.exit(found['detail'])"; }
get() { curl -sS --fail-with-body "$hub$1" -H "Authorization: Bearer $token"; }
post() { curl -sS --fail-with-body "$hub$1" -H "Authorization: Bearer ${token:-}" --json "$2"; }
# Waits until a job has ended and leaves it in a file; tells on the way how many are before it, and how far it is.
finish() {
    until get "/api/jobs/$1" >job.$$ && grep -Eq '"status":"(completed|failed|cancelled)"' job.$$; do
        echo "before it: $(field '["position"]' <job.$$), progress: $(field '["progress"]' <job.$$)"
        sleep 0.5
    done
    grep -q '"status":"completed"' job.$$ || { field '["error"]' <job.$$ >&2; exit 1; }
}
trap 'rm -f job.$$' EXIT

name="ines_$$"
token=$(post /api/auth/register "{\"username\": \"$name\", \"email\": \"$name@example.org\",
    \"password\": \"correct horse battery\"}" | field '["access_token"]')
companion=$(post /api/companions '{"name": "Mira", "description": "A calm botanist who loves moss.",
    "appearance": "short brown hair, green eyes, freckles"}' | field '["id"]')

job=$(post "/api/companions/$companion/images" '{"seed": 7}' | field '["id"]')
finish "$job"
image=$(field '["result"]["id"]' <job.$$)
field '["result"]["recipe"]["prompt"]' <job.$$
curl -sS "$hub/api/images/$image" -H "Authorization: Bearer $token" -H 'Accept: image/jpeg' -o "$file"
echo "$file: $(wc -c <"$file") bytes"

again=$(post "/api/images/$image/again" '{}' | field '["id"]')
finish "$again"
echo "again: $(field '["status"]' <job.$$), seed $(field '["result"]["recipe"]["seed"]' <job.$$)"
