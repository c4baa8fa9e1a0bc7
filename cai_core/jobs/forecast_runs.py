"""Forecasts of a plan's runs, what of them cannot fit, and the forecast that a run keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cai_core.errors import CaiError, RecipeError, WorkspaceError
from cai_core.jobs.forecast import (
    Forecast,
    Known,
    build_unknown,
    describe_bytes,
    parse_forecast,
)
from cai_core.jobs.forecast_counts import Plans
from cai_core.jobs.forecast_evaluate import forecast_evaluate
from cai_core.jobs.forecast_label import forecast_label
from cai_core.jobs.forecast_machine import Machine, read_machine
from cai_core.jobs.forecast_pairs import forecast_pairs
from cai_core.jobs.forecast_revise import forecast_revise
from cai_core.jobs.forecast_rl import forecast_rl
from cai_core.jobs.forecast_serving import SERVER_PARTS
from cai_core.jobs.forecast_sft import forecast_sft
from cai_core.jobs.forecast_usage import Usage, load_usage
from cai_core.jobs.held_out import list_faults
from cai_core.jobs.rates import load_measured
from cai_core.jobs.spec import RunSpec
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT

FILE = "forecast.json"
# Kinds whose worker asks a server, which is another process.
_ASKING = frozenset({"revise", "label", "rl", "evaluate"})
# Left free: the workspace's indexes and logs grow, and a full disk stops every run.
DISK_RESERVE = 500 * 10**6
_LESS = "set gradient_checkpointing, or use method lora."
_FIXES = {
    "sft": f"Lower micro_batch or max_length, {_LESS}",
    "reward": f"Lower micro_batch or max_length, {_LESS}",
    "dpo": f"Lower micro_batch or max_length, {_LESS}",
    "rl": f"Lower micro_batch, prompts_per_step or max_tokens, {_LESS}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure, forecast and actual.

    Attributes:
        key: of `forecast.UNITS`; `name` is what people are told.
        actual: None while it is not known.
        ratio: actual over forecast; None where one is missing, or the forecast is 0.
    """

    key: str
    name: str
    forecast: float | None
    actual: float | None
    ratio: float | None
    formula: str
    basis: str


def forecast_runs(
    specs: Sequence[RunSpec], workspace: Path, machine: Machine | None = None
) -> list[Forecast]:
    """What each run will need; later ones count on what earlier ones will make.

    Args:
        machine: None reads this one.
    """
    known = Known(
        plans=Plans(workspace, specs),
        machine=machine or read_machine(workspace),
        measured=load_measured(workspace),
    )
    return [_hold_out(_forecast(spec, known), spec, known) for spec in specs]


def check_fit(forecast: Forecast, machine: Machine) -> list[str]:
    """Why a run cannot be done here, each with what to change; empty where nothing says so."""
    refusals = [f"{forecast.run_id}: {fault}" for fault in forecast.faults]
    memory = forecast.figures["memory"].value
    if memory is not None:
        refusals += _check_memory(forecast, memory, machine)
    disk = max(forecast.figures["disk"].value or 0, forecast.disk_peak)
    if disk > machine.disk_free - DISK_RESERVE:
        refusals.append(
            f"{forecast.run_id}: needs about {describe_bytes(disk)} on the workspace's disk, where "
            f"{describe_bytes(machine.disk_free)} are free and {describe_bytes(DISK_RESERVE)} "
            "stay so. Delete runs, or keep the workspace on another disk."
        )
    return refusals


def check_plan(forecasts: Sequence[Forecast], machine: Machine) -> list[str]:
    """`check_fit` of each run, and whether all of them fit on the disk together."""
    refusals = [told for forecast in forecasts for told in check_fit(forecast, machine)]
    total = sum(forecast.figures["disk"].value or 0 for forecast in forecasts)
    if not refusals and total > machine.disk_free - DISK_RESERVE:
        refusals.append(
            f"together they need about {describe_bytes(total)} of disk, and "
            f"{describe_bytes(machine.disk_free)} are free. Delete runs, or hand in fewer."
        )
    return refusals


