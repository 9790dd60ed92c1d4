#!/usr/bin/env bash
# Set up and run the tests: ./test.sh [pytest arguments]. VENV chooses the environment's folder.
set -euo pipefail
cd "$(dirname "$0")"
venv=${VENV:-.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --editable '.[test]'
OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE "$venv/bin/python" -m pytest -n 2 --dist worksteal "$@"
