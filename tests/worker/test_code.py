"""A variant as plain PyTorch: its file, executed alone, has the losses of the service's own training, bit for bit."""

import gzip
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from gradient_clinic.activations import SHAPES
from gradient_clinic.probe.probe import StepRecord
from models.code import Origin, program
from models.plan import Plan, expand
from models.specs.dataset import FashionMnistSpec
from models.specs.init import INITS
from models.specs.networks import NETWORKS
from models.specs.remedy import REMEDIES
from models.storage.files import DatasetFiles
from tests.api.described import bodies
from tests.formatted import faults_of
from tests.networks import EVERY_KIND, MORE_KINDS
from tests.processes import run
from tests.worker.test_datasets import NEEDS_APT
from tests.worker.test_through_the_service import CASES, _keep, asked_for, treated
from tests.worker.trials import spec_of_kind
from worker.datasets import fashion_mnist, load
from worker.engine import train
from worker.results import RunResult

pytestmark = pytest.mark.long  # every spec of the registries is trained twice

SEED = 1
MOST_PRODUCTS = 400_000
"""Of a case, in networks that are tried by chance."""
Json = dict[str, Any]
INIT_OPTIONS: dict[str, Json] = {
    "gaussian": {"weight_variance": 2.0, "bias_variance": 0.3},
    "normal": {"std": 0.07},
    "uniform": {"low": -0.1, "high": 0.3},
    "constant": {"value": 0.05},
}


