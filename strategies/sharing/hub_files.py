"""Strategy files of a repository of the Hugging Face Hub, downloaded within limits.

Anyone can write to a repository of theirs, and a listing may be wrong. Sizes are therefore counted
during the download, which stops at the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from typing import Any

from strategies.data_files import reading
from strategies.data_files.limits import MAX_BYTES
from strategies.errors import StrategyError
from strategies.text import brief

MAX_ENTRIES = 10_000  # Most entries read of a repository's top folder.
MAX_FILES = 1000
MAX_TOTAL = 50_000_000  # Bytes of all strategy files of a repository together.
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,150}\.json")


def texts(
    api: Any, repo: str, revision: str | None, tell: Callable[[str], None] | None = None
) -> dict[str, str]:
    """Texts of a repository's strategy files by name, all of one commit.

    Args:
        api: the hub's client.
        repo: `owner/name`.
        revision: branch, tag or commit; None is the newest.
        tell: callback with a line for each file that is left out; without it such a file is an
            error.

    Raises:
        StrategyError: too many or too large files, or one that is no text.
    """
    commit = api.model_info(repo, revision=revision).sha
    sizes = _sizes(api, repo, commit)
    if len(sizes) > MAX_FILES:
        line = f"{repo} holds {len(sizes)} .json files; at most {MAX_FILES} are read"
        if tell is None:
            raise StrategyError(line)
        tell(line)
    found, left = dict[str, str](), MAX_TOTAL
    for name in sorted(sizes)[:MAX_FILES]:
        try:
            data = _download(api, repo, commit, name, sizes[name], left)
            left -= len(data)
            found[name] = reading.decode(data, f"{repo}: {name}")
        except StrategyError as error:
            if tell is None:
                raise
            tell(f"not on the card: {error}")
    return found


def _sizes(api: Any, repo: str, commit: str) -> dict[str, int]:
    """Announced sizes of the .json files in the top folder."""
    entries = list(islice(api.list_repo_tree(repo, revision=commit), MAX_ENTRIES + 1))
    if len(entries) > MAX_ENTRIES:
        raise StrategyError(f"{repo} has more than {MAX_ENTRIES} entries at its top; give another")
    return {
        entry.path: entry.size
        for entry in entries
        if getattr(entry, "size", None) is not None and entry.path.endswith(".json")
    }


def _download(api: Any, repo: str, commit: str, name: str, size: int, left: int) -> bytes:
    """Bytes of a file; `left` is the number of bytes that all files together may still have."""
    if not FILE.fullmatch(name):
        raise StrategyError(f"{repo}: {brief(name)} is no name of a strategy file")
    if size > MAX_BYTES:
        raise StrategyError(f"{repo}: {name} has {size} bytes, a strategy file at most {MAX_BYTES}")
    from huggingface_hub import errors, hf_hub_url

    client: Any = import_module("huggingface_hub.utils")
    if not hasattr(client, "http_stream_backoff"):
        installed = version("huggingface-hub")
        raise StrategyError(
            f"pull and push need huggingface-hub 1.0 or later, and {installed} is installed; "
            "pip install --upgrade huggingface-hub transformers"
        )
    url = hf_hub_url(repo, name, revision=commit, endpoint=api.endpoint)
    # Compressed, a small answer could become a large file.
    headers = client.build_hf_headers(token=api.token, library_name=api.library_name)
    headers |= {"Accept-Encoding": "identity"}
    data, limit = bytearray(), min(MAX_BYTES, left)
    try:
        with client.http_stream_backoff(
            "GET", url, headers=headers, follow_redirects=True
        ) as answer:
            client.hf_raise_for_status(answer)
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > limit:
                    break
    except errors.EntryNotFoundError:
        raise StrategyError(f"{repo}: {name} is listed, but is not there") from None
    if len(data) > MAX_BYTES:
        raise StrategyError(f"{repo}: {name} is larger than {MAX_BYTES} bytes")
    if len(data) > limit:
        raise StrategyError(f"{repo}: its .json files have more than {MAX_TOTAL} bytes together")
    return bytes(data)
