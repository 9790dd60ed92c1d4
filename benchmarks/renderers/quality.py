"""Tables of images and of the metrics that score them."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.renderers.markdown import short, table


def transformers(data: Any) -> str:
    """FD, PSNR and speedup of every strategy, with 95 % intervals where they were computed."""
    rows: list[tuple[Any, ...]] = [
        (name, one["fd_base"], _between(one, "fd_base"), one["fd_real"], one["psnr"],
         _between(one, "psnr"), one["speedup"])
        for name, one in sorted(data["rows"].items(), key=lambda item: item[1]["speedup"])
    ]  # fmt: skip
    heads = ["strategy", "FD to unaccelerated", "95 %", "FD to real", "PSNR, dB", "95 %", "speedup"]
    if not any("intervals" in one for one in data["rows"].values()):
        rows = [(row[0], row[1], *row[3:5], row[6]) for row in rows]
        heads = [head for head in heads if head != "95 %"]
    return f"{data['images']} held-out prompts.\n\n" + table(heads, rows)


def unets(data: Any) -> str:
    """Right answers, FD, PSNR and speedup of every strategy, with 95 % intervals."""
    accuracy = "right_attributes"
    rows = [
        (name, one.get(accuracy), _between(one, accuracy), one["fd_base"], _between(one, "fd_base"),
         one["fd_real"], one["psnr"], one.get("speedup"))
        for name, one in sorted(data["rows"].items(), key=lambda item: item[1].get("speedup", 0))
    ]  # fmt: skip
    heads = ["strategy", "right", "95 %", "FD to unaccelerated", "95 %", "FD to real", "PSNR, dB",
             "speedup"]  # fmt: skip
    return f"{data['images']} held-out prompts, {data['device']}.\n\n" + table(heads, rows)


def _between(row: Any, metric: str) -> str:
    found = row.get("intervals", {}).get(metric)
    return "" if found is None else f"{short(found[1])} to {short(found[2])}"


def parallel_calls(data: Any) -> str:
    """FD, passes and speedup of every window."""
    rows = [
        (name, one["passes"], one["rows"], one["fd_base"], one["psnr"], one["speedup"])
        for name, one in data["rows"].items()
    ]
    heads = ["strategy", "passes", "rows", "FD to unaccelerated", "PSNR, dB", "speedup"]
    return f"{data['images']} held-out prompts, {data['device']}.\n\n" + table(heads, rows)


def few_step_lora(data: Any) -> str:
    """FD with its range, PSNR, right answers and speedup of every setting."""
    own = median(next(iter(data["rows"].values()))["kd"])
    rows = [
        (name, median(one["fd"]), f"{short(one['fd'][0])} to {short(one['fd'][-1])}",
         median(one["kd"]) - own, median(one["psnr"]), median(one["right"]), one["speedup"])
        for name, one in data["rows"].items()
    ]  # fmt: skip
    heads = ["setting", "FD to guided", "lowest and highest", "KD", "PSNR, dB", "right answers, %",
             "speedup"]  # fmt: skip
    text = (
        f"Medians of {data['sets']} sets of {data['images']} prompts, {data['device']}. KD is "
        "above that of the guided images to themselves."
    )
    return f"{text}\n\n" + table(heads, rows)


def order(data: Any) -> str:
    rows = []
    for name, one in data["rows"].items():
        change = one.get("fd_base_minus_order_0")
        told = None if change is None else " to ".join(short(value) for value in change[1:])
        rows.append((name, one["fd_base"], told, one["psnr"], one["speedup"]))
    heads = ["schedule", "FD to unaccelerated", "less order 0's, 95 %", "PSNR, dB", "speedup"]
    return f"{data['images']} held-out prompts.\n\n" + table(heads, rows)


def affine_guidance(data: Any) -> str:
    """FD and PSNR of every form at every solver."""
    rows = [
        (setting, name, one["fd_base"], one["psnr"])
        for setting, forms in data["rows"].items()
        for name, one in forms.items()
    ]
    heads = ["solver and steps", "guidance", "FD to unaccelerated", "PSNR, dB"]
    text = f"{data['images']} held-out prompts; coefficients from {data['fit']} search prompts."
    return f"{text}\n\n" + table(heads, rows)


def predictors(data: Any) -> str:
    """FD and PSNR of every forecast at every schedule, and the difference to the best order."""
    rows = []
    for schedule, forecasts in data["rows"].items():
        for name, one in forecasts.items():
            if name == "best order":
                continue
            apart = "best of the orders" if name == forecasts["best order"] else ""
            if "interval" in one:
                low, high = one["interval"]
                apart = f"{one['fd_difference']:+.2f} ({low:+.2f} to {high:+.2f})"
            rows.append((schedule, name, one["fd_base"], one["psnr"], apart, one["seconds"]))
    heads = [
        "schedule",
        "forecast",
        "FD to unaccelerated",
        "PSNR, dB",
        "FD less the best order's",
        "s an image",
    ]
    sets = f"{data['sets']} sets of {data['images']} held-out prompts."
    return f"{sets}\n\n" + table(heads, rows)


def mask(data: Any) -> str:
    rows = [
        (name, one["fora"], one["cache-dit"], one["apart"]) for name, one in data["rows"].items()
    ]
    heads = ["schedule", "`fora`, PSNR in dB", "cache-dit", "`fora` to cache-dit"]
    return f"{data['images']} held-out prompts, {data['steps']} steps.\n\n" + table(heads, rows)


def distances(data: Any) -> str:
    rows = [
        (
            one["features"], one["clean_fid_seconds"], one["seconds"], one["times_faster"],
            one["relative_difference"],
        )
        for one in data["frechet"]
    ]  # fmt: skip
    heads = ["features", "clean-fid, s", "here, s", "times faster", "relative difference"]
    return table(heads, rows)


def rungs(data: Any) -> str:
    parts = [
        f"Kendall's tau against FD on {data['heldout_images']} held-out prompts, over "
        f"{data['strategies']} strategies of {data['model']}.\n"
    ]
    for noise in ("common_noise", "own_noise"):
        rows = [
            (one["figure"], one["images"], one["tau_fd_base"], one["tau_fd_real"])
            for one in data[noise]
        ]
        heads = [
            f"{noise.replace('_', ' ')}: metric", "images", "tau with FD to unaccelerated",
            "tau with FD to real",
        ]  # fmt: skip
        parts += [table(heads, rows), ""]
    return "\n".join(parts)


def transfer(data: Any) -> str:
    rows = []
    for name, found in data["settings"].items():
        plain = found["rows"][0]["macs"]
        for one in found["rows"]:
            if "baseline" not in one:
                continue
            gains = [_gain(one["baseline_changes"][key]) for key in ("psnr", "fd_base")]
            work = f"{plain / one['macs']:.2f}x"
            rows.append((name, one["name"], work, one["psnr"], one["baseline"], *gains))
    heads = [
        "setting", "strategy", "work saved", "PSNR, dB", "baseline of equal work", "gain in PSNR",
        "gain in FD",
    ]  # fmt: skip
    return f"{data['images']} prompts; intervals of 95 %.\n\n" + table(heads, rows)


def _gain(entry: list[float]) -> str:
    middle, low, high = entry
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def no_loss(data: Any) -> str:
    rows = []
    for one in data["rows"]:
        figures = one["verdict"]["figures"].values()
        against = [figure["reason"] for figure in figures if figure["answer"] != "yes"]
        rows.append(
            (
                f"`{one['name']}`",
                one["verdict"]["answer"],
                "; ".join(against),
                f"{one['psnr']:.1f} dB",
                one["other_content"],
            )
        )
    head = ["strategy", "no loss", "why not", "PSNR", "images of another shape or colour"]
    return f"{data['model']}, {data['images']} held-out prompts.\n\n{table(head, rows)}"