def refuse_what_cannot_fit(refusals: Sequence[str]) -> None:
    """Raise RecipeError with every reason of `check_fit`, one a line, if there is one."""
    if refusals:
        told = "\n".join(refusals)
        raise RecipeError(f"{told}\nGo on all the same with `--anyway` on the command line.")


def save_forecast(run_folder: Path, forecast: Forecast) -> None:
    """Freeze it with the run; one that is there stays. Raises WorkspaceError."""
    path = run_folder / FILE
    if not path.exists():
        document = {"format": FORMAT, **forecast.as_dict()}
        replace_file(path, [json.dumps(document, indent=1).encode()])


def load_forecast(run_folder: Path) -> Forecast | None:
    """The forecast of a run that was handed in; None where it has none.

    Raises:
        WorkspaceError: it is damaged.
    """
    path = run_folder / FILE
    try:
        document = json.loads(path.read_text("utf-8"))
        document.pop("format")
        return parse_forecast(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WorkspaceError(f"{path}: cannot be read: {error}. Delete it.") from error


def compare_forecast(run_folder: Path) -> list[Compared]:
    """Forecast and actual of a run, figure by figure; empty where it has no forecast.

    Raises:
        WorkspaceError: the forecast is damaged.
    """
    forecast = load_forecast(run_folder)
    if forecast is None:
        return []
    usage = load_usage(run_folder)
    return [_compare(forecast, name, usage) for name in forecast.figures]


def _hold_out(forecast: Forecast, spec: RunSpec, known: Known) -> Forecast:
    """With the held-out suites that the run would be trained on as its faults."""
    try:
        faults = list_faults(spec, known.plans)
    except (CaiError, OSError, ValueError, KeyError) as error:
        faults = (f"it cannot be compared with the held-out suites: {error}",)
    return replace(forecast, faults=(*forecast.faults, *faults)) if faults else forecast


def _forecast(spec: RunSpec, known: Known) -> Forecast:
    try:
        match spec.kind:
            case "revise":
                return forecast_revise(spec, known)
            case "sft":
                return forecast_sft(spec, known)
            case "label":
                return forecast_label(spec, known)
            case "evaluate":
                return forecast_evaluate(spec, known)
            case "reward" | "dpo":
                return forecast_pairs(spec, known)
            case "rl":
                return forecast_rl(spec, known)
    except CaiError as error:
        return build_unknown(spec, f"not reckoned: {error}")
    return build_unknown(spec, f"nothing is known of runs of kind {spec.kind}")


def _check_memory(forecast: Forecast, memory: float, machine: Machine) -> list[str]:
    where, limit = "memory", machine.memory
    if forecast.on_gpu and machine.gpus:
        where, limit = f"memory of {machine.gpus[0].name}", machine.gpus[0].total
    elif machine.memory_free is not None and not machine.busy:
        where, limit = "free memory", machine.memory_free
    if memory <= limit:
        return []
    largest = max(forecast.parts, key=lambda part: part.size, default=None)
    most = f", most of it {largest.name} ({largest.formula})" if largest else ""
    fix = _FIXES.get(forecast.kind, "Choose a smaller model, or a larger machine.")
    told = f"{forecast.run_id}: needs about {describe_bytes(memory)} and there is "
    return [f"{told}{describe_bytes(limit)} of {where}{most}. {fix}"]


def _compare(forecast: Forecast, name: str, usage: Usage) -> Compared:
    figure, wanted = forecast.figures[name], forecast.figures[name].value
    shown = name
    if name == "memory" and forecast.kind in _ASKING and not forecast.on_gpu:
        # Of the worker alone: the server is another process, which serves others, too.
        own = [part.size for part in forecast.parts if part.name not in SERVER_PARTS]
        shown, wanted = "worker's memory", sum(own) if own else None
    told = {"seconds": usage.seconds or None, "memory": usage.memory, "disk": usage.disk}
    made = usage.work.get("rows" if name in ("examples", "completions") else name)
    actual = told.get(name, made)
    if name == "memory" and forecast.on_gpu:
        actual = None  # what the worker tells is the machine's own memory
    ratio = actual / wanted if actual is not None and wanted else None
    return Compared(
        key=name,
        name=shown.replace("_", " "),
        forecast=wanted,
        actual=actual,
        ratio=ratio,
        formula=figure.formula,
        basis=figure.basis,
    )
