"""The example service: batches of one strategy, images that do not mix, metrics, errors."""

from __future__ import annotations

import importlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import ROOT


def module(name: str) -> Any:
    """An example as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        return importlib.import_module(name)


def test_a_load_of_requests_has_no_wrong_and_no_lost_image() -> None:
    pytest.importorskip("uvicorn")
    module("serve")
    found = module("serve_load").run(requests=24, clients=8, batch=4, distinct=8)
    assert (found["right"], found["wrong"], found["lost"]) == (24, 0, 0), found
    counts = [line for line in found["metrics"] if line.startswith("stratagem_requests_total")]
    assert len(counts) == 4
    assert sum(int(line.rpartition(" ")[2]) for line in counts) == 24
    assert all('outcome="ok"' in line for line in counts)
    batches = [line for line in found["metrics"] if line.startswith("stratagem_batches_total")]
    assert 6 <= sum(int(line.rpartition(" ")[2]) for line in batches) < 24


class Pipe:
    """A pipeline that notes its batches, and waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[tuple[str | None, list[str]]] = []
        self.name: str | None = None
        self.go, self.began = threading.Event(), threading.Event()

    strategy = None

    def __call__(self, prompt: list[str], **given: Any) -> Any:
        self.batches.append((self.name, prompt))
        self.began.set()
        assert self.go.wait(60)
        if "fail" in prompt:
            raise RuntimeError("no more memory")
        return type("Output", (), {"images": [f"{self.name}: {one}" for one in prompt]})


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    queue, made = module("serve_queue"), Pipe()

    def choose(pipe: Pipe, name: str | None) -> Pipe:
        pipe.name = name
        return pipe

    monkeypatch.setattr(queue.accel, "apply", lambda *_: None)
    monkeypatch.setattr(queue.accel, "remove", lambda *_: None)
    monkeypatch.setattr(queue.accel, "choose", choose)
    yield made
    made.go.set()


def test_batches_are_of_one_strategy_and_in_the_order_of_arrival(pipe: Pipe) -> None:
    serve = module("serve")
    server = serve.Server(pipe, {"fast": "x", "good": "y"}, batch=3, most=7)
    first = server.submit("0", "good", 0)
    assert pipe.began.wait(60)
    waiting = [
        server.submit(prompt, name, 0)
        for prompt, name in (
            *(("1", "fast"), ("2", "good"), ("3", "fast"), ("fail", "none")),
            *(("4", "fast"), ("5", "fast"), ("6", "good")),
        )
    ]
    with pytest.raises(serve.FullError):
        server.submit("8", "fast", 0)
    with pytest.raises(KeyError):
        server.submit("8", "slow", 0)
    waiting[6].cancel()
    pipe.go.set()
    assert first.result(60) == "good: 0"
    assert [waiting[i].result(60) for i in (0, 1, 2, 4, 5)] == [
        *("fast: 1", "good: 2", "fast: 3", "fast: 4", "fast: 5"),
    ]
    with pytest.raises(RuntimeError, match="no more memory"):
        waiting[3].result(60)
    server.close()
    assert pipe.batches == [
        ("good", ["0"]),
        ("fast", ["1", "3", "4"]),
        ("good", ["2"]),
        (None, ["fail"]),
        ("fast", ["5"]),
    ]
    with pytest.raises(serve.FullError):
        server.submit("9", "fast", 0)
    lines = server.metrics.text(0).splitlines()
    assert 'stratagem_requests_total{strategy="fast",outcome="ok"} 4' in lines
    assert 'stratagem_requests_total{strategy="fast",outcome="refused"} 2' in lines
    assert 'stratagem_requests_total{strategy="none",outcome="failed"} 1' in lines
    assert 'stratagem_latency_seconds_bucket{strategy="fast",le="+Inf"} 4' in lines
    assert 'stratagem_latency_seconds_count{strategy="fast"} 4' in lines


