"""Location of a study: the path of a journal, or the URL of a database."""

from pathlib import Path

Location = Path | str  # Of a journal, or the URL of a database.
JOURNAL = "study.journal"
PASSWORD = "STRATAGEM_STORAGE_PASSWORD"  # Name of the environment variable.
REMINDER = (
    "the storage's password is not kept in config.yaml; to continue or to read the run, give "
    f"--storage URL again or set {PASSWORD}"
)
