"""Creation of a run's folder, complete with its settings and its study, or not at all.

`config.yaml` is written first and the study last. A folder that holds only the former was never a
run, so a new one may take it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from search.config import SearchConfig
from search.run_folder import study_copy as copies
from search.run_folder.resume_checks import Ties
from search.study import run_lock as lock
from search.study.run_notes import RunNotes
from search.study.storage.location import JOURNAL, Location
from search.study.study import Study
from strategies import StrategyError
from strategies.data_files import whole

CONFIG = "config.yaml"


def check_new_folder(folder: Path) -> None:
    """Check that a new run may be in a folder.

    Raises:
        StrategyError: the folder is not empty, or cannot be read.
    """
    with whole.refusing(folder):
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    begun = {lock.NAME, CONFIG, *(path.name for path in whole.leftovers(folder))}
    if there - begun:
        raise StrategyError(
            f"{folder} is not empty; continue a run by --resume {quote(str(folder))}, or give "
            "another --out"
        )


class Opened:
    """A run's folder that this process holds.

    Args:
        folder: folder of the run.
        config: settings of the run.
        study: log of the run.
        ties: ties of the run to its folder and inputs.
        levels: number of skip levels, see `Strategy.provenance`; noted if a run of an earlier
            version lacks it.
        resumed: whether the run was there before.

    Attributes:
        how: hint how to continue the run.
        accepted: whether everything that could be refused has been checked.
    """

    def __init__(
        self,
        folder: Path,
        config: SearchConfig,
        study: Study,
        ties: Ties,
        levels: int | None,
        resumed: bool,
    ) -> None:
        self.folder, self.config, self.study, self.ties = folder, config, study, ties
        self.resumed, self.accepted, self._levels = resumed, False, levels
        self.how = going_on(folder)

    def accept(self) -> None:
        """Write the changes of a resumed run; until then a refusal leaves every file as it was."""
        self.accepted = True
        remove_unfinished(self.folder)
        if self.resumed:
            self.config.write(self.folder / CONFIG)
            if RunNotes.of(self.study).skip_levels is None:
                RunNotes(skip_levels=self._levels).keep(self.study)
        self.ties.keep(self.study)


def going_on(folder: Path) -> str:
    """Hint how to continue a run."""
    return f"continue with: python -m search --resume {quote(str(folder))}"


@contextmanager
def opened(
    folder: Path,
    config: SearchConfig,
    location: Location,
    notes: RunNotes,
    resumed: bool,
) -> Iterator[Opened]:
    """Hold the folder of a run, and open its study.

    A new run that fails before it is accepted leaves nothing behind.

    Raises:
        StrategyError: the folder is not empty, another search holds it, or something in it cannot
            be read or written; the error says how to continue.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    if not resumed:
        check_new_folder(folder)
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    run = None
    try:
        whole.make_folder(folder)
        with lock.writing(folder):
            if not resumed:
                check_new_folder(folder)  # Once more: another search may have begun meanwhile.
            ties = Ties(folder, config)
            if resumed:
                ties.check(location)
                config = ties.adopt(copies.own(config, folder, location))
            try:
                with lock.studying(location, config.study):
                    if not resumed:
                        config.write(folder / CONFIG)
                    first = {} if resumed else notes.given() | ties.notes().given()
                    study = Study(location, config.objectives, config.study, notes=first)
                    run = Opened(folder, config, study, ties, notes.skip_levels, resumed)
                    yield run
            except BaseException:
                if not resumed and (run is None or not run.accepted):
                    _undo(folder, before - {CONFIG})
                raise
    except whole.UnwritableError as error:
        begun = resumed or (run is not None and run.accepted) or (folder / JOURNAL).exists()
        how = going_on(folder) if begun else "give the same command again"
        raise StrategyError(f"{error}; then {how}") from None
    finally:
        if run is None or not (run.accepted or resumed):
            for path in made:
                with suppress(OSError):
                    path.rmdir()  # Only an empty folder is removed.


def _undo(folder: Path, before: Collection[str]) -> None:
    """Remove everything that was not there before.

    The study goes first: if it cannot be removed, everything stays, and is a run.
    """
    with suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda one: one.name != JOURNAL):
            if path.name in before:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove unfinished files of killed processes from a run's folder."""
    with whole.refusing(folder):
        folders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
        for location in (folder, *folders):
            for path in whole.leftovers(location):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
