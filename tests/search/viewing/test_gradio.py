"""The page with the real Gradio: it is started by its command, and asked as a browser asks it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.viewing.viewer import LEAST
from tests.search.run_folder import test_former_runs as former
from tests.support.paths import ROOT

RUN = Path(former.__file__).parent / "former_runs" / "tiny-sd"
PROMPT = "a large red circle on a plain dark background"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_the_page_answers(tmp_path: Path) -> None:
    client = pytest.importorskip("gradio_client")
    pytest.importorskip("gradio")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = (tmp_path / "log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-m", "search", "view", str(RUN), "--port", str(port)],
        stdout=log, stderr=log, cwd=ROOT, env=os.environ | {"GRADIO_TEMP_DIR": str(tmp_path)},
    )  # fmt: skip
    try:
        for _ in range(600):
            assert server.poll() is None, (tmp_path / "log").read_text()
            try:
                urllib.request.urlopen(address, timeout=60).close()
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        page = client.Client(address, download_files=str(tmp_path), verbose=False)
        plain, chosen, text = page.predict(PROMPT, 2, 0, api_name="/show")
        pixels = [np.asarray(Image.open(one).convert("RGB")) for one in (plain, chosen)]
        assert pixels[0].shape == pixels[1].shape == (LEAST, LEAST, 3)
        assert (pixels[0] != pixels[1]).any()
        # Pixels of the small image are squares, which a lossy format would blur.
        times = LEAST // 32
        assert (pixels[0][::times, ::times].repeat(times, 0).repeat(times, 1) == pixels[0]).all()
        assert "s unaccelerated" in text
        again = page.predict(PROMPT, 2, 0, api_name="/show")
        assert again[2] == text  # The images are kept, with their times.
        with pytest.raises(Exception, match="the prompt is empty; type what"):
            page.predict(" ", 2, 0, api_name="/show")
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait(60)
        log.close()
    assert "Traceback" not in (tmp_path / "log").read_text()
