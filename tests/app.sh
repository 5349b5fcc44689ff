#!/usr/bin/env bash
# The web page of examples/app, in an environment of its own, .venvs/app.
# Usage: tests/app.sh run | test [OPTIONS of pytest]
set -euo pipefail
cd "$(dirname "$0")/.."

env=.venvs/app
install() { VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --editable '.[langchain,documents]' "$@"; }

if [ ! -e "$env/.made" ] || [ pyproject.toml -nt "$env/.made" ]; then
    echo "Making $env, once; this takes a minute …"
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet --quiet uv # twice: without warnings
    install --group app
    touch "$env/.made"
fi
if [ "$1" = run ]; then
    exec "$env/bin/python" -m examples.app
fi
if [ ! -e "$env/.made-for-tests" ] || [ "$env/.made" -nt "$env/.made-for-tests" ]; then
    install --group app --group browser --group test
    touch "$env/.made-for-tests"
fi
"$env/bin/python" -m pytest tests/app "${@:2}" || ./tests/rerun.sh "$env" tests/app
