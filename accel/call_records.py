"""Records of each call of the last generation: the sampler's statistics."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CallRecord:
    """One pass of the denoiser.

    Attributes:
        call: index in the full schedule.
        branch: 0, or 1 for the second pass of a call whose guidance is done as two passes.
        batch: rows that the denoiser got, guidance included.
        device: kind of device it ran on, such as "cpu" or "cuda".
        depth: number of a UNet's skip levels or of a transformer's leading blocks that ran, "full",
            or "skip" if the previous prediction was repeated.
        ran: names of the blocks that ran, in order; of a block that ran in part only its layers
            count.
        tokens: tokens before and after merging, by attention site that merged tokens.
        reused: names of the attentions and blocks whose last result was used.
        macs: multiply-accumulates, if `accel.measuring(macs=True)` was on.
        seconds: seconds that the pass took, if `accel.measuring(time=True)` was on; on GPUs from
            events.
        guidance: mode of guidance: "full", "off", "reuse", or None if no mode was asked for or the
            pipeline does not guide.
        running: rows that the network ran; fewer than `batch` if one half of guidance was left out.
    """

    call: int
    branch: int
    batch: int
    device: str
    depth: int | str = "full"
    ran: list[str] = field(default_factory=list)
    tokens: dict[str, tuple[int, int]] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    macs: int | None = None
    seconds: float | None = None
    guidance: str | None = None
    running: int | None = None


class Recorder:
    """Collects the records of one generation; methods write into `now`."""

    def __init__(self) -> None:
        self.calls: list[CallRecord] = []

    @property
    def now(self) -> CallRecord:
        """The record of the pass that is running."""
        return self.calls[-1]

    def begin(self, record: CallRecord) -> None:
        """Start the record of a pass."""
        self.calls.append(record)

    def clear(self) -> None:
        """Forget the previous generation."""
        self.calls = []
