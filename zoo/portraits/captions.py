"""Captions of portraits: sentences that say some of what they show, and the way back.

A caption names some attributes, chosen at random, in random order and in one of several wordings.
`parse` reads the same sentences. In training about every seventh word is wrong, as in captions from
the web. A model that follows these captions exactly then draws something else that often, so that
guidance, which follows captions more strongly, has an effect.
"""

from __future__ import annotations

import re
from itertools import product

import numpy as np
from numpy.typing import NDArray

from strategies import StrategyError
from zoo.portraits.words import VALUES

Labels = NDArray[np.int64]
# The wordings of each value; `{}` stands where a colour may stand.
Wordings = dict[str, tuple[str, ...]]
NAMES = tuple(VALUES)
MISTAKES = 0.15
MAX_WORDS = 46
EXAMPLE = "a portrait of a person with long blue hair and red glasses, on a plain pink background"

OPENINGS = ("a portrait of a person", "a person", "pixel art of a person", "the face of a person")
HAIR: Wordings = {
    "bald": ("no hair", "a bald head"),
    "short": ("short {}hair", "{}hair cut short"),
    "tuft": ("a tuft of {}hair", "a {}tuft"),
    "spiky": ("spiky {}hair", "{}spikes"),
    "flat": ("a {}flat top", "{}hair cut flat"),
    "bob": ("a {}bob", "{}hair in a bob"),
    "braids": ("{}braids", "braided {}hair"),
    "long": ("long {}hair", "{}hair worn long"),
    "bun": ("a {}bun", "{}hair in a bun"),
}
BEARD: Wordings = {
    "no": ("no beard", "a shaved chin"),
    "goatee": ("a goatee",),
    "beard": ("a beard", "a full beard"),
    "long beard": ("a long beard",),
}
MOUTH: Wordings = {
    "smile": ("a smile", "a smiling mouth"),
    "open": ("an open mouth", "a mouth wide open"),
    "frown": ("a frown", "a sad mouth"),
    "straight": ("a straight mouth", "a serious mouth"),
}
EARRINGS: Wordings = {
    "no": ("no earrings",),
    "gold": ("gold earrings", "earrings of gold"),
    "silver": ("silver earrings", "earrings of silver"),
}
CLOTHING: Wordings = {
    "shirt": ("a {}shirt",),
    "checked shirt": ("a {}checked shirt", "a checked {}shirt"),
    "striped shirt": ("a {}striped shirt", "a striped {}shirt"),
    "open jacket": ("an open {}jacket",),
    "dungarees": ("{}dungarees",),
    "turtleneck": ("a {}turtleneck",),
    "tank top": ("a {}tank top",),
    "suspenders": ("{}suspenders",),
}
PATTERN: Wordings = {
    "plain": ("a plain {}background",),
    "horizontal stripes": ("a {}background of horizontal stripes",),
    "vertical stripes": ("a {}background of vertical stripes",),
    "checkered": ("a checkered {}background", "a {}background of checks"),
    "dotted": ("a dotted {}background", "a {}background of dots"),
}
POSITION: Wordings = {
    "left": ("on the left", "at the left edge"),
    "middle": ("in the middle", "at the center"),
    "right": ("on the right", "at the right edge"),
}

# Shares of captions that name an attribute that exists, and one that does not.
NAMED = {
    "position": 0.5,
    "skin": 0.5,
    "hair": 0.85,
    "hair_colour": 0.85,
    "eyes": 0.4,
    "glasses": 0.85,
    "glasses_colour": 0.8,
    "hat": 0.9,
    "hat_colour": 0.85,
    "beard": 0.85,
    "mouth": 0.6,
    "earrings": 0.8,
    "clothing": 0.85,
    "clothing_colour": 0.85,
    "background": 0.85,
    "pattern": 0.85,
}
NAMED_ABSENT = 0.12

# Attributes told in one clause: the kind and its colour.
_PAIRS = {
    "hair": "hair_colour",
    "glasses": "glasses_colour",
    "hat": "hat_colour",
    "clothing": "clothing_colour",
    "pattern": "background",
}
_WITH = ("skin", "hair", "eyes", "glasses", "hat", "beard", "mouth", "earrings")


def _kinds() -> dict[str, Wordings]:
    """Wordings of every clause."""
    glasses: Wordings = {
        "no": ("no glasses",),
        "glasses": ("{}glasses",),
        "sunglasses": ("{}sunglasses",),
    }
    hat: Wordings = {"no": ("no hat", "a bare head")}
    hat |= {kind: (f"a {{}}{kind}", f"a {kind}") for kind in VALUES["hat"][1:]}
    return {
        "position": POSITION,
        "skin": {value: (f"{value} skin",) for value in VALUES["skin"]},
        "hair": HAIR,
        "eyes": {value: (f"{value} eyes",) for value in VALUES["eyes"]},
        "glasses": glasses,
        "hat": hat,
        "beard": BEARD,
        "mouth": MOUTH,
        "earrings": EARRINGS,
        "clothing": CLOTHING,
        "pattern": PATTERN,
    }


# A clause that names the colour alone.
COLOUR_ALONE = {
    "hair": "{}hair",
    "hat": "something {}on the head",
    "clothing": "{}clothes",
    "pattern": "a {}background",
}
KINDS = _kinds()


