"""Settings of ToDo (Smith et al., 2024). No torch: files are read and searched without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictInt

from strategies.knobs import Depth, Knobs
from strategies.schedules import neutral_where_skipped

Factor = Annotated[StrictInt, Field(ge=1, le=8)]
Levels = Annotated[
    StrictInt,
    Field(
        ge=1,
        le=8,
        description="number of resolutions on which it acts, from the largest that has "
        "self-attention",
    ),
]


class ToDo(Knobs):
    """Self-attention whose keys and values are of a coarser grid."""

    method: ClassVar[str] = "todo"
    paper: ClassVar[str] = "ToDo: Token Downsampling, arXiv 2402.13573"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("factor",)
    neutral: ClassVar[dict[str, Any]] = {"factor": 1}
    sampler: ClassVar[str] = "stratagem_todo.sampler:attach"
    reduces_tokens: ClassVar[bool] = True
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = ({"factor": 2}, {"factor": 4})
    graded: ClassVar[bool] = True

    factor: tuple[Factor, ...] = Field(
        description="keys and values are the tokens of every factor-th row and column; 1 is all"
    )
    levels: Levels = 1

    def is_neutral(self) -> bool:
        """Whether every call attends to all tokens."""
        return all(one == 1 for one in self.factor)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> ToDo:
        """The same with factor 1 at calls at which no block runs."""
        factor = neutral_where_skipped(self.factor, depths, 1)
        return self if factor == self.factor else self.model_copy(update={"factor": factor})

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """The paper's setting, a factor of 2 at every call, and one of 4."""
        return [cls(factor=(factor,) * calls) for factor in (4, 2)]
