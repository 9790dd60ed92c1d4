#!/usr/bin/env bash
# The default search over three seeds, with the wall time of each; then
# `python -m benchmarks run hypervolume`.
set -euo pipefail
cd "$(dirname "$0")/.."
for seed in 0 1 2; do
    began=$(date +%s)
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE "${PYTHON:-.venv/bin/python}" -m search \
        --seed "$seed" --out "runs/seed-$seed"
    echo "seed $seed took $(($(date +%s) - began)) s"
done
