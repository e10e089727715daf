#!/bin/sh
# A client with curl and python3: sign in, create a companion, talk, watch the reply, get the picture.
#   sh docs/examples/client.sh [http://127.0.0.1:8000] [USERNAME PASSWORD]
set -eu
hub=${1:-http://127.0.0.1:8000} username=${2:-} password=${3:-three green umbrellas} token=

field() { python3 -c "import json, sys
found = json.loads(sys.stdin.read() or sys.exit(1))
print(found$1) if 'detail' not in found else sys.exit(found['detail'])"; }
call() { # METHOD PATH [JSON]: prints the answer; a refusal is a problem document, and ends the script
    curl -sS --fail-with-body -X "$1" "$hub$2" -H "Authorization: Bearer $token" ${3:+--json "$3"}
}

if [ -n "$username" ]; then
    answer=$(call POST /api/auth/login "{\"login\": \"$username\", \"password\": \"$password\"}")
else
    username="robin_$$"
    answer=$(call POST /api/auth/register "{\"username\": \"$username\", \"password\": \"$password\",
        \"email\": \"$username@example.org\"}")
fi
token=$(echo "$answer" | field '["access_token"]')
companion=$(call POST /api/companions '{"name": "Mira", "description": "A calm botanist who loves moss.",
    "appearance": "green eyes, short grey hair"}' | field '["id"]')
conversation=$(call POST /api/conversations "{\"companion_id\": \"$companion\"}" | field '["id"]')

# Idempotency-Key makes it safe to send this again when the answer was lost.
response=$(curl -sS --fail-with-body "$hub/api/conversations/$conversation/messages" \
    -H "Authorization: Bearer $token" -H "Idempotency-Key: first-$conversation" \
    --json '{"content": "Good morning! What grows here?", "generate_image": true}' | field '["response"]["id"]')

# The reply as it is written. After a lost connection go on with: -H "Last-Event-ID: <the last id>"
curl -sSN "$hub/api/responses/$response/events" -H "Authorization: Bearer $token"

# The picture is painted afterwards, by a job of its own.
job=$(call GET "/api/responses/$response" | field '["image_job_id"]')
until status=$(call GET "/api/jobs/$job" | field '["status"]'); [ "$status" != queued ] && [ "$status" != in_progress ]; do
    sleep 0.5
done
image=$(call GET "/api/jobs/$job" | field '["result"]["url"]')
curl -sS --fail-with-body "$hub$image" -H "Authorization: Bearer $token" -H 'Accept: image/jpeg' -o mira.jpg
echo "picture: $status, $(($(wc -c <mira.jpg))) bytes in mira.jpg"
