#!/usr/bin/env bash
# Every comparison of speed at full size on a GPU, eager and compiled, and the page of all results.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
for name in sampler transformer_speed; do
    "$python" -m benchmarks run "$name" "$@"
    "$python" -m benchmarks run "$name" --compile "$@"
done
"$python" -m benchmarks run papers_speed
for family in unet dit mmdit; do
    "$python" -m benchmarks run profile_calls "$family"
done
"$python" -m benchmarks report
