"""Does an exported file reproduce its scores in a fresh process?

    python -m benchmarks run reproduce runs/RUN

Applies every exported strategy with `accel.apply` alone, draws the held-out prompts that the search
scored, and compares the features' distance and the speedup with what the file says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.entry import RESULTS
from evaluate.commands.score import scored
from strategies import load
from strategies.data_files.yaml_files import read_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth strategy")
    flags = parser.parse_args()
    images = read_yaml(flags.run / "config.yaml")["heldout_images"]
    files = sorted((flags.run / "strategies").glob("[0-9][0-9]-*.json"))[:: flags.every]
    rows = scored("tiny-sd", [str(path) for path in files], images, 9)
    result = []
    for path, row in zip(files, rows[1:], strict=True):
        scores = load(path).scores
        result.append(
            {
                "file": path.name,
                "fd_base_file": scores["fd_base"],
                "fd_base_now": row["fd_base"],
                "psnr_file": scores["psnr"],
                "psnr_now": row["psnr"],
                "speedup_file": scores["speedup"],
                "speedup_now": row["speedup"],
            }
        )
        print(json.dumps(result[-1]))
    target = RESULTS / "reproduce.json"
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
