#!/usr/bin/env bash
# Run the tests with vector stores and text splitters of both frameworks, in an environment of their own, .venvs/stores:
# their packages are large, and pin versions that the other tests should not depend on.
set -euo pipefail
cd "$(dirname "$0")/.."

env=.venvs/stores
if [ ! -e "$env/.made" ] || [ pyproject.toml -nt "$env/.made" ]; then
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet uv
    VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --editable '.[all]' --group test --group stores
    touch "$env/.made"
fi
"$env/bin/python" -m pytest -n 2 tests/stores || ./tests/rerun.sh "$env" tests/stores
