#!/usr/bin/env bash
# Run the tests that failed in the last run once more, and report them by name: a busy machine can stall a test of
# timeouts. A test that fails twice in ten runs is to be mended, not retried.
# Usage: tests/rerun.sh ENVIRONMENT [PATHS], from the folder in which the tests (or those of PATHS) ran.
set -euo pipefail
python=$1/bin/python
failed=$("$python" -c '
import json, pathlib
print(*json.loads(pathlib.Path(".pytest_cache/v/cache/lastfailed").read_text("utf-8")), sep="\n")
')
printf 'Failed, run a second time:\n%s\n' "$failed"
"$python" -m pytest --last-failed --last-failed-no-failures=none "${@:2}"
printf 'Passed in the second run only:\n%s\n' "$failed"
