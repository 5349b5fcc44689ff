#!/usr/bin/env bash
# Build what is uploaded to a package index, and check it: metadata, contents, and what each extra installs and runs.
# The tools have an environment of their own, .venvs/release.
set -euo pipefail
cd "$(dirname "$0")/.."

env=.venvs/release
if [ ! -e "$env/.made" ] || [ pyproject.toml -nt "$env/.made" ]; then
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet uv
    VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --group release
    touch "$env/.made"
fi
exec "$env/bin/python" -m tests.release "$@"
