"""A comparison as an engineer reads it in a terminal: a table, then one sentence per variant.

Every figure may be missing (too few seeds, nothing learned, nothing trained); then a dash says so.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradient_clinic.rendering import rendered

Json = dict[str, Any]
OVER_TIME = "G over\ntime"
RATE = "learning\nrate"
COLOURS = {"healthy": "green", "mixed": "yellow", "inconclusive": "yellow", "slow": "yellow"}
NONE = "–"
PLAIN_WIDTH = 100
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    cell: Callable[[Json], str]
    weight: int  # the least weighty ones go first where the terminal is narrow


def console_on(stream: IO[str]) -> Console:
    console = Console(file=stream, highlight=False)
    # A pipe has no width of its own.
    return console if console.is_terminal else Console(file=stream, highlight=False, width=PLAIN_WIDTH)


def show(console: Console, comparison: Json) -> None:
    variants: list[Json] = comparison.get("variants") or []
    console.print()
    console.print(_table(console, variants, str(comparison.get("metric") or "metric")))
    console.print()
    console.print(Padding(Text(str(comparison.get("answer") or NONE)), (0, 0, 1, 0), expand=False))
    for variant in variants:
        console.print(Text(str(variant.get("name")), style="bold"))
        console.print(Padding(Text(str(variant.get("sentence") or NONE)), (0, 0, 1, 2), expand=False))
    for note in comparison.get("notes") or []:
        console.print(Text(f"Note: {note}", style="dim"))


def show_refusal(console: Console, problem: Json, said: str = "The spec was refused") -> None:
    """Problem details as lines that name the field, what it was, and what it may be."""
    errors, detail = problem.get("errors") or [], str(problem.get("detail") or problem.get("title"))
    # Of fields the detail is their messages in one line, which come below anyway.
    repeats = any(str(error.get("message")) in detail for error in errors)
    console.print(Text(f"{said}:" if repeats else f"{said}: {detail}", style="bold red"))
    for error in errors:
        line = Text(f"  {error.get('field') or 'spec'}", style="bold")
        if error.get("value") is not None:
            line.append(f" = {error['value']}", style="not bold")
        line.append(f": {error.get('message')}", style="not bold")
        if error.get("allowed"):
            line.append(f" (allowed: {_listed(error['allowed'])})", style="not bold")
        console.print(line)


def _table(console: Console, variants: list[Json], metric: str) -> Table:
    asked = {OVER_TIME: _states, RATE: _rate}
    # Time and tuning have a column only where some variant has them.
    columns = [
        column for column in _columns(metric) if column.title not in asked or any(map(asked[column.title], variants))
    ]
    while True:
        table = _filled(columns, variants)
        # Measured as if there were room for all: rich would else fold cells until anything fits.
        unlimited = console.options.update(max_width=10_000)
        if len(columns) <= 2 or Measurement.get(console, unlimited, table).maximum <= console.width:
            return table
        columns.remove(min(columns, key=lambda column: column.weight))


def _columns(metric: str) -> list[Column]:
    return [
        Column("variant", lambda v: str(v.get("name")), weight=9),
        Column("verdict", lambda v: str(_at(v, "verdict", "kind") or NONE), weight=8),
        Column("G at\nstart", _gain, weight=5),
        Column(OVER_TIME, _over_time, weight=6),
        Column(
            "gain per\nlayer",
            lambda v: _figure(_mean(_at(v, "gradient", "at_start", "gain_per_layer")), ".3f"),
            weight=4,
        ),
        Column("in\ntheory", lambda v: _figure(_at(v, "gradient", "predicted", "gain_per_layer"), ".3f"), weight=1),
        Column("learned", _learned, weight=7),
        Column(metric, _metric, weight=6),
        Column(RATE, lambda v: _figure(_rate(v), "g"), weight=5),
        Column("repaired\nlayers", _repaired, weight=3),
        Column("step\ntime", lambda v: _figure(_mean(_at(v, "cost", "step_time_ratio")), ".2f", "×"), weight=2),
    ]


def _filled(columns: list[Column], variants: list[Json]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        named = column.title == "variant"
        table.add_column(
            column.title,
            justify="left" if named or column.title == "verdict" else "right",
            vertical="top",
            no_wrap=not named,
            overflow="fold",
            max_width=28 if named else None,
        )
    for variant in variants:
        kind = str(_at(variant, "verdict", "kind"))
        style = COLOURS.get(kind, "red")
        cells = [Text(column.cell(variant), style=style if column.title == "verdict" else "") for column in columns]
        table.add_row(*cells)
    return table


def _gain(variant: Json) -> str:
    """Of one hidden layer it is 0 by definition."""
    start = _at(variant, "verdict", "at_start") or {}
    return NONE if start.get("judged") is False else _estimate(start.get("total_gain"), "+.1f")


def _states(variant: Json) -> list[Json]:
    return _at(variant, "gradient", "at_start", "time") or []


def _over_time(variant: Json) -> str:
    """G of the recurrent layer whose gradient changes most on its way back."""
    gains = [layer["total_gain"] for layer in _states(variant) if _mean(layer["total_gain"]) is not None]
    return _estimate(max(gains, key=lambda gain: abs(gain["mean"]), default=None), "+.1f")


def _learned(variant: Json) -> str:
    success = _at(variant, "outcomes", "success") or {}
    return NONE if success.get("of") is None else f"{success.get('count')}/{success['of']}"


def _rate(variant: Json) -> float | None:
    """That tuning has chosen."""
    rate: float | None = _at(variant, "tuned", "learning_rate")
    return rate


def _metric(variant: Json) -> str:
    """The metric of the runs that learned; both means where the runs fall into two groups."""
    modes = _at(variant, "outcomes", "modes")
    if modes:
        return "\n".join(f"{mode['n']} near {mode['mean']:.3f}" for mode in modes)
    return _estimate(_at(variant, "outcomes", "metric"), ".3f")


def _repaired(variant: Json) -> str:
    against = variant.get("versus_baseline")
    if against is None:
        return NONE
    return f"{len(against.get('repaired_layers') or [])}/{len(against.get('layers') or [])}"


def _estimate(estimate: Json | None, style: str) -> str:
    """The mean and half its interval; both its ends, on a line of their own, where it is not symmetric."""
    if estimate is None or estimate["mean"] is None:
        return NONE
    shown = rendered(estimate["mean"], estimate["low"], estimate["high"], estimate["method"], style)
    if shown.half:
        return f"{shown.mean} {shown.half}"
    return "\n".join(part for part in (shown.mean, shown.ends, shown.method) if part)


def _figure(value: float | None, style: str, unit: str = "") -> str:
    return NONE if value is None else f"{value:{style}}{unit}"


def _mean(estimate: Json | None) -> float | None:
    mean: float | None = (estimate or {}).get("mean")
    return mean


def _at(value: Any, *names: str) -> Any:
    """What lies at the end of a path of names; None as soon as a step is missing."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _listed(allowed: Any) -> str:
    if isinstance(allowed, dict):
        return ", ".join(f"{LIMITS.get(name, name)} {value}" for name, value in allowed.items())
    if isinstance(allowed, Iterable) and not isinstance(allowed, str):
        return ", ".join(str(item) for item in allowed)
    return str(allowed)
