"""Knobs that change nothing, and knobs that change much, for every method and their joint use."""

from __future__ import annotations

from typing import Any

Methods = dict[str, dict[str, Any]]

REFRESH = {
    "down_blocks.1.attentions.0": [0, 3],
    "mid_block.attentions.0": [0],
    "up_blocks.1.attentions.1": [0, 2, 4],
    "up_blocks.2.resnets.0": [0, 2, 3],
    "up_blocks.2.resnets.1": [0, 4],
}
NEUTRAL: dict[str, Methods] = {
    "deepcache": {"deepcache": {"depth": "full"}},
    "tome": {"tome": {"ratio": 0.0}},
    "dato": {"dato": {"ratio": 0.0}},
    "catome": {"catome": {"threshold": 1.0, "checkpoints": [0, 3]}},
    "tgate": {"tgate": {"gate": None}},
    "blockcache": {"blockcache": {"refresh": {}}},
    "guidance": {"guidance": {"mode": "full", "order": 1}},
    "paradigms": {"paradigms": {"window": 1}},
}
GUIDED: dict[str, Any] = {
    "mode": ["full", "off", "full", "reuse", "full", "off"],
    "scale": [1.0, 1.0, 1.3, 1.0, 0.6, 1.0],
    "order": [0, 0, 0, 1, 0, 0],
}
PARALLEL: dict[str, Any] = {"window": 3, "tolerance": 0.5}
STRONG: dict[str, Methods] = {
    "deepcache": {
        "deepcache": {"depth": ["full", 1, 0, "full", 3, 1], "order": [0, 0, 0, 0, 1, 2]}
    },
    "tome": {"tome": {"ratio": [0.75, 0.5, 0.75, 0.0, 0.5, 0.75], "levels": 3}},
    "dato": {"dato": {"ratio": [0.75, 0.5, 0.75, 0.0, 0.5, 0.75], "levels": 3}},
    "catome": {"catome": {"threshold": 0.7, "checkpoints": [0, 3], "levels": 3}},
    "tgate": {"tgate": {"gate": 3, "self_interval": 2, "warmup": 0, "late_interval": 2}},
    "blockcache": {"blockcache": {"refresh": REFRESH}},
    "guidance": {"guidance": GUIDED},
    "paradigms": {"paradigms": PARALLEL},
}
JOINT: dict[str, Methods] = {
    "deepcache+tome": {
        "deepcache": {"depth": ["full", 2, 1, "full", 0, 5]},
        "tome": {"ratio": 0.5, "levels": 3},
    },
    "deepcache+dato": {
        "deepcache": {"depth": ["full", 1, 0, "full", 5, 2], "order": 1},
        "dato": {"ratio": 0.5, "levels": 3, "recover": "kept", "noise": 1.0},
    },
    "deepcache+catome": {
        "deepcache": {"depth": ["full", 1, "full", 3, 5, 2]},
        "catome": {"threshold": 0.7, "checkpoints": [0, 3], "levels": 3},
    },
    "tgate+deepcache": {
        "tgate": {"gate": 3, "self_interval": 2},
        "deepcache": {"depth": ["full", 2, "full", 1, 0, 3]},
    },
    "guidance+deepcache": {
        "guidance": GUIDED,
        "deepcache": {"depth": ["full", 1, 2, "full", 1, 2], "order": [0, 0, 0, 0, 1, 1]},
    },
    "guidance+deepcache predictions": {
        "guidance": {"mode": ["full", "off", "off", "full", "reuse", "full"]},
        "deepcache": {"depth": ["full", "full", 0, "full", 3, 0], "order": 1},
    },
    "guidance+blockcache": {
        "guidance": GUIDED,
        "blockcache": {"refresh": REFRESH},
    },
    "guidance+catome": {
        "guidance": GUIDED,
        "catome": {"threshold": 0.7, "checkpoints": [0, 3], "levels": 3},
    },
    "guidance+dato": {
        "guidance": GUIDED,
        "dato": {"ratio": [0.75, 0.5, 0.5, 0.5, 0.5, 0.75], "levels": 3},
    },
    "guidance+dato apart": {
        "guidance": {"mode": ["full", "full", "off", "full", "reuse", "full"]},
        "dato": {"ratio": 0.5, "levels": 3, "align_cfg": False},
    },
    "paradigms+tome": {"paradigms": PARALLEL, "tome": {"ratio": 0.5, "levels": 3}},
    "guidance+tome": {"guidance": GUIDED, "tome": {"ratio": 0.5, "levels": 3}},
    "guidance+tgate": {
        "guidance": {"mode": ["full", "off", "full", "off", "off", "full"]},
        "tgate": {"gate": 5, "self_interval": 3, "cross_interval": 2, "warmup": 0},
    },
    "everything": {
        "tgate": {"gate": 4, "late_interval": 2},
        "dato": {"ratio": [0.5, 0.5, 0.5, 0.5, 0.0, 0.0], "levels": 2},
        "catome": {"threshold": [1.0, 1.0, 1.0, 1.0, 0.7, 0.7], "levels": 2},
        "deepcache": {"depth": ["full", 3, "full", 2, "full", 6], "order": 1},
        "blockcache": {"refresh": REFRESH},
    },
}
ALL = STRONG | JOINT


def neutral(name: str) -> Methods:
    """The methods of a case, with knobs that change nothing."""
    return {method: NEUTRAL[method][method] for method in ALL[name]}
