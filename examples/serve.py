"""Serve a pipeline at several speeds with FastAPI: one process, one queue, a strategy per request.

    pip install 'diffusion-stratagem[serve]'
    python examples/serve.py --strategy fast=deepcache-n5 --strategy good=deepcache-n2
    curl localhost:8000/generate -o x.png --json '{"prompt": "a red circle", "strategy": "fast"}'

All strategies stay attached to one pipeline. A thread takes waiting requests of one strategy as a
batch. Each image has the noise of its own seed, so it does not depend on its batch.
`GET /metrics` has counts and latencies of each strategy in the text format of Prometheus.
With `--compile` each strategy is generated once before the first request is taken. Until then
`GET /health` and requests answer 503, and say what is being compiled.
"""

from __future__ import annotations

import argparse
import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from serve_queue import CompilingError, FullError, Server

from accel.models import calls
from accel.models.loading import default_device, quiet
from accel.models.resolve import open_model
from strategies import StrategyError

GRAPHS = 64  # Further kinds of calls would run uncompiled.


class Request(BaseModel):
    """Body of `POST /generate`."""

    prompt: str = Field(min_length=1, max_length=2000)
    strategy: str
    seed: int = Field(default=0, ge=0, lt=2**62)
    guidance: float | None = Field(default=None, ge=0, le=100)


def app(server: Server) -> FastAPI:
    """The web application of a server; it closes the server at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.close)

    made = FastAPI(title="Stratagem", lifespan=lifespan)

    @made.post("/generate", response_class=Response)
    async def generate(request: Request) -> Response:
        try:
            future = server.submit(request.prompt, request.strategy, request.seed, request.guidance)
        except KeyError:
            names = ", ".join(server.names)
            raise HTTPException(
                404, f"no strategy {request.strategy!r}; there are {names}"
            ) from None
        except CompilingError:
            raise HTTPException(503, server.health, {"Retry-After": "30"}) from None
        except FullError:
            raise HTTPException(503, "too many requests wait; try again later") from None
        try:
            image = await asyncio.wrap_future(future)
        except StrategyError as error:
            raise HTTPException(422, str(error)) from None
        except Exception as error:
            raise HTTPException(500, f"the pipeline failed: {type(error).__name__}") from error
        content = io.BytesIO()
        image.save(content, format="PNG")
        return Response(content.getvalue(), media_type="image/png")

    @made.get("/health")
    async def health() -> JSONResponse:
        found = server.health
        return JSONResponse(found, 200 if found["status"] == "ready" else 503)

    @made.get("/strategies")
    async def names() -> list[str]:
        return server.names

    @made.get("/metrics")
    async def metrics() -> Response:
        text = server.metrics.text(server.waiting, server.health["status"] == "ready")
        return Response(text, media_type="text/plain; version=0.0.4")

    return made


def main(arguments: list[str] | None = None) -> None:
    """Load the model, and serve it until Ctrl-C."""
    made = argparse.ArgumentParser(description="Serve a pipeline at several speeds.")
    made.add_argument("--model", default="tiny-sd", help="as for python -m accel generate")
    made.add_argument(
        "--strategy", action="append", required=True, metavar="NAME=WHAT", help="file or preset"
    )
    made.add_argument("--device", default=default_device())
    made.add_argument("--batch", type=int, default=4, help="most images of a batch (default: 4)")
    made.add_argument("--compile", action="store_true", help="compile the denoiser")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8000)
    flags = made.parse_args(arguments)
    quiet()
    try:
        pipe, config = open_model(flags.model, flags.device, download=False)
        if flags.compile:
            name = "unet" if hasattr(pipe, "unet") else "transformer"
            setattr(pipe, name, torch.compile(getattr(pipe, name)))
            # One graph for each kind of call, of all strategies together.
            torch._dynamo.config.recompile_limit = GRAPHS
        chosen = dict(text.partition("=")[::2] for text in flags.strategy)
        settings: dict[str, Any] = {}
        if config is not None:
            word = calls.guidance_word(pipe) or "guidance_scale"
            settings = {"height": config.height, "width": config.width, word: config.guidance}
            settings |= config.arguments
        steps = None if config is None else config.steps
        server = Server(
            pipe, chosen, flags.batch, steps=steps, settings=settings, compiled=flags.compile
        )
    except StrategyError as error:
        made.exit(2, f"error: {error}\n")
    uvicorn.run(app(server), host=flags.host, port=flags.port, log_level="warning")


if __name__ == "__main__":
    main()
