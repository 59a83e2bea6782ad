"""Trainings whose outcome is known from papers and from measurement: what each has to show, and what it shows here."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradient_clinic.activations import Activation
from models.analysis.theory.meanfield import LayerMap, asymptotic_multiplier, fixed_point
from models.analysis.theory.prediction import predict
from models.plan import plan_variant
from models.specs.experiment import ExperimentSpec
from proofs.outcomes.causes import causes
from proofs.outcomes.line import Line
from proofs.outcomes.running import Ran, by_variant, run_all

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    lines: Callable[[], Iterator[Line]]


def _mean(runs: Sequence[Ran], metric: Callable[[Ran], float]) -> float:
    return float(np.mean([metric(run) for run in runs]))


def _final(run: Ran) -> float:
    return math.nan if run.summary.final_loss is None else run.summary.final_loss


def _listed(values: Sequence[float], digits: int = 3) -> str:
    return " ".join(f"{value:.{digits}g}" for value in values)


def predicted_gain(body: Json, variant: str) -> float | None:
    """√χ per layer by theory."""
    spec = ExperimentSpec.model_validate({"name": "theory", **body})
    plan = plan_variant(spec, variant)
    return predict(plan.network, plan.experiment.batch_size).gain_per_layer


# --- He et al. 2015: a 30-layer ReLU network -------------------------------------------------------------------


def he_30() -> Iterator[Line]:
    body: Json = {
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {
            "kind": "mlp",
            "hidden": [128] * 29,
            "activation": "relu",
            "init": {"kind": "kaiming_normal"},
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.02},
        "batch_size": 32,
        "epochs": 15,
        "seeds": {"count": 6},
        "remedies": [
            {"kind": "init", "init": {"kind": "xavier_normal"}},
            {"kind": "init", "init": {"kind": "torch_default"}},
        ],
    }
    runs = by_variant(run_all(body, every=5))
    he = runs["baseline"]
    yield Line(
        "He-30",
        "He: loss < 1.6 in every seed",
        _listed([_final(run) for run in he]),
        all(_final(run) < 1.6 for run in he),
    )
    good = [run.summary.facts.test_metric for run in he]
    enough = sum(value >= 0.8 for value in good) >= 2 * len(good) / 3
    yield Line("He-30", "He: accuracy ≥ 0.8 in ≥ 2/3 of seeds", _listed(good), enough)
    # √½ and √(1/6): Xavier leaves half of δ² in each ReLU layer, torch's default a sixth.
    for name, theory in (("init(xavier_normal)", 0.7071), ("init(torch_default)", 0.4082)):
        losses = [_final(run) for run in runs[name]]
        yield Line("He-30", f"{name}: loss > 2.25 in every seed", _listed(losses), all(loss > 2.25 for loss in losses))
        gain = predicted_gain(body, name)
        yield Line("He-30", f"{name}: theory {theory} per layer", f"{gain:.4f}", abs((gain or 0) / theory - 1) < 0.02)


# --- Ioffe & Szegedy 2015, figure 1 ------------------------------------------------------------------------------


def ioffe() -> Iterator[Line]:
    body: Json = {
        "dataset": {"kind": "mnist_5k", "split_seed": 0},
        "network": {
            "kind": "mlp",
            "hidden": [100, 100, 100],
            "activation": "sigmoid",
            "init": {"kind": "normal", "std": 0.01},
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "batch_size": 60,
        "epochs": 20,
        "seeds": {"count": 3},
        "remedies": [{"kind": "batch_norm"}],
    }
    runs = by_variant(run_all(body, every=5))
    plain, normed = runs["baseline"], runs["batch_norm"]
    accuracy = [run.summary.facts.test_metric for run in plain]
    yield Line("Ioffe", "without: chance", _listed(accuracy), max(accuracy) < 0.15)
    accuracy = [run.summary.facts.test_metric for run in normed]
    yield Line("Ioffe", "batch norm: accuracy > 0.85", _listed(accuracy), min(accuracy) > 0.85)
    for name, some, known in (
        ("without", plain, (8e-5, 5e-4, 2e-2, 0.7)),
        ("batch norm", normed, (0.42, 0.40, 0.41, 0.82)),
    ):
        # Bound as a default: a lambda made in a loop would read the loop's last layer.
        norms = [_mean(some, lambda run, layer=layer: run.first_gradient_norms[layer]) for layer in range(4)]  # type: ignore[misc]
        near = all(0.5 < ours / theirs < 2.0 for ours, theirs in zip(norms, known, strict=True))
        yield Line("Ioffe", f"{name}: ‖∂L/∂W‖ near {_listed(known)}", _listed(norms), near)


# --- Schoenholz et al. 2017: the depth scale ------------------------------------------------------------------------


def depth_scale() -> Iterator[Line]:
    # σw² = 1.760955 is on the critical line of tanh at σb² = 0.05: there is no depth scale.
    for variance, depths in (
        (1.0, {6: True, 12: True, 48: False, 96: False}),
        (1.760955, {6: True, 12: True, 24: True, 48: True}),
    ):
        layer = LayerMap(Activation("tanh", 0.0), variance, 0.05)
        chi = asymptotic_multiplier(layer, fixed_point(layer, 1.0))
        limit = math.inf if abs(math.log(chi)) < 1e-4 else 6.0 / abs(math.log(chi))
        for depth, trains in depths.items():
            run = run_all(_tanh_of_depth(depth, variance), every=5)[0]
            seen = f"{run.summary.trained}, loss {_final(run):.3g}; 6ξ = {limit:.3g}"
            required = f"σw² = {variance:g}, {depth} layers {'train' if trains else 'do not train'}"
            yield Line("depth scale", required, seen, (run.summary.trained == "yes") == trains)


def _tanh_of_depth(depth: int, variance: float) -> Json:
    init = {"kind": "gaussian", "weight_variance": variance, "bias_variance": 0.05}
    return {
        "dataset": {"kind": "digits", "split_seed": 0},
        "network": {"kind": "mlp", "depth": depth, "width": 128, "activation": "tanh", "init": init},
        "optimizer": {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9},
        "batch_size": 128,
        "epochs": 12,
        "seeds": [0],
    }


# --- Le et al. 2015: the adding problem ---------------------------------------------------------------------------


ADDING_CELLS: dict[str, list[Json]] = {
    "tanh": [],
    "irnn": [{"kind": "irnn"}],
    "lstm": [{"kind": "lstm"}, {"kind": "learning_rate", "value": 0.01}],
    "gru": [{"kind": "gru"}, {"kind": "learning_rate", "value": 0.01}],
}


def adding() -> Iterator[Line]:
    body: Json = {
        "dataset": {"kind": "adding", "length": 50},
        "network": {"kind": "rnn", "cell": "tanh", "width": 64},
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "batch_size": 64,
        "steps": 1500,
        "seeds": [0],
        "variants": [
            {"name": name, "remedies": [*remedies, {"kind": "clip_norm", "max_norm": 1.0}]}
            for name, remedies in ADDING_CELLS.items()
        ],
    }
    runs = by_variant(run_all(body, every=10))
    # Over a stretch of steps: the loss of a single batch of 64 says little.
    last = {name: float(np.mean(some[0].losses[-5:])) for name, some in runs.items()}
    # 1/6 is the variance of the sum of two numbers of U(0,1): what the best constant answer loses.
    yield Line("adding T=50", "tanh stays at 1/6 (> 0.14)", f"{last['tanh']:.4f}", last["tanh"] > 0.14)
    yield Line("adding T=50", "IRNN learns (< 0.1)", f"{last['irnn']:.4f}", last["irnn"] < 0.1)
    for cell in ("lstm", "gru"):
        yield Line("adding T=50", f"{cell.upper()} solves it (< 0.01)", f"{last[cell]:.4f}", last[cell] < 0.01)


# --- the seed article: nothing is wrong at two hidden layers --------------------------------------------------------


def seed_article() -> Iterator[Line]:
    for dataset in ("digits", "mnist_5k"):
        body: Json = {
            "dataset": {"kind": dataset},
            "network": {"kind": "mlp", "hidden": [64, 64], "activation": "relu", "init": {"kind": "kaiming_normal"}},
            "optimizer": {"kind": "adam", "learning_rate": 0.001},
            "batch_size": 128,
            "epochs": 10,
            "remedies": [
                {"kind": "orthogonal_init", "gain": math.sqrt(2.0)},
                {"kind": "l2", "strength": 1e-4},
                {"kind": "batch_norm"},
                {"kind": "activation", "function": "sigmoid"},
            ],
        }
        runs = by_variant(run_all(body, every=5))
        kinds = {run.summary.verdict.kind for run in runs["baseline"]}
        starts = {run.summary.verdict.at_start.kind for run in runs["baseline"]}
        yield Line(
            f"seed article, {dataset}", "ReLU: healthy", f"{kinds}, start {starts}", kinds == starts == {"healthy"}
        )
        means = {name: _mean(some, lambda run: run.summary.facts.test_metric) for name, some in runs.items()}
        differences = [means[name] - means["baseline"] for name in ("orthogonal_init", "l2", "batch_norm")]
        small = all(abs(difference) < 0.02 for difference in differences)
        yield Line(f"seed article, {dataset}", "remedies differ by < 2 points", _listed(differences), small)
        sick = [run.summary.verdict.at_start.kind for run in runs["activation"]]
        yield Line(f"seed article, {dataset}", "sigmoid: not vanished", str(set(sick)), "vanishing" not in sick)


# --- fixed cases that clients rely on --------------------------------------------------------------------------------


def fixed() -> Iterator[Line]:
    deep: Json = {
        "dataset": {"kind": "digits"},
        "network": {
            "kind": "mlp",
            "depth": 20,
            "width": 64,
            "activation": "sigmoid",
            "init": {"kind": "xavier_normal"},
        },
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "epochs": 10,
        "remedies": [{"kind": "activation", "function": "relu"}],
    }
    runs = by_variant(run_all(deep))
    kinds = {run.summary.verdict.kind for run in runs["baseline"]}
    gain = _mean(runs["baseline"], lambda run: run.summary.verdict.at_start.total_gain.mean or math.nan)
    yield Line(
        "20 sigmoids", "vanishing, G ≈ −26", f"{kinds}, G {gain:.1f}", kinds == {"vanishing"} and -28 < gain < -24
    )
    relu = [run.summary for run in runs["activation"]]
    starts, trained = {run.verdict.at_start.kind for run in relu}, [run.trained for run in relu]
    yield Line(
        "20 ReLUs",
        "start vanishing, and train",
        f"{starts}, {trained}",
        starts == {"vanishing"} and trained.count("yes") >= 4,
    )
    hot: Json = {
        "dataset": {"kind": "digits"},
        "network": {
            "kind": "mlp",
            "depth": 20,
            "width": 64,
            "activation": "relu",
            "init": {"kind": "orthogonal", "gain": 2.0},
        },
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "epochs": 10,
    }
    kinds = {run.summary.verdict.kind for run in run_all(hot)}
    yield Line("20 ReLUs, gain 2", "exploding", str(kinds), kinds == {"exploding"})


# --- language and speech: real recordings, real names ---------------------------------------------------------------


def recordings() -> Iterator[Line]:
    for dataset, epochs, least in (("japanese_vowels", 60, 0.85), ("names", 8, 0.82)):
        body: Json = {
            "dataset": {"kind": dataset, "standardise": "feature" if dataset == "japanese_vowels" else "none"},
            "network": {"kind": "rnn", "cell": "gru", "width": 64},
            "optimizer": {"kind": "adam", "learning_rate": 0.005},
            "batch_size": 32,
            "epochs": epochs,
            "seeds": [0, 1],
            "remedies": [{"kind": "lstm"}],
        }
        for name, some in by_variant(run_all(body, every=10)).items():
            accuracy = [run.summary.facts.test_metric for run in some]
            yield Line(
                dataset,
                f"{'gru' if name == 'baseline' else name}: accuracy ≥ {least}",
                _listed(accuracy),
                min(accuracy) >= least,
            )


CASES = (
    Case("fixed", fixed),
    Case("he_30", he_30),
    Case("ioffe", ioffe),
    Case("depth_scale", depth_scale),
    Case("adding", adding),
    Case("seed_article", seed_article),
    Case("recordings", recordings),
    Case("causes", causes),
)
