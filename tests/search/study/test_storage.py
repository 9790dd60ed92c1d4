"""Studies in databases: SQLite always, PostgreSQL where a server can be started, and the web app
that shows either and the journal.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna_dashboard
import pytest
import yaml

from search import cli
from search.commands.model_setup import settings_and_pipeline
from search.commands.options import parser
from search.results import run as runs
from search.study.run_lock import studying
from search.study.storage import database
from search.study.storage.location import PASSWORD
from search.study.storage.opening import open_storage
from search.study.study import Study
from strategies import StrategyError
from tests.search.commands.test_commands import fails, look
from tests.support.runs import fake_runs as made
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor

SECRET = "postgresql://me:s3cret@host:5433/studies?sslpassword=t0psecret&connect_timeout=5"
BARE = "postgresql://me@host:5433/studies?connect_timeout=5"


def digests(run: Path) -> list[str]:
    return [row.strategy.digest for row in runs.load_run(run).study.evaluations]


def test_passwords_are_taken_out_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.public(database.parse_url(SECRET)) == BARE
    assert database.is_secret(database.parse_url(SECRET))
    assert not database.is_secret(database.parse_url(BARE))
    assert database.complete(BARE, None) == BARE
    given = database.parse_url(database.complete(BARE, SECRET))
    assert (given.password, given.query["sslpassword"]) == ("s3cret", "t0psecret")
    monkeypatch.setenv(PASSWORD, "p@ss/word")
    assert database.parse_url(database.complete(BARE, None)).password == "p@ss/word"
    with pytest.raises(StrategyError, match="but the study of this run is in postgresql://me@host"):
        database.complete(BARE, SECRET.replace("host", "elsewhere"))


@pytest.mark.parametrize("url", ["studies.db", "sqlite://", "sqlite:///:memory:", "no url at all"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(StrategyError, match=r"give (a URL|one) such as sqlite:////data"):
        database.parse_url(url)


def test_errors_are_one_line_and_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens there.
        url = f"postgresql://me:s3cret@127.0.0.1:{taken.getsockname()[1]}/studies"
        monkeypatch.setattr("search.workers.factory.make_executor", None)
        shown = fails(capsys, *out, "--storage", url)
    assert "refused" in shown
    assert PASSWORD in shown
    assert "s3cret" not in shown
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert "driver" in fails(capsys, *out, "--storage", "mysql://me:s3cret@host/studies")
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough")
    shown = fails(capsys, *out, "--storage", f"sqlite:///{tmp_path / 'text.db'}")
    assert "file is not a database" in shown


def check(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A run whose study is at the URL equals one with a journal, is resumed, and is read."""
    executor = FakeExecutor(slots=1)
    executor.stop_after = 15
    flags = ["--budget", "20evals", "--out", str(folder), "--storage", url]
    assert made.search(monkeypatch, executor, *flags) == 130
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["storage"] == database.public(database.parse_url(url))
    assert kept["study"].startswith(f"{folder.name}-")
    assert not (folder / "study.journal").exists()
    capsys.readouterr()
    again = ["--storage", url] if database.is_secret(database.parse_url(url)) else []
    assert made.search(monkeypatch, FakeExecutor(slots=1), "--resume", str(folder), *again) == 0
    shown = capsys.readouterr().out
    assert bool(again) == (PASSWORD in shown)
    journal = folder.with_name("journal")
    flags = ["--budget", "20evals", "--out", str(journal)]
    assert made.search(monkeypatch, FakeExecutor(slots=1), *flags) == 0
    capsys.readouterr()
    rows = json.loads(look(capsys, "front", str(folder), "--json", *again))["rows"]
    assert rows == json.loads(look(capsys, "front", str(journal), "--json"))["rows"]
    assert "state  finished" in look(capsys, "status", str(folder), *again)
    read = runs.load_run(folder, url if again else None).study
    mine = [
        (row.number, row.genome, dict(row.scores), row.resampled_losses) for row in read.evaluations
    ]
    theirs = runs.load_run(journal).study.evaluations
    assert mine == [
        (row.number, row.genome, dict(row.scores), row.resampled_losses) for row in theirs
    ]


def test_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check("sqlite:///../studies.db", tmp_path / "run", monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)  # A relative path is meant from where it was given.
    assert len(digests(tmp_path / "run")) == 20
    other = f"sqlite:///{tmp_path / 'other.db'}"
    resume = ["--resume", str(tmp_path / "run")]
    assert "is in sqlite:" in fails(capsys, *resume, "--storage", other)
    journal = ["--resume", str(tmp_path / "journal")]
    assert "--storage cannot change" in fails(capsys, *journal, "--storage", other)