@pytest.fixture(scope="module")
def every_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all files of this module are left; ruff looks at them together, once."""
    place: Path = tmp_path_factory.mktemp("files")
    yield place
    assert not faults_of(place)


@pytest.fixture
def folder(every_file: Path, tmp_path: Path) -> Path:
    """One for each test."""
    own = every_file / tmp_path.name
    own.mkdir()
    return own


def origin_of(name: str = "baseline", experiment: str = "an experiment") -> Origin:
    return Origin("0190a", experiment, name, SEED, "0.1.0", {"torch": "2"})


def written(plan: Plan, folder: Path, origin: Origin | None = None) -> Path:
    file = folder / f"variant{len(list(folder.iterdir()))}.py"
    file.write_text(program(plan, origin or origin_of()), encoding="utf-8")
    return file


def agrees(plan: Plan, folder: Path, storage: str | None = None) -> list[float]:
    """The file's losses, once they are found to be the engine's."""
    file = written(plan, folder)
    trained = runpy.run_path(str(file), run_name="variant")["train"](SEED, lambda _: None)
    seen = list(train(plan, load(plan.dataset, SEED, storage), seed=SEED))
    (result,) = (its for its in seen if isinstance(its, RunResult))
    expected = [its.loss for its in seen if isinstance(its, StepRecord)]
    every = plan.experiment.trace.every
    np.testing.assert_array_equal(trained.losses[::every], expected)
    assert len(trained.losses) == max(1, result.steps_done)
    # Means over a whole part in float32, where the engine adds stretches in float64.
    found = trained.test_loss, trained.test_metric
    assert found == pytest.approx((result.test_loss, result.test_metric), rel=1e-5, nan_ok=True)
    losses: list[float] = trained.losses
    return losses


@pytest.mark.parametrize("kind", REMEDIES)
def test_every_remedy_trains_in_its_file_as_in_the_service(kind: str, folder: Path) -> None:
    baseline, variant = expand(treated(kind))
    assert agrees(variant.plan, folder) != agrees(baseline.plan, folder), "the remedy changes nothing here"


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=NEEDS_APT if case == "data fashion_mnist" else ()) for case in CASES]
)
def test_every_network_optimizer_data_set_and_option(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, storage = CASES[case], str(folder / "storage")
    if asked.get("dataset", {}).get("kind") == "uploaded":
        asked = {**asked, "dataset": {**asked["dataset"], **_keep(DatasetFiles(storage))}}
        (folder,) = (folder / "storage" / "datasets").iterdir()
        np.savez(folder / "mine.npz", **{name: np.load(folder / f"{name}.npy") for name in ("x", "y")})
        monkeypatch.chdir(folder)
    for variant in expand(asked_for(asked)):
        agrees(variant.plan, folder, storage)


HALF = {"kind": "mixed_precision", "dtype": "float16"}
SMALL: Json = {"kind": "mlp", "hidden": [9, 8]}
MORE: dict[str, Json] = {
    "float16, whose scale is too large at first": {
        "remedies": [{**HALF, "initial_scale": 2.0**30, "growth_interval": 2}],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "steps": 14,
    },
    "a cosine behind a warm-up, and a warm-up beside it": {
        "optimizer": {"kind": "adam", "schedule": {"kind": "cosine", "warm_up": 3, "final_factor": 0.1}},
        "remedies": [{"kind": "warm_up", "steps": 4, "start_factor": 0.2}, {"kind": "weight_decay", "layers": "all"}],
        "steps": 9,
    },
    "a rate that falls in steps": {
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": True, "schedule": {"kind": "step", "every": 2}},
        "remedies": [{"kind": "l2", "layers": "all", "strength": 0.01}],
        "steps": 7,
    },
    "muon under a schedule, kernels and tables left out": {
        "network": {"kind": "transformer", "blocks": 1, "width": 8, "heads": 2},
        "dataset": {"kind": "names", "standardise": "none"},
        "optimizer": {"kind": "muon", "schedule": {"kind": "cosine"}},
        "steps": 6,
    },
    "weights and smoothing": {"class_weights": [1.0, 5.0, *[0.5] * 8], "label_smoothing": 0.2},
    "norms without γ and β": {
        "network": {
            "kind": "cnn",
            "normalization": {"kind": "batch_norm", "affine": False, "eps": 0.1, "momentum": 0.5},
        },
    },
    "frozen output": {"network": {**SMALL, "frozen": ["output"]}, "remedies": [{"kind": "agc", "clipping": 0.001}]},
    "no test cases": {"dataset": {"kind": "digits", "test_fraction": 0.0}},
    "steps that are not finite, of which every second is judged": {
        "optimizer": {"kind": "sgd", "learning_rate": 1000.0},
        "network": {"kind": "mlp", "depth": 9, "width": 16, "init": {"kind": "gaussian", "weight_variance": 90.0}},
        "trace": {"every": 2},
        "stop_when": {"nonfinite_steps": 6},
        "steps": 60,
    },
    "a loss that is too high": {"stop_when": {"nonfinite_steps": None, "loss_above": 0.5}, "trace": {"every": 3}},
    "shrunk teacher": {
        "dataset": {"kind": "teacher_student", "cases": 80, "singular_values": [200.0, 3.0], "split_seed": 4},
        "remedies": [{"kind": "standardise_targets"}],
        "loss": "huber",
    },
    "permuted pixels": {
        "dataset": {"kind": "sequential_digits", "permuted": True, "standardise": "feature"},
        "network": {"kind": "rnn", "cell": "lstm", "width": 5, "forget_bias": 1.5, "dropout": 0.3, "layers": 2},
    },
}


@pytest.mark.parametrize("case", MORE)
def test_what_goes_together(case: str, folder: Path) -> None:
    asked = {"network": SMALL, "steps": 5, **MORE[case]}
    losses = agrees(expand(spec_of_kind(asked))[-1].plan, folder)
    if "not finite" in case:
        assert len(losses) < 60


def test_files_of_fashion_mnist_are_read_as_by_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of drawn images in the form of the package's files, which is not everywhere."""
    random = np.random.default_rng(0)
    for part, cases in (("train", 5), ("t10k", 3)):
        for what, shape in (("images-idx3", (cases, 28, 28)), ("labels-idx1", (cases,))):
            head = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            content = head + random.integers(0, 10, shape, np.uint8).tobytes()
            (tmp_path / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    expected = fashion_mnist.arrays(FashionMnistSpec(), 0)
    plan = expand(spec_of_kind({"dataset": {"kind": "fashion_mnist"}, "network": SMALL}))[0].plan
    file = written(plan, tmp_path)
    file.write_text(file.read_text().replace("/usr/share/datasets/fashion-mnist", str(tmp_path)))
    x, y = runpy.run_path(str(file), run_name="variant")["fashion_mnist"]()
    np.testing.assert_array_equal(x, expected.x)
    np.testing.assert_array_equal(y, expected.y)
    assert (x.dtype, y.dtype) == (expected.x.dtype, expected.y.dtype)


@pytest.mark.parametrize("kind", [*EVERY_KIND, *MORE_KINDS])
def test_more_networks_frozen_too(kind: str, folder: Path) -> None:
    asked = (EVERY_KIND | MORE_KINDS)[kind]
    (free,) = expand(spec_of_kind(asked))
    names = [layer.name for layer in free.plan.layers[1:-1:2]]
    still = {**asked, "network": {**asked["network"], "frozen": names}} if names else asked
    losses = {tuple(agrees(expand(spec_of_kind(its))[0].plan, folder)) for its in (asked, still)}
    assert len(losses) == (2 if names else 1)


DEEP: dict[str, tuple[Json, str]] = {
    "a stack": ({"kind": "mlp", "depth": 30, "width": 6}, "for i in range(1, 29)"),
    "skips around every two": (
        {"kind": "mlp", "depth": 22, "width": 6, "dropout": 0.1, "skip": {"kind": "scaled", "every": 2}},
        "for i in range(0, 20, 2)",
    ),
    "blocks": ({"kind": "residual_mlp", "blocks": 9, "width": 6, "layers_per_block": 1}, "for i in range(9)"),
    "stages": (
        {"kind": "cnn", "channels": [3, 4], "layers_per_stage": 5, "normalization": {"kind": "batch_norm"}},
        "for i in range(6, 10)",
    ),
    "a transformer": ({"kind": "transformer", "blocks": 4, "width": 8, "heads": 2}, "for i in range(4)"),
    "a stack of loops": ({"kind": "rnn", "cell": "gru", "width": 6, "layers": 5}, "for i in range(1, 5)"),
    "names of a user, which count otherwise": (
        {
            "kind": "sequential",
            "layers": [
                {"kind": "flatten"},
                *({"kind": "linear", "units": 7, "name": name} for name in ("a.0", "a.1", "a.2", "a.4", "b.5", "a.3")),
            ],
        },
        "for i in range(1, 3)",
    ),
}


@pytest.mark.parametrize("case", DEEP)
def test_what_repeats_in_a_deep_network_is_said_once(case: str, folder: Path) -> None:
    network, loop = DEEP[case]
    plan = expand(spec_of_kind({"network": network}))[0].plan
    agrees(plan, folder)
    text = program(plan, origin_of())
    assert text.count(loop) == (0 if "otherwise" in case else 1)
    layers = [layer.name for layer in plan.layers]
    made = runpy.run_path(str(written(plan, folder)), run_name="variant")["network"](SEED)
    named = [module.name for module in made.modules() if type(module).__name__ == "Layer"]
    assert sorted(named) == sorted(layers)


@pytest.mark.parametrize("kind", INITS)
@pytest.mark.parametrize(
    "network", [{"kind": "residual_mlp", "blocks": 2, "width": 8}, {"kind": "cnn", "channels": [4, 6]}]
)
def test_every_initialisation(kind: str, network: Json, folder: Path) -> None:
    asked = {"network": {**network, "init": {"kind": kind, **INIT_OPTIONS.get(kind, {})}}}
    agrees(expand(spec_of_kind(asked))[0].plan, folder)


@pytest.mark.parametrize("function", SHAPES)
def test_every_activation(function: str, folder: Path) -> None:
    asked = {"network": {"kind": "mlp", "hidden": [9, 8], "activation": function}}
    agrees(expand(spec_of_kind(asked))[0].plan, folder)


def test_by_itself_it_prints_its_losses(folder: Path) -> None:
    """In a process of its own, from a folder of its own, without a look at ours."""
    plan = expand(treated("batch_norm"))[1].plan
    file = written(plan, folder)
    printed = run(sys.executable, "-I", file, folder=folder).stdout.splitlines()
    *steps, last = printed
    found = [float(line.split()[-1]) for line in steps]
    expected = [its.loss for its in train(plan, load(plan.dataset, SEED), seed=SEED) if isinstance(its, StepRecord)]
    assert [np.float32(loss) for loss in found] == [np.float32(loss) for loss in expected]
    assert last.startswith("test loss ")


@pytest.mark.parametrize("kind", NETWORKS)
def test_whatever_network_is_asked_for(kind: str, folder: Path) -> None:
    """Parts that nobody thought of together, as far as they can be planned and are quickly trained."""
    dataset = {"kind": "names" if kind == "transformer" else "digits", "standardise": "none"}

    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(network=bodies(NETWORKS[kind].model_json_schema()))
    def checked(network: Json) -> None:
        try:
            plan = expand(spec_of_kind({"network": network, "dataset": dataset}, steps=2))[0].plan
        except ValueError:
            return
        if sum(layer.weights * layer.positions for layer in plan.layers) < MOST_PRODUCTS:
            agrees(plan, folder)

    checked()
