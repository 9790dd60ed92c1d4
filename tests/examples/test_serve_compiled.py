"""The example service with a compiled denoiser. `-m slow`: torch compiles for minutes."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import accel
from accel.models.config import read_model
from accel.models.resolve import open_model
from tests.support.paths import ROOT

PROMPT = "a large red circle on the left on a plain dark background"
PRESET = "deepcache-n3"
PATIENCE = 3600.0  # Seconds; busy processors compile slowly.


def uncompiled(name: str, seed: int) -> Any:
    """The image that the pipeline generates without compilation."""
    pipe, config = open_model("tiny-sd", "cpu", download=False)
    assert config is not None
    given = {
        "num_inference_steps": config.steps,
        "guidance_scale": config.guidance,
        "height": config.height,
        "width": config.width,
        "generator": torch.Generator().manual_seed(seed),
    }
    if name == "none":
        return pipe(PROMPT, **given).images[0]
    with accel.accelerated(pipe, PRESET) as fast:
        return fast(PROMPT, **given).images[0]


def answer(address: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    """Code and content of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_the_service_compiles_before_it_takes_requests(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    assert read_model("tiny-sd").guidance > 1
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    words = f"--strategy good={PRESET} --compile --batch 1 --device cpu --port {port}"
    command = [sys.executable, str(ROOT / "examples" / "serve.py"), *words.split()]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "out").open("w") as out:
        service = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        states, until = list[str](), time.monotonic() + PATIENCE
        while states[-1:] != ["ready"]:
            assert service.poll() is None, (tmp_path / "out").read_text()
            assert time.monotonic() < until
            threading.Event().wait(0.5)
            try:
                code, content = answer(f"{address}/health")
            except urllib.error.URLError:  # It does not listen yet.
                continue
            found = json.loads(content)
            states.append(found["status"])
            assert code == (200 if found["status"] == "ready" else 503)
            if states == ["compiling"]:
                code, content = answer(
                    f"{address}/generate", {"prompt": PROMPT, "strategy": "good"}
                )
                told = json.loads(content)["detail"]
                assert (code, told["status"], told["of"]) == (503, "compiling", 2)
        assert states[0] == "compiling"
        assert found == {"status": "ready", "failed": {}}
        for name in ("good", "none"):
            for seed in (0, 1):
                code, content = answer(
                    f"{address}/generate", {"prompt": PROMPT, "strategy": name, "seed": seed}
                )
                assert code == 200, content
                image = np.asarray(Image.open(io.BytesIO(content))).astype(int)
                assert np.abs(image - np.asarray(uncompiled(name, seed))).max() <= 3
        text = answer(f"{address}/metrics")[1].decode()
        assert "stratagem_ready 1" in text
        for name in ("good", "none"):
            assert f'stratagem_requests_total{{strategy="{name}",outcome="ok"}} 2' in text
            assert f'stratagem_compile_seconds{{strategy="{name}"}}' in text
        assert 'stratagem_requests_total{strategy="good",outcome="refused"} 1' in text
        lines = (tmp_path / "out").read_text().splitlines()
        assert sum(line.startswith("compiled ") for line in lines) == 2
    finally:
        service.send_signal(signal.SIGINT)
        service.wait(PATIENCE)
