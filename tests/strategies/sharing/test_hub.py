"""Strategies through a hub, which is a real server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from strategies import Strategy, StrategyError, cli, load, save
from strategies.files import MAX_BYTES
from strategies.sharing import hub_files
from strategies.sharing.hub import pull, push
from strategies.sharing.model_card import markdown
from strategies.sharing.provenance import check_provenance, missing_parts
from strategies.strategy import SCORED
from tests.support.hub_server import TOKEN, Hub, serving
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
NO_LOSS = EXAMPLES / "tiny-sd-no-loss.json"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def fails(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    capsys.readouterr()
    assert cli.main([str(word) for word in arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def unsigned() -> Strategy:
    """An example that does not say what its scores are of."""
    one = load(NO_LOSS)
    rest = {key: value for key, value in one.provenance.items() if key != SCORED}
    return one.model_copy(update={"provenance": rest})


def test_what_a_file_does_not_say_is_told(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(unsigned(), tmp_path / "unsigned.json")
    assert cli.main(["push", str(tmp_path / "unsigned.json"), "--repo", "me/found"]) == 0
    assert "says nothing of provenance.scored" in capsys.readouterr().out


def test_there_and_back(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    knee = EXAMPLES / "tiny-sd-knee.json"
    flags = ["--repo", "me/found", "--private", "--message", "two of them"]
    assert cli.main(["push", str(NO_LOSS), str(knee), *flags]) == 0
    told = capsys.readouterr().out
    assert f"{hub.url}/me/found/commit/" in told
    assert "says nothing" not in told
    assert hub.messages == ["two of them"]
    assert hub.private == {"me/found"}
    assert cli.main(["pull", "me/found", "--out", str(tmp_path / "got")]) == 0
    for path in (NO_LOSS, knee):
        assert (tmp_path / "got" / path.name).read_bytes() == path.read_bytes()
    assert pull("me/found", tmp_path / "got")  # Again: what is the same stays.
    text = hub.repos["me/found"][-1]["README.md"].decode()
    for said in (
        NO_LOSS.name,
        knee.name,
        f"{load(NO_LOSS).scores['speedup']:.2f}x",
        load(NO_LOSS).digest[:12],
        "96 images",
        "384 images",
        "fd&#95;base",
    ):
        assert said in text, said


def test_later_files_join_the_earlier_ones_on_the_card(hub: Hub, tmp_path: Path) -> None:
    first = push([NO_LOSS], "me/found").rsplit("/", 1)[-1]
    save(load("dato-b1"), tmp_path / "dato-b1.json")
    push([tmp_path / "dato-b1.json"], "me/found")
    files = hub.repos["me/found"][-1]
    assert {NO_LOSS.name, "dato-b1.json", "README.md"} <= set(files)
    text = files["README.md"].decode()
    assert NO_LOSS.name in text
    assert "not measured" in text
    assert hub.messages[-1] == "Add dato-b1.json"
    assert [path.name for path in pull("me/found", tmp_path / "old", first)] == [NO_LOSS.name]
    assert len(pull("me/found", tmp_path / "new")) == 2


def test_nothing_bad_is_pushed(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"schema": 1, "family": "unet"}')
    assert f"{bad}: " in fails(capsys, "push", NO_LOSS, bad, "--repo", "me/found")
    (tmp_path / "sub").mkdir()
    copy = tmp_path / "sub" / NO_LOSS.name
    copy.write_bytes(NO_LOSS.read_bytes())
    assert "two files have one name" in fails(capsys, "push", NO_LOSS, copy, "--repo", "me/found")
    odd = tmp_path / "odd name.json"
    odd.write_bytes(NO_LOSS.read_bytes())
    assert "is named with letters" in fails(capsys, "push", odd, "--repo", "me/found")
    assert "give owner/name" in fails(capsys, "push", NO_LOSS, "--repo", "a/b/c")
    assert hub.asked == []


def test_nothing_bad_is_pulled(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, out = NO_LOSS.read_bytes(), tmp_path / "out"
    changed = json.loads(good)
    changed["steps"], changed["provenance"][SCORED] = 14, load(NO_LOSS).digest
    for files, said in (
        ({"bad.json": b"{}"}, "me/x: bad.json: schema is missing"),
        ({"bad.json": b"\xff\xfe"}, "me/x: bad.json: not a text file"),
        ({"bad.json": b'{"schema": 1, "x": NaN}'}, "me/x: bad.json"),
        ({"changed.json": json.dumps(changed).encode()}, "changed after it was scored"),
        ({"..json": good}, "no name of a strategy file"),
        ({"a b.json": good}, "no name of a strategy file"),
        ({"large.json": b" " * (MAX_BYTES + 1)}, f"large.json has {MAX_BYTES + 1} bytes"),
        ({"README.md": b"x"}, "holds no strategy"),
        ({f"{i}.json": b"" for i in range(1001)}, "holds 1002 .json files"),
    ):
        hub.repos["me/x"] = [{"a.json": good, **files} if "README.md" not in files else files]
        line = fails(capsys, "pull", "me/x", "--out", out)
        assert said in line
        assert not out.exists()
    hub.repos["me/x"] = [{"large.json": b" " * (MAX_BYTES + 1)}]
    hub.lies["large.json"] = 10  # A listing is not believed either.
    assert f"large.json is larger than {MAX_BYTES}" in fails(capsys, "pull", "me/x", "--out", out)
    assert not out.exists()
    hub.repos["me/x"] = [{"a.json": good, "run.py": b"raise SystemExit(1)", "w.bin": b"x"}]
    out.mkdir()
    (out / "a.json").write_text("mine")
    assert "is there and differs" in fails(capsys, "pull", "me/x", "--out", out)
    assert (out / "a.json").read_text() == "mine"
    assert not any("run.py" in path or "w.bin" in path for path in hub.asked)


def test_a_file_announced_as_small_is_not_downloaded_whole(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repos["me/x"] = [{"a.json": b" " * 100_000_000}]
    hub.lies["a.json"] = 10
    line = fails(capsys, "pull", "me/x", "--out", tmp_path / "out")
    assert f"a.json is larger than {MAX_BYTES} bytes" in line
    assert hub.sent < 50_000_000  # What the network holds on the way is on top of the limit.


def test_all_files_together_have_a_limit(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_files, "MAX_TOTAL", 3_000)
    good = NO_LOSS.read_bytes()
    hub.repos["me/x"] = [{"a.json": good}]
    assert pull("me/x", tmp_path / "one")
    hub.repos["me/x"] = [{"a.json": good, "b.json": good}]
    line = fails(capsys, "pull", "me/x", "--out", tmp_path / "out")
    assert "more than 3000 bytes together" in line
    assert not (tmp_path / "out").exists()


def test_foreign_files_stop_no_push(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    good = NO_LOSS.read_bytes()
    deep = b'{"schema": 1, "scores": ' + b"[" * 900 + b"]" * 900 + b"}"
    foreign = {
        "config.json": b'{"model_type": "x"}',
        "list.json": b"[]",
        "deep.json": deep,
        "bytes.json": b"\xff\xfe",
        "link.json": b"../../secrets",
        "a b.json": b"{}",
        "\x1b[31m.json": b"{}",
        "large.json": b" " * (MAX_BYTES + 1),
        "lying.json": b" " * (MAX_BYTES + 1),
    }
    hub.repos["me/x"] = [foreign | {"old.json": good}]
    hub.lies["lying.json"] = 5
    assert cli.main(["push", str(NO_LOSS), "--repo", "me/x"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("not on the card: ") == len(foreign)
    files = hub.repos["me/x"][-1]
    assert {name: files[name] for name in foreign} == foreign
    text = files["README.md"].decode()
    assert "| old.json |" in text
    assert f"| {NO_LOSS.name} |" in text
    assert not [name for name in foreign if name in text]


def test_a_file_in_the_way_is_not_read_whole(hub: Hub, tmp_path: Path) -> None:
    hub.repos["me/x"] = [{"a.json": NO_LOSS.read_bytes()}]
    for kind in ("pipe", "folder", "large", "link"):
        out = tmp_path / kind
        out.mkdir()
        there = out / "a.json"
        if kind == "pipe":
            os.mkfifo(there)
        elif kind == "folder":
            there.mkdir()
        elif kind == "link":
            there.symlink_to("/dev/zero")
        else:
            with there.open("wb") as file:
                file.truncate(10**11)
        with pytest.raises(StrategyError, match="is there and differs"):
            pull("me/x", out)


def test_a_hub_that_does_not_serve_is_one_line(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["--out", tmp_path / "out"]
    assert "the hub has no repository me/none" in fails(capsys, "pull", "me/none", *out)
    push([NO_LOSS], "me/found", private=True)
    assert "no revision 'v9'" in fails(capsys, "pull", "me/found", "--revision", "v9", *out)
    line = fails(capsys, "push", NO_LOSS, "--repo", "others/found")
    assert "your token may not do this with others/found" in line
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not know your token" in fails(capsys, "push", NO_LOSS, "--repo", "me/found")
    assert "private and not yours" in fails(capsys, "pull", "me/found", *out)
    monkeypatch.delenv("HF_TOKEN")
    line = fails(capsys, "push", NO_LOSS, "--repo", "me/found")
    assert "not logged in" in line
    assert "hf auth login" in line
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in fails(capsys, "pull", "me/found", *out)
    assert not (tmp_path / "out").exists()


def test_a_strategy_says_what_its_scores_are_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = unsigned()
    assert missing_parts(one) == [f"provenance.{SCORED}"]
    assert missing_parts(load("dato-b1")) == ["scores"]
    signed = one.model_copy(update={"provenance": one.provenance | {SCORED: one.digest}})
    check_provenance(signed, "here")
    assert missing_parts(signed) == []
    save(signed, tmp_path / "signed.json")
    assert cli.main(["validate", str(tmp_path / "signed.json")]) == 0
    edited = json.loads((tmp_path / "signed.json").read_text())
    edited["methods"]["deepcache"]["depth"][1] = 3
    (tmp_path / "signed.json").write_text(json.dumps(edited))
    assert cli.main(["validate", str(tmp_path / "signed.json")]) == 1
    assert "changed after it was scored" in capsys.readouterr().out
    fewer = signed.resample(steps=10)
    assert SCORED not in fewer.provenance
    check_provenance(fewer, "here")


def test_a_card_is_text_alone() -> None:
    one = load(NO_LOSS)
    evil = one.model_copy(update={"provenance": {"model": "<script>|[x](y)\n\x1b[31m"}})
    text = markdown("me/found", {"a.json": evil})
    assert "<script>" not in text
    assert "[x]" not in text
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [9, 9, 9]


def test_the_library_is_imported_by_these_commands_alone() -> None:
    code = (
        "import sys, strategies, strategies.cli; strategies.load('dato-b1');"
        "assert not [m for m in sys.modules if m.startswith(('huggingface_hub', 'httpx'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