def test_requests_wait_until_every_strategy_is_compiled(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    serve = module("serve")
    server = serve.Server(pipe, {"fast": "x", "good": "y"}, batch=3, compiled=True)
    assert pipe.began.wait(60)
    found = server.health
    assert found.pop("seconds") >= 0
    assert found == {"status": "compiling", "strategy": "fast", "done": 0, "of": 3}
    with pytest.raises(serve.CompilingError):
        server.submit("0", "good", 0)
    assert "stratagem_ready 0" in server.metrics.text(0, ready=False)
    pipe.go.set()
    while server.health["status"] != "ready":
        threading.Event().wait(0.02)
    first, fails = server.submit("0", "good", 0), server.submit("fail", "fast", 0)
    assert first.result(60) == "good: 0"
    with pytest.raises(RuntimeError, match="no more memory"):
        fails.result(60)
    server.close()
    # Every batch has the size that was compiled.
    assert pipe.batches == [
        *(("fast", ["warm-up"] * 3), ("good", ["warm-up"] * 3), (None, ["warm-up"] * 3)),
        *(("good", ["0"] * 3), ("fast", ["fail"] * 3)),
    ]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        *("compiled fast", "compiled good", "compiled none"),
    ]
    assert lines[-1].endswith("(3 of 3)")
    text = server.metrics.text(0)
    assert 'stratagem_compile_seconds{strategy="good"}' in text
    assert 'stratagem_requests_total{strategy="good",outcome="refused"} 1' in text


def test_a_strategy_that_cannot_be_compiled_leaves_the_others(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = module("serve_queue")

    def choose(pipe: Pipe, name: str | None) -> Pipe:
        if name == "fast":
            raise RuntimeError("no such graph")
        pipe.name = name
        return pipe

    monkeypatch.setattr(queue.accel, "choose", choose)
    pipe.go.set()
    server = queue.Server(pipe, {"fast": "x", "good": "y"}, batch=1, compiled=True)
    while server.health["status"] != "ready":
        threading.Event().wait(0.02)
    assert server.health["failed"] == {"fast": "RuntimeError: no such graph"}
    assert "fast cannot be compiled: RuntimeError" in capsys.readouterr().out
    assert server.submit("0", "good", 0).result(60) == "good: 0"
    with pytest.raises(RuntimeError, match="no such graph"):
        server.submit("0", "fast", 0).result(60)
    server.close()


def test_wrong_requests_are_answered(pipe: Pipe) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    serve = module("serve")
    pipe.go.set()
    server = serve.Server(pipe, {"fast": "x"})
    web = uvicorn.Server(uvicorn.Config(serve.app(server), port=0, log_level="critical"))
    thread = threading.Thread(target=web.run)
    thread.start()
    while not web.started:
        threading.Event().wait(0.02)
    address = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"

    def post(**body: Any) -> tuple[int, str]:
        request = urllib.request.Request(
            f"{address}/generate", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=60)
        with error.value as answer:
            return answer.code, answer.read().decode()

    try:
        code, text = post(prompt="x", strategy="fats")
        assert (code, json.loads(text)["detail"]) == (
            404,
            "no strategy 'fats'; there are fast, none",
        )
        assert post(prompt="x", strategy="fast", seed=-1)[0] == 422
        assert post(prompt="fail", strategy="fast")[0] == 500
        with urllib.request.urlopen(f"{address}/strategies", timeout=60) as answer:
            assert json.loads(answer.read()) == ["fast", "none"]
        with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
            assert json.loads(answer.read()) == {"status": "ready", "failed": {}}
        server._uncompiled.append("fast")
        code, text = post(prompt="x", strategy="fast")
        assert (code, json.loads(text)["detail"]["status"]) == (503, "compiling")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{address}/health", timeout=60)
        with error.value as answer:
            assert (answer.code, json.loads(answer.read())["strategy"]) == (503, "fast")
        server._uncompiled.clear()
    finally:
        web.should_exit = True
        thread.join()
