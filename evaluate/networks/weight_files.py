"""Files of published weights: their places, checksums and download.

Nothing is fetched unless asked for, and nothing is written outside the cache folder. If several
workers need a file, one of them fetches it under a lock, and the file gets its name when it is
complete.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from accel.models.hub_errors import SITE
from strategies import StrategyError
from strategies.data_files import whole

VARIABLE = "STRATAGEM_CACHE"


@dataclass(frozen=True)
class PublishedFile:
    """One published file.

    Attributes:
        name: path below the cache's `weights` folder.
        url: URL of the publisher.
        sha256: checksum, or its first digits if the publisher gives only those.
    """

    name: str
    url: str
    sha256: str


# Published by StyleGAN2-ADA; clean-fid's clean mode loads it.
INCEPTION = PublishedFile(
    "inception-2015-12-05.pt",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
)
# The same network for PyTorch, as published by pytorch-fid; the name ends with the checksum.
INCEPTION_PORT = PublishedFile(
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    "6726825d",
)
ALEXNET = PublishedFile(
    "checkpoints/alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "7be5be79",
)
REWARD = PublishedFile(
    "ImageReward/ImageReward.pt", f"{SITE}/THUDM/ImageReward/resolve/main/ImageReward.pt", ""
)
# The words of BERT, which BLIP's text encoder reads.
WORDS = PublishedFile(
    "ImageReward/vocab.txt",
    f"{SITE}/google-bert/bert-base-uncased/resolve/main/vocab.txt",
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
CLIP_FILES = ("config.json", "merges.txt", "vocab.json", "tokenizer_config.json")
CLIP_SUMS = {
    "openai/clip-vit-base-patch32": (
        "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f"
    ),
    "openai/clip-vit-large-patch14-336": (
        "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801"
    ),
}


def cache_folder() -> Path:
    """The only folder that is written without being asked for: `$STRATAGEM_CACHE` or
    `~/.cache/stratagem`.
    """
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "stratagem"


class MissingWeightsError(StrategyError):
    """Error of weights that are not on disk; says where to put which file.

    Args:
        missing: checksum, place and source of each file, as a request.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        self.places = " and ".join(missing)
        super().__init__(
            f"weights missing: {self.places}, or pass --download; {VARIABLE} sets another folder "
            f"than {cache_folder()}"
        )


def clip_files(repository: str) -> tuple[PublishedFile, ...]:
    """The files of a CLIP model in the hub's format, its weights first."""
    name = repository.split("/")[-1]
    where = f"{SITE}/{repository}/resolve/main"
    weights = PublishedFile(
        f"{name}/pytorch_model.bin", f"{where}/pytorch_model.bin", CLIP_SUMS[repository]
    )
    others = [PublishedFile(f"{name}/{file}", f"{where}/{file}", "") for file in CLIP_FILES]
    return (weights, *others)


def find_weight_file(weights: PublishedFile, download: bool = False) -> Path:
    """The checked file of published weights.

    Args:
        weights: file to find.
        download: whether it may be fetched.

    Raises:
        MissingWeightsError: it is missing; names file, place, checksum and source.
        StrategyError: it is not the published file, or cannot be fetched.
    """
    path = cache_folder() / "weights" / weights.name
    if not path.is_file():
        require_weight_files([weights], download)
        _fetch(weights, path)
    _verify(weights, path)
    return path


def require_weight_files(wanted: Iterable[PublishedFile], download: bool = False) -> None:
    """Check that files of published weights are on disk, or may be fetched.

    Raises:
        MissingWeightsError: some are missing; names each, with place, checksum and source.
    """
    folder, missing = cache_folder() / "weights", list[str]()
    for weights in dict.fromkeys(wanted):
        path = folder / weights.name
        if not path.is_file():
            sum_ = f" with sha256 {weights.sha256}" if weights.sha256 else ""
            sum_ += "..." if 0 < len(weights.sha256) < 64 else ""
            missing.append(f"put {path.name}{sum_} at {path} (from {weights.url})")
    if missing and not download:
        raise MissingWeightsError(missing)


def _fetch(weights: PublishedFile, path: Path) -> None:
    from filelock import FileLock

    whole.make_folder(path.parent)
    with FileLock(f"{path}.lock"):
        if path.is_file():
            return  # Another worker has fetched it meanwhile.
        import torch  # Here, so that a run is read without it.

        try:
            torch.hub.download_url_to_file(
                weights.url, str(path), hash_prefix=weights.sha256 or None, progress=True
            )
        except (OSError, RuntimeError) as error:
            raise StrategyError(f"{weights.url} cannot be fetched: {error}") from None


def _verify(weights: PublishedFile, path: Path) -> None:
    """Raise a StrategyError for another checksum; a file is checked only once."""
    if not weights.sha256:
        return
    state = path.stat()
    stamp = f"{weights.sha256} {state.st_size} {state.st_mtime_ns}"
    note = path.with_name(path.name + ".checked")
    if note.is_file() and note.read_text() == stamp:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(weights.sha256):
        raise StrategyError(
            f"{path} has sha256 {found}, not {weights.sha256}: it is damaged or another file; "
            f"delete it, and get it from {weights.url}"
        )
    with suppress(whole.UnwritableError):  # A folder that others share: checked once more then.
        whole.write(stamp, note)
