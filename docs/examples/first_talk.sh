#!/bin/sh
# A first conversation with curl: register, create a companion, say something, watch the reply.
set -eu
hub=${1:-http://127.0.0.1:8000}
field() { python3 -c "import json, sys
found = json.loads(sys.stdin.read() or sys.exit(1))
print(found$1) if 'detail' not in found else sys.exit(found['detail'])"; }
post() { curl -sS --fail-with-body "$hub$1" -H "Authorization: Bearer ${token:-}" --json "$2"; }

name="ada_$$"
token=$(post /api/auth/register "{\"username\": \"$name\", \"email\": \"$name@example.org\",
    \"password\": \"correct horse battery\"}" | field '["access_token"]')
companion=$(post /api/companions '{"name": "Mira", "description": "A calm botanist who loves moss."}' | field '["id"]')
conversation=$(post /api/conversations "{\"companion_id\": \"$companion\"}" | field '["id"]')
response=$(post "/api/conversations/$conversation/messages" '{"content": "Good morning! Who are you?"}' |
    field '["response"]["id"]')
curl -sSN "$hub/api/responses/$response/events" -H "Authorization: Bearer $token"
