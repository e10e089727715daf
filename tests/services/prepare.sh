#!/bin/sh
# Get what the tests need and pip cannot bring: RabbitMQ, Node for what is written in JavaScript, Chromium (with a
# font) for the page, and Caddy, Prometheus' promtool and systemd's checker for what is in deploy/. Without them
# their tests are skipped and say so, or fail where HUB_TEST_REQUIRE names them.
set -eu

policy=/usr/sbin/policy-rc.d
packages=

has_rabbitmq() {
    for folder in /usr/lib/rabbitmq/bin /opt/homebrew/opt/rabbitmq/sbin; do
        [ -x "$folder/rabbitmq-server" ] && return 0
    done
    command -v rabbitmq-server >/dev/null 2>&1
}

has_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null 2>&1 && return 0
    done
    return 1
}

has_rabbitmq || packages="$packages rabbitmq-server"
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
has_chromium || packages="$packages chromium fonts-liberation"
command -v caddy >/dev/null 2>&1 || packages="$packages caddy"
command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
command -v systemd-analyze >/dev/null 2>&1 || packages="$packages systemd"
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Some tests cannot run without$packages. On Debian and Ubuntu, as root:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends$packages" >&2
    exit 0
fi

echo "Installing Debian's packages for the tests:$packages; no service is started." >&2
if [ ! -e "$policy" ]; then
    # Debian starts a service when it is installed, unless this file says no.
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
{ apt-get update -q && apt-get install -q -y --no-install-recommends $packages; } >&2 || {
    echo "$packages could not be installed; tests will be skipped, or fail where they are required." >&2
}
