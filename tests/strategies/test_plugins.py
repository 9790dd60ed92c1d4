"""Plug-ins: they work by entry points alone, and a bad one is one line and harms nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from search.initial import baselines
from search.spaces import with_calls
from strategies import Strategy, StrategyError, registered_methods
from strategies.cli import main
from strategies.data_files.yaml_files import read_yaml
from strategies.plugins.families import family_names
from tests.support import plugins
from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "plugin"
ENTRY = {"methods": {"todo": "stratagem_todo.knobs:ToDo"}}
FIELDS: dict[str, Any] = {"scheduler": "DDIMScheduler", "steps": 4, "calls": 4}


def made(methods: dict[str, Any], family: str = "unet") -> Strategy:
    return Strategy.create(family=family, methods=methods, **FIELDS)


def test_a_method_of_another_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "todo" not in registered_methods()
    plugins.declare(tmp_path, "stratagem-todo", ENTRY)
    with plugins.seen(tmp_path, EXAMPLE):
        one = made({"todo": {"factor": [4, 2, 1, 2]}})
        assert one.kinds()[0] == "todo.factor=4 todo.levels=1"
        with pytest.raises(StrategyError, match=r"todo.factor.0 is 9: give at most 8"):
            made({"todo": {"factor": 9}})
        with pytest.raises(StrategyError, match="both take tokens out of self-attention at call 0"):
            made({"todo": {"factor": 2}, "tome": {"ratio": 0.5}})
        assert main(["methods", "todo"]) == 0
        assert "whose keys and values are of a coarser" in capsys.readouterr().out
        assert main(["space", "--space", str(EXAMPLE / "stratagem_todo" / "space.yaml")]) == 0
        assert "todo.factor 4" in capsys.readouterr().out
    with pytest.raises(StrategyError, match=r"methods.todo is unknown"):
        made({"todo": {"factor": 2}})


def test_a_search_begins_with_what_the_method_says(tmp_path: Path) -> None:
    plugins.declare(tmp_path, "stratagem-todo", ENTRY)
    with plugins.seen(tmp_path, EXAMPLE):
        settings = read_yaml(EXAMPLE / "stratagem_todo" / "space.yaml")
        pairs = [(s, n) for s in settings["schedulers"] for n in settings["steps"]]
        space = with_calls(settings, "unet", {pair: pair[1] for pair in pairs})
        found = baselines.known_strategies(space, "DDIMScheduler", 20)
        alone = {
            (origin, str(one.methods["todo"].compact()["factor"]))
            for origin, one in found
            if set(one.methods) == {"todo"}
        }
        assert {("preset", "2"), ("preset", "4"), ("combined", "2")} <= alone
        every = space.decode(tuple(size - 1 for size in space.sizes))
        assert "todo" in every.methods
        assert space.decode(space.encode(every)).digest == every.digest


BAD = {
    "raises": ("bad_one:Anything", "RuntimeError: two lines of it"),
    "ends": ("ends_python:Anything", "SystemExit: 3"),
    "absent": ("no_such_module:Thing", "ModuleNotFoundError: No module named 'no_such_module'"),
    "nameless": ("stratagem_todo.knobs:Other", "AttributeError"),
    "wrong": ("stratagem_todo.knobs:Factor", "it must be a subclass of Knobs"),
    "misnamed": ("stratagem_todo.knobs:ToDo", "its method is called 'todo'; the entry point must"),
    "tome": ("stratagem_todo.knobs:ToDo", "methods of Stratagem have this name already"),
    "half": ("half:Half", "its class lacks paper, families, per_call, neutral"),
    "lost": ("half:Lost", "its sampler is ''; give 'module:function'"),
    "knobless": ("half:Knobless", "its per-call knob 'rate' needs a field and a value"),
}
HALF = """
    from strategies.knobs import Knobs
    class Half(Knobs):
        method = "half"
        def is_neutral(self): return True
    class Lost(Half):
        method, paper, families, per_call, neutral = "lost", "", ("unet",), (), {}
    class Knobless(Lost):
        method, per_call, sampler = "knobless", ("rate",), "half:attach"
