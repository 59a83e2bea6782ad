"""How alike, long and loud steps are: what a data set's facts say beside what its training cases have."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from gradient_clinic.values import Array
from models.specs.dataset import DatasetSpec
from worker.datasets import load

LAGS = (1, 2, 3, 5)


def correlation(x: Array, lengths: Array, lag: int) -> float:
    """Of numbers ``lag`` steps apart, x (cases, steps, …); nothing behind a case's end counts."""
    pairs = [(case[: end - lag], case[lag:end]) for case, end in zip(x, lengths.astype(int), strict=True) if end > lag]
    both = sum(float((a * b).sum()) for a, b in pairs)
    squares = [sum(float((its[side] ** 2).sum()) for its in pairs) for side in (0, 1)]
    return both / float(np.sqrt(squares[0] * squares[1]))


def equal(x: Array, lengths: Array, lag: int) -> float:
    ends = lengths.astype(int)
    return float(
        np.mean([(case[: end - lag] == case[lag:end]).mean() for case, end in zip(x, ends, strict=True) if end > lag])
    )


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "japanese_vowels", "standardise": "feature"},
        {"kind": "japanese_vowels", "standardise": "scalar"},
        {"kind": "digits"},
        {"kind": "mnist_5k"},
        {"kind": "names"},
        {"kind": "python_docs"},
        {"kind": "mnist_1d"},
        {"kind": "adding", "cases": 2000, "standardise": "none"},
        {"kind": "adding", "cases": 2000, "standardise": "scalar"},
        {"kind": "adding", "cases": 2000, "standardise": "feature"},
        {"kind": "temporal_order", "cases": 500},
        {"kind": "copy_memory", "cases": 500},
        {"kind": "copy_memory", "cases": 500, "delay": 20},
    ],
    ids=str,
)
def test_facts_say_how_alike_steps_are(body: dict[str, Any]) -> None:
    adapter: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)
    spec = adapter.validate_python(body)
    part = load(spec, 0).train
    x = part.x[:1500].double().numpy()
    if spec.facts.form == "image":
        x = x.transpose(0, 2, 1, 3).reshape(len(x), x.shape[2], -1)
    lengths = np.full(len(x), x.shape[1]) if part.lengths is None else part.lengths[:1500].numpy()
    measure = equal if spec.facts.form == "tokens" else correlation
    said = spec.facts.alike
    for lag in LAGS:
        assert said[min(lag, len(said)) - 1] == pytest.approx(measure(x, lengths, lag), abs=0.05), lag


@pytest.mark.parametrize("kind", ["japanese_vowels", "names"])
def test_facts_say_how_long_cases_are(kind: str) -> None:
    adapter: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)
    spec = adapter.validate_python({"kind": kind})
    lengths = load(spec, 0).train.lengths
    assert lengths is not None
    middles = np.percentile(lengths.numpy(), np.arange(2.5, 100.0, 5.0))
    assert np.array(spec.facts.lengths) == pytest.approx(middles, abs=1.0)


def test_facts_say_how_loud_frames_are() -> None:
    adapter: TypeAdapter[DatasetSpec] = TypeAdapter(DatasetSpec)
    spec = adapter.validate_python({"kind": "japanese_vowels", "standardise": "feature"})
    part = load(spec, 0).train
    assert part.lengths is not None
    inside = np.arange(part.x.shape[1]) < part.lengths.numpy()[:, None]
    frames = (part.x.double().numpy()[inside] ** 2).mean(axis=1)
    assert np.array(spec.facts.loudness) == pytest.approx(np.percentile(frames, [10, 30, 50, 70, 90]), abs=0.05)
