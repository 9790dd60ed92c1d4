"""Strategies in repositories of the Hugging Face Hub; nothing else in this package uses a network.

Pulled files are data: their size is bounded, they are read as `strategies.load` reads a file, and
every file is checked before one is written. Pushed files are checked first, too, and come with a
model card that has the scores.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strategies.data_files import reading
from strategies.data_files.whole import make_folder, write
from strategies.errors import StrategyError
from strategies.files import parse, read_text
from strategies.sharing import model_card, provenance
from strategies.sharing.hub_files import FILE, texts
from strategies.strategy import Strategy

CARD = "README.md"
REPO = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def _unheard(_: str) -> None:
    """Callback that ignores its message."""


def push(
    files: Sequence[Path],
    repo: str,
    private: bool = False,
    message: str = "",
    tell: Callable[[str], None] = _unheard,
) -> str:
    """Upload strategy files in one commit, with a model card of all files of the repository.

    Other people's files that are no strategies stay as they are, and are not on the card.

    Args:
        files: valid strategy files of different names.
        repo: `owner/name`, or a name of your own; it is made if it does not exist.
        private: whether a new repository is private.
        message: message of the commit.
        tell: callback with a line for each file in the repository that is not on the card.

    Returns:
        The commit's address.

    Raises:
        StrategyError: a file is not valid, you are not logged in, or the hub refuses.
    """
    chosen = {path.name: path for path in files}
    if len(chosen) < len(files):
        raise StrategyError("two files have one name; a repository holds one of each name")
    strategies, contents = dict[str, Strategy](), dict[str, str]()
    for name, path in chosen.items():
        if not FILE.fullmatch(name):
            raise StrategyError(
                f"{path}: a file in a repository is named with letters, digits, ., _ and -, and "
                "ends with .json"
            )
        contents[name] = read_text(path)
        strategies[name] = parse(contents[name], str(path))
        provenance.check_provenance(strategies[name], str(path))
    with _hub(repo) as api:
        from huggingface_hub import CommitOperationAdd, get_token

        if get_token() is None:
            raise StrategyError(f"not logged in to the hub, so {repo} cannot be written; {LOGIN}")
        full = api.create_repo(repo, private=private, exist_ok=True).repo_id
        there = _others(texts(api, full, None, tell), chosen, tell)
        parts = [CommitOperationAdd(name, text.encode()) for name, text in contents.items()]
        parts.append(
            CommitOperationAdd(CARD, model_card.markdown(full, there | strategies).encode())
        )
        title = message or f"Add {', '.join(chosen)}"[:200]
        return str(api.create_commit(full, parts, commit_message=title).commit_url)


def pull(repo: str, out: Path, revision: str | None = None) -> list[Path]:
    """Download a repository's strategies; nothing is written unless all of them are valid.

    Args:
        repo: `owner/name`.
        out: folder, made if it does not exist; a file in it that differs is not replaced.
        revision: branch, tag or commit; by default the newest.

    Returns:
        The files.

    Raises:
        StrategyError: no such repository or revision, no network, a file is too large or not a
            valid strategy, or the folder holds another file of its name.
    """
    with _hub(repo, revision) as api:
        found = texts(api, repo, revision)
    if not found:
        raise StrategyError(f"{repo} holds no strategy: no file at its top ends with .json")
    for name, text in found.items():
        provenance.check_provenance(parse(text, f"{repo}: {name}"), f"{repo}: {name}")
        if _differs(out / name, text.encode()):
            raise StrategyError(f"{out / name} is there and differs; give another --out")
    make_folder(out)
    for name, text in found.items():
        write(text, out / name)
    return [out / name for name in found]


def _others(
    found: dict[str, str], replaced: dict[str, Path], tell: Callable[[str], None]
) -> dict[str, Strategy]:
    """Strategies that are in a repository already and stay there."""
    strategies = dict[str, Strategy]()
    for name, text in found.items():
        if name not in replaced:
            try:
                strategies[name] = parse(text, name)
            except StrategyError as error:
                tell(f"not on the card: {error}")
    return strategies


def _differs(path: Path, data: bytes) -> bool:
    """Whether another file is at this path."""
    try:
        return reading.read_bytes(path, len(data)) != data
    except FileNotFoundError:
        return False
    except StrategyError:
        return True


@contextmanager
def _hub(repo: str, revision: str | None = None) -> Iterator[Any]:
    """The hub's client; its errors become one line.

    Raises:
        StrategyError: the hub raised an error; says what to do.
    """
    if not REPO.fullmatch(repo):
        raise StrategyError(f"{repo!r:.200} is no repository; give owner/name")
    # Here and not above: strategies are read without it.
    from huggingface_hub import HfApi, constants, errors
    from huggingface_hub.utils.logging import set_verbosity

    set_verbosity(logging.ERROR)
    # Errors of the hub's answer, and of its HTTP client without an answer.
    client: Any = errors.HfHubHTTPError.__bases__[0]
    transport: tuple[type[Exception], ...] = (errors.HfHubHTTPError, client, OSError)
    try:
        yield HfApi(endpoint=constants.ENDPOINT, library_name="diffusion-stratagem")
    except errors.RevisionNotFoundError:
        raise StrategyError(f"{repo} has no revision {revision!r}") from None
    except errors.GatedRepoError:
        raise StrategyError(f"{repo} asks for its terms to be accepted on the hub first") from None
    except errors.RepositoryNotFoundError:
        raise StrategyError(
            f"the hub has no repository {repo}, or it is private and not yours; {LOGIN}"
        ) from None
    except errors.HFValidationError as error:
        raise StrategyError(f"{repo!r}: {_line(error)}") from None
    except transport as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            line = f"the hub does not know your token, so {repo} is out of reach; {LOGIN}"
        elif status == 403:
            line = f"your token may not do this with {repo} ({_line(error)}); {LOGIN}"
        elif status is not None:
            line = f"the hub refused: {_line(error)}"
        else:
            line = f"the hub at {constants.ENDPOINT} cannot be reached ({_line(error)})"
        raise StrategyError(line) from None


def _line(error: Exception) -> str:
    """The last line of an error, which is the hub's message."""
    return ([line for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[
        -1
    ]
