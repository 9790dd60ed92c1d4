"""Vocabulary of portraits: attributes, words for their values, and the parts that show them.

The package numbers its variants; this table says in plain words what each looks like. Variants that
look like nothing in particular, or like two things, are left out. A value often has several
variants, so that a caption leaves open which of them is drawn.
"""

from __future__ import annotations

# Every attribute with its values in the order of the label numbers. `no`: it is not there.
VALUES: dict[str, tuple[str, ...]] = {
    "position": ("left", "middle", "right"),
    "skin": ("light", "tan", "dark"),
    "hair": ("bald", "short", "tuft", "spiky", "flat", "bob", "braids", "long", "bun"),
    "hair_colour": ("blond", "brown", "black", "red", "blue", "green", "white", "pink"),
    "eyes": ("brown", "blue", "green"),
    "glasses": ("no", "glasses", "sunglasses"),
    "glasses_colour": ("black", "red", "blue"),
    "hat": ("no", "beanie", "cap", "bowler"),
    "hat_colour": ("brown", "blue", "grey", "green", "pink", "purple", "red", "yellow"),
    "beard": ("no", "goatee", "beard", "long beard"),
    "mouth": ("smile", "open", "frown", "straight"),
    "earrings": ("no", "gold", "silver"),
    "clothing": (
        "shirt",
        "checked shirt",
        "striped shirt",
        "open jacket",
        "dungarees",
        "turtleneck",
        "tank top",
        "suspenders",
    ),
    "clothing_colour": (
        "blue",
        "navy",
        "green",
        "red",
        "yellow",
        "orange",
        "pink",
        "purple",
        "white",
        "black",
    ),
    "background": ("blue", "green", "yellow", "pink", "purple", "grey", "orange", "white"),
    "pattern": ("plain", "horizontal stripes", "vertical stripes", "checkered", "dotted"),
}
# Attributes of a few cells, which a card names separately.
SMALL = ("eyes", "glasses_colour", "mouth", "earrings")
# Attributes that tiny-portraits does not draw as captions say (docs/bundled.md). Its training
# names them. The prompt lists do not.
NOT_LEARNT = ("position", "mouth", "pattern")
# Attributes of which the judge gives one share of right answers for each image. Every caption names
# some of all, but one in eight names no small one, and would have no share of these.
SCORES = {"attributes": tuple(VALUES)}

# The package's kind of part, and for each value the variants that show it.
VARIANTS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "hair": (
        "hair",
        {
            "bald": (),
            "short": ("short01", "short02", "short03", "short04", "short08", "short09", "short22"),
            "tuft": ("short05", "short20", "short21"),
            "spiky": ("short11", "short13", "long15"),
            "flat": ("short16", "short17"),
            "bob": ("long04", "long20", "long21"),
            "braids": ("long06", "long18", "long19"),
            "long": ("long01", "long03", "long07", "long09", "long12", "long13"),
            "bun": ("long05",),
        },
    ),
    "glasses": (
        "glasses",
        {
            "no": (),
            "glasses": ("light01", "light02", "light05", "light06", "light07"),
            "sunglasses": ("dark01", "dark02", "dark05", "dark06", "dark07"),
        },
    ),
    "hat": (
        "hat",
        {
            "no": (),
            "beanie": ("variant01", "variant03", "variant05", "variant08", "variant09"),
            "cap": ("variant02", "variant07"),
            "bowler": ("variant06",),
        },
    ),
    "beard": (
        "beard",
        {
            "no": (),
            "goatee": ("variant02", "variant04"),
            "beard": ("variant01", "variant05", "variant06", "variant07", "variant08"),
            "long beard": ("variant03",),
        },
    ),
    "mouth": (
        "mouth",
        {
            "smile": ("happy06", "happy07", "happy08", "happy09"),
            "open": ("happy12", "happy13"),
            "frown": ("sad01", "sad08", "sad09"),
            "straight": ("sad04", "sad05", "sad06"),
        },
    ),
    "earrings": (
        "accessories",
        {
            "no": (),
            "gold": ("variant01", "variant03", "variant04"),
            "silver": ("variant01", "variant03", "variant04"),
        },
    ),
    "clothing": (
        "clothing",
        {
            "shirt": ("variant03", "variant05", "variant08", "variant11", "variant14"),
            "checked shirt": ("variant02", "variant06"),
            "striped shirt": ("variant13",),
            "open jacket": ("variant07", "variant15", "variant16"),
            "dungarees": ("variant09", "variant10", "variant19", "variant20"),
            "turtleneck": ("variant12",),
            "tank top": ("variant17",),
            "suspenders": ("variant01", "variant23"),
        },
    ),
}
# No caption says which eyes.
EYES = tuple(f"variant{number:02}" for number in (1, 2, 3, 4, 6, 9, 10, 11))
# Long enough to be seen under a hat; these hide the ears.
LONG = ("bob", "braids", "long")

# Colours of each value. Where there are several, a caption leaves open which.
COLOURS: dict[str, dict[str, tuple[str, ...]]] = {
    "skin": {
        "light": ("#ffdbac", "#f5cfa0", "#eac393"),
        "tan": ("#cb9e6e", "#b68655"),
        "dark": ("#8d5524", "#6f4019"),
    },
    "hair_colour": {
        "blond": ("#e0bf6a",),
        "brown": ("#603a14", "#83623b"),
        "black": ("#17110c",),
        "red": ("#bd1700",),
        "blue": ("#009bbd",),
        "green": ("#91cb15",),
        "white": ("#ececec",),
        "pink": ("#f06fb4",),
    },
    "eyes": {"brown": ("#7a4a1c",), "blue": ("#1f6fe0",), "green": ("#1f9a3c",)},
    "glasses_colour": {"black": ("#191919",), "red": ("#c01f36",), "blue": ("#2450b4",)},
    "hat_colour": {
        "brown": ("#5a3510",),
        "blue": ("#2663a3",),
        "grey": ("#8d8d8d",),
        "green": ("#2f8a4f",),
        "pink": ("#e26fae",),
        "purple": ("#614f8a",),
        "red": ("#a62116",),
        "yellow": ("#efc02e",),
    },
    "earrings": {"gold": ("#ffc400",), "silver": ("#d8d8e0",)},
    "clothing_colour": {
        "blue": ("#428bca", "#2f74c8"),
        "navy": ("#10264f",),
        "green": ("#00b159", "#44c585"),
        "red": ("#d11141", "#ae0001"),
        "yellow": ("#ffd321",),
        "orange": ("#f58220",),
        "pink": ("#ff8fb0",),
        "purple": ("#7b3fa0",),
        "white": ("#f4f4f4",),
        "black": ("#1c1c1c",),
    },
    "background": {
        "blue": ("#8fb8e8", "#6f9fdc"),
        "green": ("#9ed6a4", "#7fc28a"),
        "yellow": ("#f3e39a", "#ead274"),
        "pink": ("#f2b8cc", "#e99ab6"),
        "purple": ("#c3aee6", "#a98cd8"),
        "grey": ("#b4b4b4", "#9a9a9a"),
        "orange": ("#f4bb86", "#eda365"),
        "white": ("#f6f6f6",),
    },
}
# No caption says the colour of a mouth.
MOUTH_COLOURS = ("#c98276", "#e35d6a", "#de0f0d", "#a8433c")

# The share of portraits that have them.
SHARES = {"hat": 0.35, "glasses": 0.45, "beard": 0.35, "earrings": 0.4}
# Cells that the portrait moves to the right, of which one is drawn by chance.
MOVES = {"left": (-3, -2), "middle": (-1, 0, 1), "right": (2, 3)}