"""


def test_bad_plug_ins_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad_one.py").write_text('raise RuntimeError("two\\nlines of it")')
    (tmp_path / "ends_python.py").write_text("raise SystemExit(3)")
    (tmp_path / "half.py").write_text(textwrap.dedent(HALF))
    entries = {name: reference for name, (reference, _) in BAD.items()}
    plugins.declare(tmp_path, "broken", {"methods": entries})
    plugins.declare(tmp_path / "good", "stratagem-todo", ENTRY)
    with plugins.seen(tmp_path, tmp_path / "good", EXAMPLE):
        assert "todo" in registered_methods()
        assert "tome" in registered_methods()
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(BAD)
        for name, (_, reason) in BAD.items():
            begin = f"warning: plug-in {name!r} of broken is left out: "
            (line,) = [one for one in lines if one.startswith(begin)]
            assert reason in line
        with pytest.raises(StrategyError, match=r"raises is unknown.*of broken is left out: Runt"):
            made({"raises": {}})
        assert made({"tome": {"ratio": 0.5}}).calls == 4
        registered_methods.cache_clear()
        assert "todo" in registered_methods()
        assert not capsys.readouterr().err  # Each is told once.


def test_names_that_clash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        "from stratagem_todo.knobs import ToDo\nclass ToMe(ToDo):\n    method = 'tome'\n"
    )
    plugins.declare(tmp_path, "first", ENTRY)
    plugins.declare(tmp_path, "second", ENTRY)
    plugins.declare(tmp_path, "third", {"methods": {"tome": "mine:ToMe"}})
    with plugins.seen(tmp_path, EXAMPLE):
        assert registered_methods()["tome"].__module__ == "strategies.methods.tome"
        assert registered_methods()["todo"].method == "todo"
    assert capsys.readouterr().err.splitlines() == [
        "warning: plug-in 'todo' of second is left out: first has one of this name, too; "
        "uninstall one of the two",
        "warning: plug-in 'tome' of third is left out: methods of Stratagem have this name "
        "already; give it another one",
    ]


def test_a_method_whose_behaviour_is_missing(tmp_path: Path, pipe: Any) -> None:
    import accel

    (tmp_path / "no_behaviour.py").write_text(
        "from stratagem_todo.knobs import ToDo\n"
        "class Empty(ToDo):\n    method, sampler = 'empty', 'no_behaviour:attach'\n"
    )
    plugins.declare(tmp_path, "empty", {"methods": {"empty": "no_behaviour:Empty"}})
    with plugins.seen(tmp_path, EXAMPLE):
        one = made({"empty": {"factor": 2}})
        with pytest.raises(StrategyError, match=r"^methods.empty: no_behaviour:attach cannot be"):
            accel.apply(pipe, one)


FAMILY = """
    from diffusers import UNet2DConditionModel
    from accel.families import unet
    from accel.families.base import Family
    from strategies.plugins.families import FamilyPlugin
    PLUGIN = FamilyPlugin("small", ("tome",), "small_family:FAMILY", "space.yaml")
    ODD = FamilyPlugin("odd", ("tome",), "small_family:PLUGIN")
    class Small(UNet2DConditionModel):
        pass
    def sites(denoiser):
        return unet.sites(denoiser) if isinstance(denoiser, Small) else None
    FAMILY = Family("small", "a `unet` of class Small", sites)
"""


def test_a_family_of_another_package(tmp_path: Path, pipe: Any) -> None:
    import accel
    from accel.models.own_settings import _space

    (tmp_path / "small_family.py").write_text(textwrap.dedent(FAMILY))
    plugins.declare(tmp_path, "small", {"families": {"small": "small_family:PLUGIN"}})
    with plugins.seen(tmp_path):
        assert family_names()[-1] == "small"
        one = made({"tome": {"ratio": 0.5}}, "small")
        with pytest.raises(StrategyError, match="dato works on unet, not on family 'small'"):
            made({"dato": {"ratio": 0.5}}, "small")
        with pytest.raises(StrategyError, match=r"is for family 'small'.*is of family 'unet'"):
            accel.apply(pipe, one)
        pipe.unet.__class__ = sys.modules["small_family"].Small
        accel.apply(pipe, one)
        accel.remove(pipe)
        assert _space(pipe, True) == "space.yaml"
    with pytest.raises(StrategyError, match="family is 'small'; known ones are unet, dit, mmdit"):
        made({}, "small")


def test_bad_families(tmp_path: Path, pipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import accel

    (tmp_path / "small_family.py").write_text(textwrap.dedent(FAMILY))
    (tmp_path / "clashing.py").write_text(
        "from strategies.plugins.families import FamilyPlugin\n"
        "UNET = FamilyPlugin('unet', (), 'a:B')\n"
    )
    entries = {"odd": "small_family:ODD", "other": "small_family:FAMILY", "unet": "clashing:UNET"}
    plugins.declare(tmp_path, "small", {"families": entries})
    with plugins.seen(tmp_path):
        assert "odd" in family_names()
        lines = capsys.readouterr().err.splitlines()
        assert "it must be a FamilyPlugin, not Family" in lines[0]
        assert "'unet'" in lines[1]
        with pytest.raises(StrategyError, match="'odd': small_family:PLUGIN must be"):
            accel.apply(pipe, made({}))


MORE = """
    from evaluate.metrics.shared import paired
    MAE = paired.make("mae", "mean error", "lower", None, lambda _: lambda a, b: 0.0, "", "{:.2f}",
                      scale=40.0)
"""
LAST = """
    from search.proposers.base import Proposer
    class Last(Proposer):
        name, summary = "last", "an example"
        def genome(self, number, attempt, history): return (0,)
"""
USE = """
    import last  # A package's own tests import it before anything else.
    from evaluate.metrics import METRICS, select_metrics
    from search.objectives.objectives import Objectives
    from search.proposers import PROPOSERS
    from strategies import StrategyError
    assert METRICS["mae"].scale == 40 and "last" in PROPOSERS and "psnr" in METRICS
    found = Objectives.create(["mae", "latency_s"], {}, {"mae": 0.0, "latency_s": 2.0})
    assert found.reference_point == (40.0, 2.0) and found.unscaled == (True, False)
    try:
        select_metrics(["broken"], "shapes")
    except StrategyError as error:
        print(error)
"""


def test_metrics_and_proposers_of_another_package(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(textwrap.dedent(MORE))
    (tmp_path / "last.py").write_text(textwrap.dedent(LAST))
    plugins.declare(
        tmp_path,
        "more",
        {
            "metrics": {"mae": "more:MAE", "psnr": "more:MAE", "broken": "more:Nothing"},
            "proposers": {"last": "last:Last", "first": "last:Last", "odd": "more:MAE"},
        },
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "metric 'broken' is unknown" in done.stdout
    assert "plug-in 'broken' of more is left out: AttributeError" in done.stdout
    lines = done.stderr.splitlines()
    assert {line.split("'")[1] for line in lines} == {"broken", "psnr", "first", "odd"}
    assert len(lines) == 4
