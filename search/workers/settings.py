"""The settings of a search that say where it runs; none of them decides what it proposes."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class WorkerSettings(BaseModel):
    """Workers and their devices.

    Attributes:
        workers: number of Ray actors, at most; 0 works in this process.
        gpus_per_worker: GPUs of each worker; below 1 several share one. Without effect on a CPU.
        cpus_per_worker: cores of each process of a worker, and threads of torch on a CPU.
        processes_per_worker: processes of each worker, each with a device of its own.
        parallel: how they generate one image together: `context` shares its tokens; empty where a
            worker is one process.
        address: address of a Ray cluster, `auto` or `host:port`; empty starts Ray on this machine.
        timeout: seconds after which a candidate is cancelled; None is ten times the time expected
            by its calls and images, and at least a minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(default=2, ge=0, le=1024)
    gpus_per_worker: float = Field(default=1.0, gt=0)
    cpus_per_worker: int = Field(default=1, ge=1)
    processes_per_worker: int = Field(default=1, ge=1, le=64)
    parallel: Literal["", "context"] = ""
    address: str = ""
    timeout: float | None = Field(default=None, gt=0)

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_or_shared(cls, share: float) -> float:
        if share > 1 and share != int(share):
            raise ValueError(f"gpus_per_worker is {share:g}; give a share up to 1, or whole GPUs")
        return share

    @field_validator("address")
    @classmethod
    def _address(cls, text: str) -> str:
        if text and text != "auto" and not re.fullmatch(r"[^\s/:]+:\d+", text):
            raise ValueError(f"address {text!r} is not understood; give auto or host:port")
        return text

    @model_validator(mode="after")
    def _cluster(self) -> Self:
        if self.address and not self.workers:
            raise ValueError("address names a cluster, but 0 workers run in this process")
        return self

    @model_validator(mode="after")
    def _group(self) -> Self:
        count = self.processes_per_worker
        if count > 1 and not self.parallel:
            raise ValueError(
                f"processes_per_worker is {count}, but nothing says how they generate one image; "
                "give --parallel context too, or one process"
            )
        if self.parallel and count == 1:
            raise ValueError(
                f"parallel is {self.parallel}, but each worker has one process; give "
                "--gpus-per-worker 2 or more, on CPUs --processes-per-worker 2 or more"
            )
        if self.parallel and not self.workers:
            raise ValueError(
                f"parallel is {self.parallel}, but 0 workers run in this process; give --workers 1 "
                "or more"
            )
        return self
