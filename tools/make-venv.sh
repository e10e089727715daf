#!/bin/sh
# Make .venv with the given python, or say in one sentence what is missing.
set -eu

python=$1

if ! command -v "$python" >/dev/null 2>&1; then
    echo "Python is missing: '$python' was not found. Install Python 3.11 or newer, or name one: make run PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Companion Hub needs Python 3.11 or newer, and '$python' is $("$python" -V 2>&1). Name another one: make run PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "'$python' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
"$python" -m venv --clear .venv
