"""Error messages for weights that are not on this machine or that the hub refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SITE = "https://huggingface.co"
LOGIN = "accept its licence at {page}, then log in with: hf auth login"


def is_cached(source: str) -> bool:
    """Whether some of a hub id's files are in the hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache  # What only reads a run imports this file.
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(source, "model_index.json"), str)
    except HFValidationError:
        return False


def absent(name: str, source: str, gated: bool, described: bool) -> str:
    """One line for missing weights: how to get them, and what works without them.

    Args:
        name: name of the model on the command line.
        source: its hub id, or a path that is not there.
        gated: whether the hub asks for a login.
        described: whether the config says how the networks are built.
    """
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:  # No hub id looks so.
        return f"model {name}: there is no folder {source}; give a folder in diffusers format"
    terms = f" ({LOGIN.format(page=f'{SITE}/{source}')})" if gated else ""
    copy = "a local copy with --source FOLDER" if described else "a folder in diffusers format"
    line = (
        f"model {name}: the weights of {source} are not here; pass --download to ask the hub for "
        f"them{terms}, or give {copy}"
    )
    if described:
        line += (
            f". Without weights its speed can be measured: python -m evaluate --model {name} "
            "--random-weights"
        )
    return line


def load_failure(error: BaseException, source: str, download: bool) -> str:
    """Reason why a model cannot be loaded, in one line, with a remedy if one is known."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    chain = list(_causes(error))
    page = f"{SITE}/{source}"
    if any(isinstance(one, GatedRepoError) for one in chain):
        return f"the hub asks for a login; {LOGIN.format(page=page)}"
    if any(isinstance(one, RepositoryNotFoundError) for one in chain):
        return "the hub has no such repository, or it is private and you are not logged in"
    text = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
    if ".safetensors" in text:
        return (
            f"{text}; only safetensors are read: write the weights as such with the pipeline's "
            "save_pretrained"
        )
    if download and not Path(source).is_dir() and not is_cached(source):
        return f"the hub cannot be reached ({_brief(chain)})"
    return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _brief(chain: list[BaseException]) -> str:
    """The connection error itself: the last cause that does not concern local files."""
    told = [one for one in chain[1:] if not isinstance(one, FileNotFoundError)] or chain
    return (str(told[0]).splitlines() or [type(told[0]).__name__])[0].rstrip(".")
