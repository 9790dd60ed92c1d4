"""Load test of examples/serve.py with the bundled model: wrong, lost and refused images, latency.

    python examples/serve_load.py --requests 1000 --clients 16

Every image is compared with the one that a pipeline of its own generates alone. Strategies of three
steps keep it short; their images are not good ones, but they show whether requests mix.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import uvicorn
from PIL import Image

import accel
import zoo
from accel.models.loading import quiet
from strategies import Strategy

sys.path.insert(0, str(Path(__file__).parent))
from serve import app
from serve_queue import NONE, Server

STEPS = 3
NEAR = 2  # Levels of 255 by which a pixel may differ: a batch adds up in another order.
SHARED = {"family": "unet", "steps": STEPS, "calls": STEPS}
CHOICES = {
    "fast": Strategy.create(
        scheduler="DDIMScheduler", methods={"deepcache": {"depth": ["full", 1, 0]}}, **SHARED
    ),
    "good": Strategy.create(
        scheduler="DPMSolverMultistepScheduler", methods={"tome": {"ratio": 0.5}}, **SHARED
    ),
    "rule": "deepcache-n2",
}
PROMPTS = [
    f"a {size} {colour} {shape} on a plain dark background"
    for size in ("large", "small")
    for colour in ("red", "blue")
    for shape in ("circle", "square", "star")
]
Pick = tuple[str, str, int]  # Prompt, strategy and seed of a request.


def alone(picks: list[Pick]) -> dict[Pick, Any]:
    """Images of one pipeline per strategy, one at a time."""
    found = {}
    pipe = zoo.load("tiny-sd")
    for name in (*CHOICES, NONE):
        if name != NONE:
            accel.apply(pipe, CHOICES[name], set_scheduler=True)
        for pick in (pick for pick in picks if pick[1] == name):
            generator = torch.Generator().manual_seed(pick[2])
            image = pipe(pick[0], generator=generator, num_inference_steps=STEPS).images[0]
            found[pick] = np.asarray(image).astype(int)
        accel.remove(pipe)
    return found


def ask(port: int, pick: Pick) -> tuple[float, Any]:
    """Seconds and image of one request."""
    body = json.dumps(dict(zip(("prompt", "strategy", "seed"), pick, strict=True))).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/generate", body, {"content-type": "application/json"}
    )
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as answer:
        image = Image.open(io.BytesIO(answer.read())).convert("RGB")
    return time.monotonic() - began, np.asarray(image).astype(int)


def serve(batch: int) -> tuple[uvicorn.Server, threading.Thread]:
    """The service in a thread, on a free port."""
    server = Server(zoo.load("tiny-sd"), CHOICES, batch, steps=STEPS)
    web = uvicorn.Server(uvicorn.Config(app(server), port=0, log_level="warning"))
    thread = threading.Thread(target=web.run)
    thread.start()
    while not web.started:
        time.sleep(0.05)
    return web, thread


def run(requests: int, clients: int, batch: int, distinct: int) -> dict[str, Any]:
    """Counts and latencies of a load test."""
    dice = random.Random(0)
    names = [*CHOICES, NONE]
    picks = [
        (dice.choice(PROMPTS), names[i % len(names)], dice.randrange(2**31))
        for i in range(distinct)
    ]
    expected = alone(picks)
    asked = [dice.choice(picks) for _ in range(requests)]
    outcomes: Counter[str] = Counter()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    lock = threading.Lock()
    web, thread = serve(batch)
    port = web.servers[0].sockets[0].getsockname()[1]

    def one(pick: Pick) -> None:
        try:
            taken, image = ask(port, pick)
        except (urllib.error.URLError, OSError):
            outcome = "lost"
        else:
            same = image.shape == expected[pick].shape
            right = same and np.abs(image - expected[pick]).max() <= NEAR
            outcome = "right" if right else "wrong"
            seconds[pick[1]].append(taken)
        with lock:
            outcomes[outcome] += 1

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, asked))
    elapsed = time.monotonic() - began
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        told = answer.read().decode()
    web.should_exit = True
    thread.join()
    return {
        "requests": requests,
        "right": outcomes["right"],
        "wrong": outcomes["wrong"],
        "lost": outcomes["lost"],
        "seconds": round(elapsed, 1),
        "images_per_second": round(outcomes["right"] / elapsed, 2),
        "median_latency_s": {n: round(median(one), 2) for n, one in seconds.items() if one},
        "metrics": [line for line in told.splitlines() if "_total" in line and "#" not in line],
    }


def main() -> int:
    made = argparse.ArgumentParser(description="Load test of examples/serve.py.")
    made.add_argument("--requests", type=int, default=1000)
    made.add_argument("--clients", type=int, default=16, help="requests at the same time")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--distinct", type=int, default=48, help="different requests")
    flags = made.parse_args()
    quiet()
    found = run(flags.requests, flags.clients, flags.batch, flags.distinct)
    print(json.dumps(found, indent=2))
    return int(found["right"] != flags.requests)


if __name__ == "__main__":
    sys.exit(main())
