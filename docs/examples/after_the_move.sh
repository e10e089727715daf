#!/bin/sh
# What somebody finds who came over from the original: sign in, companions, header picture, talk, gallery.
#   sh docs/examples/after_the_move.sh LOGIN PASSWORD [http://127.0.0.1:8000]
set -eu
login=$1 password=$2 hub=${3:-http://127.0.0.1:8000}
ask() { python3 -c "import json, sys; found = json.load(sys.stdin); $1"; }
get() { curl -sS --fail-with-body "$hub$1" -H "Authorization: Bearer $token"; }
body=$(python3 -c 'import json, sys; print(json.dumps({"login": sys.argv[1], "password": sys.argv[2]}))' \
    "$login" "$password")

token=$(curl -sS --fail-with-body "$hub/api/auth/login" --json "$body" | ask 'print(found["access_token"])')
get /api/me | ask 'print("signed in as", found["username"])'

get '/api/companions?limit=100' | ask '
for each in found["items"]:
    print(each["id"], each["header_image"] and each["header_image"]["url"] or "-", each["name"])' |
while read -r companion header name; do
    echo "$name"
    if [ "$header" != - ]; then
        echo "  header: $(get "$header" | wc -c) bytes, thumbnail: $(get "$header?size=thumb" | wc -c) bytes"
    fi
    get "/api/companions/$companion/images?kind=generated&limit=100" | ask '
print("  gallery:", len(found["items"]), "pictures, the first 100 of them")'
    for talk in $(get "/api/conversations?companion_id=$companion" | ask '
print(*(each["id"] for each in found["items"]))'); do
        get "/api/conversations/$talk/messages?limit=1000" | ask '
with_picture = sum(1 for each in found["items"] if each["image"])
print("  talk:", len(found["items"]), "messages,", with_picture, "with a picture")'
    done
done