def sample(labels: Labels, rng: np.random.Generator, mistakes: float) -> tuple[str, Labels]:
    """A caption of one portrait, and its content: int64 `[16]`, -1 for attributes it does not name.

    Args:
        labels: attributes of the portrait, int64 `[16]`, -1 if one cannot be seen.
        rng: random generator that decides the named attributes and the wording.
        mistakes: share of words that name something else.
    """
    said = np.full(len(NAMES), -1, np.int64)
    for index, name in enumerate(NAMES):
        absent = VALUES[name][0] == "no" and labels[index] == 0
        if labels[index] >= 0 and rng.random() < (NAMED_ABSENT if absent else NAMED[name]):
            said[index] = _mistaken(name, int(labels[index]), rng, mistakes)
    for kind, colour in _PAIRS.items():
        if kind not in COLOUR_ALONE and said[NAMES.index(kind)] < 0:
            said[NAMES.index(colour)] = -1
    _drop_colourless(said)
    while True:
        text = write(said, rng)
        if count_words(text) <= MAX_WORDS:
            return text, said
        present = np.flatnonzero(said >= 0)
        said[rng.choice(present)] = -1
        _drop_colourless(said)


def _mistaken(name: str, value: int, rng: np.random.Generator, share: float) -> int:
    """The same value or, with some probability, another one that exists."""
    first = 1 if VALUES[name][0] == "no" else 0
    count = len(VALUES[name])
    if value < first or rng.random() >= share:
        return value
    return first + int((value - first + rng.integers(1, count - first)) % (count - first))


def _drop_colourless(said: Labels) -> None:
    """Remove the hair colour of bald heads, and the colour of glasses that are not named."""
    for kind, colour in _PAIRS.items():
        value = said[NAMES.index(kind)]
        nothing = value >= 0 and VALUES[kind][value] in ("bald", "no")
        if nothing or (value < 0 and kind not in COLOUR_ALONE):
            said[NAMES.index(colour)] = -1


def write(said: Labels, rng: np.random.Generator) -> str:
    """A sentence that says `said`, in a random wording."""
    row = {n: VALUES[n][v] for n, v in zip(NAMES, said, strict=True) if v >= 0}
    text = str(rng.choice(OPENINGS))
    with_ = [c for c in (_clause(n, row, rng) for n in _WITH) if c]
    rng.shuffle(with_)
    if with_:
        text += " with " + ", ".join(with_[:-1]) + (" and " if len(with_) > 1 else "") + with_[-1]
    rest = []
    for name, before in (("clothing", "wearing "), ("pattern", "on "), ("position", "")):
        clause = _clause(name, row, rng)
        if clause:
            rest.append(before + clause)
    rng.shuffle(rest)
    return ", ".join([text, *rest])


def _clause(name: str, row: dict[str, str], rng: np.random.Generator) -> str:
    colour = row.get(_PAIRS.get(name, ""), "")
    if name in row:
        choices = [c for c in KINDS[name][row[name]] if "{}" in c or not colour]
    elif colour and name in COLOUR_ALONE:
        choices = [COLOUR_ALONE[name]]
    else:
        return ""
    return str(rng.choice(choices)).format(colour + " " if colour else "")


def _clauses() -> dict[str, dict[str, str]]:
    """Values that every clause names."""
    table: dict[str, dict[str, str]] = {}
    for name, values in KINDS.items():
        colour = _PAIRS.get(name)
        shades = ("", *(VALUES[colour] if colour else ()))
        for (value, wordings), shade in product(values.items(), shades):
            for wording in wordings:
                if shade and "{}" not in wording:
                    continue
                says = {name: value} | ({colour: shade} if shade and colour else {})
                table[wording.format(shade + " " if shade else "")] = says
        if colour and name in COLOUR_ALONE:
            for shade in VALUES[colour]:
                table[COLOUR_ALONE[name].format(shade + " ")] = {colour: shade}
    return table


CLAUSES = _clauses()


def parse(text: str) -> Labels:
    """Content of a caption: int64 `[16]`, -1 for attributes it does not name.

    Raises:
        StrategyError: `text` is not a caption as `sample` writes them.
    """
    said = np.full(len(NAMES), -1, np.int64)
    opening = next((o for o in sorted(OPENINGS, key=len)[::-1] if text.startswith(o)), None)
    if opening is None:
        raise StrategyError(f"not a caption of a portrait: {text!r}; an example is {EXAMPLE!r}")
    rest = text[len(opening) :].replace(" and ", ", ").strip(", ")
    for part in rest.split(", ") if rest else []:
        clause = re.sub("^(with|wearing|on) (?!the )", "", part.strip())
        if clause not in CLAUSES:
            raise StrategyError(
                f"not a caption of a portrait: {clause!r} in {text!r}; an example is {EXAMPLE!r}"
            )
        for name, value in CLAUSES[clause].items():
            said[NAMES.index(name)] = VALUES[name].index(value)
    return said


def count_words(text: str) -> int:
    """Number of words and commas, which are the tokens of a caption."""
    return len(text.replace(",", " ,").split())


def vocabulary() -> list[str]:
    """Every word that a caption can hold, in alphabetical order."""
    texts = [*CLAUSES, *OPENINGS, ", and with wearing on"]
    return sorted({word for text in texts for word in text.split()})
