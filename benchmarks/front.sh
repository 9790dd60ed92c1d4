#!/usr/bin/env bash
# The default search over three seeds; prints each run's summary with its wall time.
set -euo pipefail
cd "$(dirname "$0")/.."
for seed in 0 1 2; do
    began=$(date +%s)
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE "${PYTHON:-.venv/bin/python}" -m search --seed "$seed" --out "runs/seed-$seed" > "runs-seed-$seed.log"
    mv "runs-seed-$seed.log" "runs/seed-$seed/log.txt"
    echo "seed $seed: $(($(date +%s) - began)) s $(tr -d '\n' < "runs/seed-$seed/summary.json")" | tee -a benchmarks/results/front.txt
done
