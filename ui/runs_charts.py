"""A training run's curves, two runs over each other where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

# Metric in metrics.jsonl, its name, its unit.
Curve = tuple[str, str, str]
_ALWAYS: tuple[Curve, ...] = (
    ("tokens_per_second", "Speed", "tokens/s"),
    ("grad_norm", "Gradient norm", ""),
    ("learning_rate", "Learning rate", ""),
)
# By kind of run, what a reader wants first.
CURVES: Mapping[str, tuple[Curve, ...]] = {
    "sft": (
        ("loss", "Loss", "nats a token"),
        ("mean_token_accuracy", "Tokens right", "share"),
        *_ALWAYS,
    ),
    "reward": (
        ("loss", "Loss", "nats a pair"),
        ("accuracy", "Pairs ordered as labelled", "share"),
        ("margin", "Margin", "reward"),
        *_ALWAYS,
    ),
    "dpo": (
        ("loss", "Loss", "nats a pair"),
        ("rewards/accuracies", "Pairs ordered as labelled", "share"),
        ("rewards/margins", "Margin", "nats"),
        *_ALWAYS,
    ),
    "rl": (
        ("reward", "Reward", ""),
        ("kl", "KL to the reference", "nats a token"),
        ("completions/mean_length", "Length", "tokens"),
        ("entropy", "Entropy", "nats a token"),
        ("reward_std", "Spread of the rewards", ""),
        *_ALWAYS,
    ),
}
# Blue and orange can be told apart by the colour-blind; the second is dashed besides.
_COLOURS = ("#4f7cff", "#e0862a")
Metrics = Sequence[Mapping[str, Any]]


def build_curve(key: str, unit: str, runs: Mapping[str, Metrics], *, dark: bool) -> go.Figure:
    """One metric over the steps, a line for each run."""
    figure = go.Figure()
    for number, (name, lines) in enumerate(runs.items()):
        points = [(line["step"], line[key]) for line in lines if key in line]
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            name=name,
            mode="lines" if len(points) > 1 else "markers",
            line={"color": _COLOURS[number % 2], "dash": "dash" if number else "solid"},
            hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        height=220,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=len(runs) > 1,
        legend={"orientation": "h", "y": 1.15},
        xaxis={"title": "step", "gridcolor": grid},
        yaxis={"title": unit, "gridcolor": grid, "zeroline": False, "exponentformat": "e"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_curve(name: str, key: str, lines: Metrics) -> str:
    """A sentence for those who do not see the chart."""
    values = [line[key] for line in lines if key in line]
    if not values:
        return f"{name}: no values yet."
    return (
        f"{name} over {len(values)} steps: {values[0]:.4g} at first, {values[-1]:.4g} at last, "
        f"between {min(values):.4g} and {max(values):.4g}."
    )
