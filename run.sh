#!/usr/bin/env bash
# Set up and run the main job on the bundled model: ./run.sh [flags of python -m search].
set -euo pipefail
cd "$(dirname "$0")"
venv=${VENV:-.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --editable '.[all]'
OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE "$venv/bin/python" -m search "$@"
