"""Tables of results in Markdown, one function per benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.renderers import costs, engine, papers, quality, searches, speed

RENDERERS: dict[str, Callable[[Any], str]] = {
    "sampler": speed.race,
    "transformer_speed": speed.race,
    "guidance_calls": speed.guidance_calls,
    "guided_steps": quality.transformers,
    "solver_settings": quality.transformers,
    "few_step_lora": quality.few_step_lora,
    "affine_guidance": quality.affine_guidance,
    "parallel_calls": quality.parallel_calls,
    "selection": speed.selection,
    "profile_calls": papers.profile,
    "latency_table": speed.latency_table,
    "checks": speed.checks,
    "launches": speed.launches,
    "kept": speed.kept,
    "stacks": speed.stacks,
    "macs": speed.macs,
    "transformer_quality": quality.transformers,
    "unet_quality": quality.unets,
    "predictors": quality.predictors,
    "no_loss": quality.no_loss,
    "equal_latency": papers.equal_latency,
    "order": quality.order,
    "mask": quality.mask,
    "papers_dato": papers.tables,
    "papers_cat": papers.tables,
    "papers_fora": papers.tables,
    "papers_catome": papers.tables,
    "papers_speed": papers.tables,
    "transfer": quality.transfer,
    "distances": quality.distances,
    "rungs": quality.rungs,
    "tabular": searches.tabular,
    "efficiency": searches.efficiency,
    "efficiency_live": searches.live,
    "hypervolume": searches.hypervolume,
    "reproduce": searches.reproduce,
    "wide_space": searches.wide_space,
    "guidance_first": searches.guidance_first,
    "bookkeeping": engine.bookkeeping,
    "utilisation": engine.utilisation,
    "dry_run": engine.dry_run,
    "table_turns": costs.table_turns,
    "shared_prefixes": costs.shared_prefixes,
    "search_rules": costs.search_rules,
    "gpu_hours": costs.gpu_hours,
    "time_to_front": costs.time_to_front,
    "recorded_forecasts": costs.recorded_forecasts,
}
