#!/usr/bin/env bash
# Build the documentation in an environment of its own, .venvs/docs. A warning of any tool fails the build.
# Usage: tests/docs.sh build | serve | test
set -euo pipefail
cd "$(dirname "$0")/.."

env=.venvs/docs
if [ ! -e "$env/.made" ] || [ pyproject.toml -nt "$env/.made" ] || [ constraints.txt -nt "$env/.made" ]; then
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/python" -m pip install --quiet --quiet uv  # twice: without warnings
    VIRTUAL_ENV=$env "$env/bin/uv" pip install --quiet --link-mode copy --constraints constraints.txt \
        --editable '.[all]' --group test --group docs
    touch "$env/.made"
fi
export NO_MKDOCS_2_WARNING=1  # mkdocs-material's notice about its successor; pyproject.toml pins the major versions

case "${1:-build}" in
    build)
        "$env/bin/python" -m mkdocs build --strict --clean --quiet
        echo "The documentation is in $PWD/site/index.html"
        ;;
    serve) "$env/bin/python" -m mkdocs serve --strict --dev-addr 127.0.0.1:8000 ;;
    # In one process, because each one builds the documentation.
    test) "$env/bin/python" -m pytest tests/docs || ./tests/rerun.sh "$env" tests/docs ;;
    *)
        echo "Unknown command: $1. Use build, serve or test." >&2
        exit 2
        ;;
esac
