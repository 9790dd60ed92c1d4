"""Tables of time and work."""

from __future__ import annotations

from typing import Any

from benchmarks.renderers.markdown import ratio, table


def sampler(data: Any) -> str:
    parts = [
        f"Width {data['width']} of Stable Diffusion 1.5's, latents {data['latent']} x "
        f"{data['latent']}, {'compiled' if data['compiled'] else 'eager'}, {data['turns']} turns, "
        f"torch {data['torch']}, diffusers {data['diffusers']}.\n"
    ]
    batches = {name: found for name, found in data.items() if name.startswith("batch_")}
    for name, found in batches.items():
        rows = [(pair, ratio(entry)) for pair, entry in found["speedups"].items()]
        parts.append(table([f"speed of one call over another, batch {name[6:]}", "ratio"], rows))
        above = found.get("shallow_time_over_macs_share")
        if above is not None:
            parts.append(
                f"\nA shallow call takes {above:.2f} times its share of the multiply-accumulates "
                f"({data['macs']['share']:.3f})."
            )
    for name in ("peak_memory", "synchronisations"):
        if data.get(name):
            rows = [(key, value) for key, value in data[name].items()]
            parts.append("\n" + table([name.replace("_", " "), ""], rows))
    return "\n".join(parts)


def transformers(data: Any) -> str:
    setting = data["settings"]
    size = ", ".join(f"{key} {value}" for key, value in setting.items() if key != "device")
    parts = [f"{size}; torch {data['torch']}.\n"]
    for network, found in data.items():
        if not isinstance(found, dict) or network == "settings":
            continue
        rows = []
        for name, one in sorted(found.items(), key=lambda item: item[1].get("speedup", 0)):
            if "does not run" in one:
                rows.append((name, "does not run: " + one["does not run"].split(". ")[0], None))
            else:
                rows.append((name, ratio(one), one.get("macs_reduction")))
        heads = [network, "speed over unmodified", "reduction of multiply-accumulates"]
        parts += [table(heads, rows), ""]
    return "\n".join(parts)


def selection(data: Any) -> str:
    parts = []
    for kind in ("smooth", "white"):
        rows = [
            (name, 1000 * one["seconds"], one["inertia"])
            for name, one in data[kind].items()
            if name != "choice"
        ]
        parts += [table([f"k-means, {kind} maps", "ms", "inertia"], rows), ""]
        rows = [(name, 1000 * seconds) for name, seconds in data[kind]["choice"].items()]
        parts += [table([f"choice, {kind} maps", "ms"], rows), ""]
    return "\n".join(parts)


def latency_table(data: Any) -> str:
    return table(
        ["strategies", "rank correlation", "mean error", "half the interquartile range of repeats"],
        [
            (
                data["strategies"],
                data["rank_correlation"],
                f"{data['mean_error']:.1%}",
                f"{data['half_iqr_of_repeats']:.1%}",
            )
        ],
    )


def macs(data: Any) -> str:
    rows = [
        (
            one["network"], one["steps"], one["method"], one["tmacs"],
            one.get("tmacs_without_attention_products"), one.get("paper_tmacs"),
            one.get("share"), one.get("paper_share"),
        )
        for one in data["rows"]
    ]  # fmt: skip
    heads = [
        "network", "steps", "method", "TMACs", "without attention's products", "the paper's",
        "share of whole", "the paper's share",
    ]  # fmt: skip
    return table(heads, rows)
