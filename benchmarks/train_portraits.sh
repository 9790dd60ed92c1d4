#!/usr/bin/env bash
# Train tiny-portraits from nothing on a GPU and write what ships: zoo/models/tiny-portraits, its
# networks and prompt lists, and OUT/portraits.tar with all of them and the last checkpoint.
# Usage: benchmarks/train_portraits.sh OUT [PACKAGE.tgz]
# PACKAGE is what `npm pack @dicebear/pixel-art@9.4.3` writes; without it npm is called.
set -euo pipefail
out=$(realpath "${1:?usage: benchmarks/train_portraits.sh OUT [PACKAGE.tgz]}")
package=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
work=.train/tiny-portraits
mkdir -p "$out"
"$python" -m zoo.train tiny-portraits --fresh --work "$work" ${package:+--package "$package"}
"$python" -m zoo.export tiny-portraits --work "$work" --images 280 ${package:+--package "$package"}
tar -cf "$out/portraits.tar" zoo/models/tiny-portraits zoo/networks/portraits zoo/prompts/portraits \
    "$work/last.safetensors" "$work/curve.csv"
echo "wrote $out/portraits.tar"
