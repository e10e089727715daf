#!/bin/sh
# Get what the tests talk to and pip cannot bring: RabbitMQ. Without it its tests are skipped and say so,
# or fail where HUB_TEST_REQUIRE names it.
set -eu

packages=rabbitmq-server
policy=/usr/sbin/policy-rc.d

for folder in /usr/lib/rabbitmq/bin /opt/homebrew/opt/rabbitmq/sbin; do
    [ -x "$folder/rabbitmq-server" ] && exit 0
done
command -v rabbitmq-server >/dev/null 2>&1 && exit 0

if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "RabbitMQ is not installed, so its tests cannot run. On Debian and Ubuntu, as root:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends $packages" >&2
    exit 0
fi

echo "Installing RabbitMQ from Debian's packages for the tests; no service is started." >&2
if [ ! -e "$policy" ]; then
    # Debian starts a service when it is installed, unless this file says no.
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -q && apt-get install -q -y --no-install-recommends $packages; } >&2 || {
    echo "RabbitMQ could not be installed; its tests will be skipped, or fail where they are required." >&2
}
