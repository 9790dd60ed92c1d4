"""Weights that are not there, and hubs that refuse them, are one line."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.support.models.model_commands import COMMANDS, fails


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("accel.models.hub_errors.is_cached", lambda _: False)


def test_missing_weights_are_one_line_that_says_what_to_do(
    no_hub: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for main, flags in COMMANDS:
        line = fails(main, capsys, *flags, "--model", "sd15")
        for said in (
            "stable-diffusion-v1-5/stable-diffusion-v1-5", "--download", "--source FOLDER",
            "python -m evaluate --model sd15 --random-weights",
        ):  # fmt: skip
            assert said in line
        assert "licence" not in line
        line = fails(main, capsys, *flags, "--model", "flux-dev")
        assert "accept its licence at https://huggingface.co/black-forest-labs/FLUX.1-dev" in line
        assert "hf auth login" in line
    assert not list(tmp_path.glob("runs/*"))


class Refusing(BaseHTTPRequestHandler):
    """A hub that refuses everything, for a reason."""

    code = "GatedRepo"

    def do_GET(self) -> None:
        self.send_response(403 if self.code == "GatedRepo" else 404)
        self.send_header("X-Error-Code", self.code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("GatedRepo", "accept its licence at https://huggingface.co/owner/name"),
        ("RepoNotFound", "no such repository, or it is private"),
        (None, "the hub cannot be reached"),
    ],
)
def test_a_hub_that_refuses_is_one_line(
    code: str | None, said: str, no_hub: None, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    monkeypatch.setattr(Refusing, "code", code)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = huggingface_hub.HfApi(endpoint=f"http://127.0.0.1:{server.server_port}")

    def ask(source: str, **_: Any) -> None:
        """What diffusers does where nothing is cached."""
        try:
            hub.model_info(source)
        except Exception as error:
            raise OSError(f"Cannot load model {source}: nothing cached. See above.") from error

    if code is None:
        server.shutdown()
        server.server_close()
    monkeypatch.setattr("accel.models.loading.DiffusionPipeline.from_pretrained", ask)
    line = fails(*COMMANDS[0][:1], capsys, "--model", "owner/name", "--download")
    assert said in line
    if code is not None:
        server.shutdown()
        server.server_close()
