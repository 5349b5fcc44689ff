#!/usr/bin/env bash
# Run the tests with other versions than those of constraints.txt, which `make test` uses: the lowest that pyproject.toml
# allows, and the newest openai 2.x (on httpx; 3.x is on httpx2). Each set has an environment of its own below .venvs/.
set -euo pipefail
cd "$(dirname "$0")/.."

lowest() { # Print the lowest version of a package that pyproject.toml allows, as a pin.
    sed -nE "s/.*\"$1>=([0-9.]+),.*/$1==\1.*/p" pyproject.toml | head -n 1
}

run() { # Make the environment NAME with the given pins and $EXTRAS, and run the tests (or $TESTS) in it.
    local name=$1 env=.venvs/$1
    shift
    echo "── $name: $*"
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet uv
    VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --editable ".[${EXTRAS:-all}]" --group test "$@"
    "$env/bin/python" -m pytest -n auto ${TESTS:-} || ./tests/rerun.sh "$env" ${TESTS:-}
}

run lowest "$(lowest openai)" "$(lowest langchain-core)" "$(lowest llama-index-core)" "$(lowest dashscope)"
run openai-2 'openai>=2,<3'
# LlamaIndex requires a newer pydantic than the lowest one that is allowed.
EXTRAS=langchain,dashscope,documents TESTS='tests/core tests/langchain' run pydantic "$(lowest pydantic)"
