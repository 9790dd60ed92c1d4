"""Messages about guidance that cannot be followed."""

SPLIT = (
    "this pipeline guides with one doubled batch, but its network is called for each half by "
    "itself; methods.guidance cannot follow that: take out what splits the batch, or take "
    "methods.guidance out of the strategy"
)
UNORDERED = (
    "methods.{method} does not know which half of guidance has the prompt in a loop of one's own "
    "around {network}; use the pipeline's own call, or take methods.{method} out of the strategy"
)
CHANGING = (
    "methods.guidance.scale is not 1, but this pipeline changes its guidance scale after each pass "
    "(use_dynamic_cfg); set every scale to 1, or call the pipeline without use_dynamic_cfg"
)
THREE = (
    "methods.guidance knows guidance of two parts, but this pipeline runs {rows} rows for {images} "
    "images; take methods.guidance out of the strategy"
)
MORE = (
    "methods.guidance knows guidance of two passes, but this loop makes {parts} at each call; take "
    "methods.guidance out of the strategy"
)
OWED = (
    "methods.guidance left a first pass without its prediction, which comes with the second one, "
    "but the solver steps before that; make the pass with the prompt first"
)
STRENGTH = (
    "methods.guidance.scale is not 1, but in this loop of two passes the one with the prompt comes "
    "first, and how strongly it guides is not known; set every scale to 1, or use the pipeline's "
    "own call"
)
COPIED = (
    "methods.guidance fills the prediction of the unconditional pass in when the one with the "
    "prompt has run, but this loop has copied it before; make the pass with the prompt first"
)
UNGUIDED = (
    "this pipeline does not guide (its scale is 1, or its network was trained to need none), so "
    "methods.guidance changes nothing"
)
