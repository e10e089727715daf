#!/bin/sh
# Make the secrets that compose.yaml hands to the containers. What is there already stays as it is.
#
# The folder is closed to other users of this machine; the files in it are readable, since each container
# reads them as a user of its own.
set -eu

folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n'
}

keep() { # keep NAME TEXT: write the file unless it is there
    [ -e "$folder/$1" ] && return
    printf '%s\n' "$2" > "$folder/$1"
    chmod 444 "$folder/$1"
    echo "made $folder/$1"
}

keep secret_key "$(random)"
keep postgres_password "$(random)"
keep database_url "postgresql://hub:$(cat "$folder/postgres_password")@postgres:5432/hub"
if [ ! -e "$folder/rabbitmq_account" ] || [ ! -e "$folder/broker_url" ]; then
    password=$(random)
    rm -f "$folder/rabbitmq_account" "$folder/broker_url"
    keep rabbitmq_account "default_user = hub
default_pass = $password"
    keep broker_url "amqp://hub:$password@rabbitmq:5672/"
fi
# Servers that want no key do not look at it.
keep llm_key "put-the-key-of-your-language-model-here"
