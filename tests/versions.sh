#!/usr/bin/env bash
# Runs the tests with other versions than the newest, which `make test` has: the lowest that pyproject.toml allows, and
# the newest openai 2.x (on httpx; 3.x is on httpx2). Each set has an environment of its own below .venvs/.
set -euo pipefail
cd "$(dirname "$0")/.."

lowest() { # name -> the lowest version of it that pyproject.toml allows, as a pin
    sed -nE "s/.*\"$1>=([0-9.]+),.*/$1==\1.*/p" pyproject.toml | head -n 1
}

run() { # name, pins...
    local name=$1 env=.venvs/$1
    shift
    echo "── $name: $*"
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet uv
    VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --editable '.[all]' --group test "$@"
    # What failed is run once more, by itself: a busy machine can stall a test of timeouts.
    "$env/bin/python" -m pytest -n auto || "$env/bin/python" -m pytest --last-failed --last-failed-no-failures=none
}

run lowest "$(lowest openai)" "$(lowest langchain-core)" "$(lowest llama-index-core)" "$(lowest dashscope)"
run openai-2 'openai>=2,<3'