def test_equally_named_runs_can_share_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    for parent in "ab":
        flags = parser().parse_args(["--storage", url, "--out", str(tmp_path / parent / "run")])
        flags.constraints = None
        _, settings, folder = settings_and_pipeline(flags)
        folder.mkdir(parents=True)
        settings.write(folder / "config.yaml")
        Study(settings.storage, settings.objectives, settings.study).note("mine", parent)
    for parent in "ab":
        assert runs.load_run(tmp_path / parent / "run").study.noted("mine") == parent


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """URL of an empty database of a PostgreSQL server that asks for a password."""
    places = [Path(p) for p in sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))]
    path = os.pathsep.join([*map(str, reversed(places)), os.environ["PATH"]])
    initdb, postgres = (shutil.which(name, path=path) for name in ("initdb", "postgres"))
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL server here; apt-get install postgresql, then run with -m slow")
    # The server refuses to run as root.
    user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path("/tmp") / f"stratagem-postgres-{os.getpid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "password").write_text("s3cret")
    log = folder / "log"
    arguments = ["-D", f"{folder}/data", "-U", "me", "--auth=scram-sha-256"]
    made_it = [initdb, *arguments, f"--pwfile={folder}/password"]
    subprocess.run(made_it, check=True, capture_output=True, **user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["-D", f"{folder}/data", "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]
    with log.open("w") as lines:
        process = subprocess.Popen([postgres, *arguments], stderr=lines, **user)
    try:
        while "ready to accept connections" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield f"postgresql://me:s3cret@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # Without waiting for connections to end.
        process.wait()
        shutil.rmtree(folder)


@pytest.mark.slow
def test_postgresql(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    check(server, run, monkeypatch, capsys)
    assert "s3cret" not in "".join(
        path.read_text(errors="replace") for path in run.rglob("*") if path.is_file()
    )
    shown = fails(capsys, "status", str(run))
    assert "no password supplied" in shown
    assert PASSWORD in shown
    monkeypatch.setenv(PASSWORD, "s3cret")
    assert "20 of 20 evaluations" in look(capsys, "status", str(run))
    shown = fails(capsys, "status", str(run), "--storage", server.replace("s3cret", "wrong"))
    assert "password authentication failed" in shown
    assert served(open_storage(server, read_only=True))[0] == 20


@pytest.mark.slow
def test_postgresql_holds_a_study_for_one_search(server: str, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = (
        "import sys, time, pathlib; from search.study.run_lock import studying\n"
        "with studying(sys.argv[1], 'mine'):\n"
        "    pathlib.Path(sys.argv[2]).touch(); time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, server, str(begun)])
    try:
        while not begun.exists():
            assert other.poll() is None
            time.sleep(0.05)
        with pytest.raises(StrategyError, match="a search is running in the study 'mine'") as error:
            studying(server, "mine").__enter__()
        assert "s3cret" not in str(error.value)
        with studying(server, "another"):
            pass
    finally:
        other.kill()
        other.wait()
    for _ in range(100):  # The server notices within a moment that the connection is gone.
        with database.ask_for_lock(server, "mine") as given:
            if given:
                return
        time.sleep(0.1)
    pytest.fail("a killed search still holds its study")


def served(kept: Any) -> tuple[int, list[str]]:
    """What optuna-dashboard's web app says of the only study: trials, and their objectives."""
    app = optuna_dashboard.wsgi(kept)

    def get(path: str) -> Any:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ |= {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
        answers: list[str] = []
        body = b"".join(app(environ, lambda status, headers, _=None: answers.append(status)))
        assert answers == ["200 OK"], (path, answers, body[:200])
        return json.loads(body)

    (study,) = get("/api/studies")["study_summaries"]
    found = get(f"/api/studies/{study['study_id']}")
    for trial in found["trials"]:
        shown = {one["name"]: float(one["param_internal_value"]) for one in trial["params"]}
        assert shown["steps"] >= 1
        assert {"deepcache", "tome"} < set(shown)
        assert all(0 <= value <= 1 for name, value in shown.items() if name != "steps")
    return len(found["trials"]), found["objective_names"]


def test_the_dashboard_serves_a_journal_and_a_database(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    engine = make_engine(tmp_path, budget="6evals")
    engine.prepare()
    engine.evaluate()
    assert served(open_storage(journal, read_only=True)) == (6, ["fd_base", "latency_s"])
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = Study(url, engine.config.objectives, "mine")
    for evaluation in engine.study.evaluations:
        study.add(evaluation)
    assert served(open_storage(url, read_only=True)) == (6, ["fd_base", "latency_s"])


def test_help_says_where_passwords_go(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert PASSWORD in capsys.readouterr().out
