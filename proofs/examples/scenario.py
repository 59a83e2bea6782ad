"""A client that asks a clinic for everything once, so that each shape of its answers is seen filled."""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

import httpx
import numpy as np

from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array

Json = dict[str, Any]
DEEP: Final[Json] = {"kind": "mlp", "depth": 12, "width": 16, "activation": "sigmoid"}
"""In so few steps it does not train as it is: there is something to be named, and to be repaired."""
STEPS: Final = 200
SMALL: Final[Json] = {
    "name": "deep sigmoid",
    "labels": {"team": "vision"},
    "dataset": {"kind": "digits"},
    "network": DEEP,
    "optimizer": {"kind": "adam"},
    "steps": STEPS,
    "seeds": [0, 1],
    "remedies": [{"kind": "batch_norm"}],
}
EXPERIMENTS: Final[dict[str, Json]] = {
    "trial": SMALL,
    "factorial": SMALL
    | {"remedies": [{"kind": "batch_norm"}, {"kind": "residual"}], "design": "full_factorial", "seeds": {"count": 2}},
    "suggested": SMALL | {"remedies": "suggest"},
    "tuned": SMALL | {"steps": 20, "tune": {"learning_rate": [0.001, 0.01], "seeds": [9]}},
    "over time": SMALL
    | {
        "dataset": {"kind": "japanese_vowels", "standardise": "feature"},
        "network": {"kind": "rnn", "cell": "tanh", "width": 8},
        "remedies": [{"kind": "lstm"}],
    },
    "diverges": SMALL
    | {
        "network": {"kind": "mlp", "depth": 8, "width": 16, "activation": "relu"},
        "loss": "mse",
        "optimizer": {"kind": "sgd", "learning_rate": 1000.0},
        "stop_when": {"nonfinite_steps": 2},
        "remedies": [],
    },
    # Narrow and deep: some of its seeds die.
    "two groups": SMALL
    | {
        "network": {"kind": "mlp", "depth": 10, "width": 4, "activation": "relu"},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "steps": 400,
        "seeds": {"count": 12},
        "remedies": [],
    },
    "both train": {its: SMALL[its] for its in SMALL if its != "remedies"}
    | {
        "network": {"kind": "mlp", "depth": 3, "width": 16, "activation": "relu"},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "seeds": {"count": 4},
        "variants": [{"name": "normed", "remedies": [{"kind": "layer_norm"}]}],
    },
    # A bound that no gradient reaches: the comparison of runs that are alike bit for bit has a shape of its own.
    "changes nothing": SMALL | {"steps": 20, "remedies": [{"kind": "clip_norm", "max_norm": 1e6}]},
}


class Scenario:
    """``ask`` asks, and hands on what was asked and answered."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = self._http.request(method, path, json=body, **more)
        assert response.is_success, (method, path, response.text)
        return response.json() if response.content and "json" in response.headers["content-type"] else None

    def run(self) -> None:
        # All at once and first: they train while the rest is asked.
        made = {name: self.ask("POST", "/v1/experiments", spec) for name, spec in EXPERIMENTS.items()}
        self._keys_and_owners()
        self._data()
        self._before()
        for experiment in made.values():
            self._ended(experiment)
        for experiment in made.values():
            self._read(experiment)
        self._behind(made["trial"])
        self._together([its["id"] for its in made.values()][:2])
        self._ingested()
        self._logged()
        self._webhooks()
        self.ask("GET", "/v1/experiments", params={"page_size": 1})
        self.ask("GET", "/v1/audit", params={"page_size": 2})
        self.ask("GET", "/healthz")
        self.ask("GET", "/readyz")

    def _ended(self, experiment: Json) -> None:
        path = f"/v1/experiments/{experiment['id']}"
        while not (done := self.ask("GET", f"{path}/done"))["done"]:
            # A pause in which every change is told.
            self._http.get("/v1/events", params={"wait": 1}).raise_for_status()
        assert done["state"] in {"succeeded", "cancelled"}, done

    def _read(self, experiment: Json) -> None:
        path = f"/v1/experiments/{experiment['id']}"
        self.ask("GET", path)
        self.ask("GET", f"{path}/comparison")
        self.ask("GET", f"{path}/curves", params={"points": 2})
        self.ask("POST", f"{path}/judge")
        self.ask("GET", f"{path}/runs/brief", params={"page_size": 2})
        runs = self.ask("GET", f"{path}/runs", params={"page_size": 2})["items"]
        for run in runs:
            self.ask("GET", f"/v1/runs/{run['id']}")
            self.ask("GET", f"/v1/runs/{run['id']}/diagnosis")
            self.ask("GET", f"/v1/runs/{run['id']}/early", params={"step": 50})
            self.ask("GET", f"/v1/runs/{run['id']}/trace", params={"signal": "activation_gradient_rms", "points": 2})
            self.ask("GET", f"/v1/runs/{run['id']}/curves", params={"points": 2})
        # Its end closes it; what is told is heard by whoever holds the client's hooks.
        self._http.get(f"{path}/events").raise_for_status()

    def _behind(self, experiment: Json) -> None:
        asked = SMALL | {"remedies": "suggest", "suggest_from": experiment["id"]}
        following = self.ask("POST", "/v1/experiments", asked)
        self._ended(following)
        self.ask("GET", f"/v1/experiments/{following['id']}/comparison")

    def _together(self, ids: list[str]) -> None:
        self.ask("POST", "/v1/comparisons", {"experiment_ids": ids})

    def _before(self) -> None:
        """What is asked before anything is trained."""
        self.ask("POST", "/v1/experiments/validate", SMALL)
        # The last depth is refused: an answer of a batch shows an item of each fate.
        sweep = {"items": [SMALL | {"steps": 0, "seeds": [0]}], "sweep": {"network.depth": [4, 6, 10**6]}}
        self.ask("POST", "/v1/experiments/batch", sweep)
        self.ask("POST", "/v1/experiments/batch", {"items": [SMALL | {"steps": 0, "idempotency_key": "night-43"}]})
        # A fixed date beyond any recording, so that the file changes only where the service does.
        budget = {"max_parallel": 1, "budget": {"device_seconds": 600}, "end_before": "2999-01-01T00:00:00Z"}
        self.ask("POST", "/v1/experiments/batch", {"items": [SMALL | {"steps": 0} | budget]})
        self.ask("POST", "/v1/predictions", {"network": DEEP, "batch_size": 128})
        tokens = {"form": "sequence", "size": [20, 12]}
        self.ask("POST", "/v1/predictions", {"network": {"kind": "rnn", "width": 8, "cell": "tanh"}, "input": tokens})
        for name in ("networks", "remedies", "datasets", "optimizers", "inits"):
            self.ask("GET", f"/v1/catalogue/{name}")

    def _data(self) -> None:
        # Columns of sizes so far apart that the facts name them.
        rows = "\n".join(["x,y,side", *(f"{x},{1000 * x * x},{'in' if x % 3 else 'out'}" for x in range(60))])
        table = {"file": ("points.csv", rows.encode(), "text/csv")}
        self.ask("PUT", "/v1/datasets/points", files=table, params={"target": "side"})
        self.ask("GET", "/v1/datasets/points")
        self.ask("GET", "/v1/datasets")

    def _keys_and_owners(self) -> None:
        asked = {"owner": "ada", "name": "night runs", "scopes": ["read", "submit"], "reads": ["bob"]}
        key = self.ask("POST", "/v1/keys", asked | {"expires_at": "2999-01-01T00:00:00Z"})
        self.ask("POST", f"/v1/keys/{key['id']}/rotate", {"overlap_s": 3600})
        self.ask("GET", f"/v1/keys/{key['id']}")
        self.ask("GET", "/v1/keys")
        limits = {"queued_runs": 500, "device_seconds_per_day": 36000, "stored_bytes": 10**9}
        self.ask("PUT", "/v1/quota", limits | {"requests_per_minute": 600}, params={"owner": "ada"})
        self.ask("GET", "/v1/quota", params={"owner": "ada"})

    def _webhooks(self) -> None:
        # A name that is reserved for examples leads nowhere: the attempt fails, is shown, and tells nobody.
        hook = self.ask("POST", "/v1/webhooks", {"url": "https://ci.example/clinic", "events": ["experiment.ended"]})
        path = f"/v1/webhooks/{hook['id']}"
        self.ask("PATCH", path, {"events": ["experiment.ended", "run.ended"]})
        sent = self.ask("POST", f"{path}/ping")
        while not self.ask("GET", f"{path}/deliveries/{sent['id']}")["attempts"]:
            time.sleep(1)
        self.ask("GET", f"{path}/deliveries")
        self.ask("GET", "/v1/webhooks")

    def _ingested(self) -> None:
        """As a watch sends it, of 8 steps."""
        layers = [{"name": f"hidden.{at}", "role": "hidden", "activation": {"function": "tanh"}} for at in range(3)]
        network: Json = {
            "kind": "mlp",
            "layers": [*layers, {"name": "output", "role": "output"}],
            "setup": {
                "activation": {"function": "tanh"},
                "batch_size": 64,
                "first_layer_gain": 1.0,
                "weight_gains": [{"layer": "hidden.0", "gain": 1.0, "usual": 1.0}],
            },
            "parameters": 1234,
            "optimizer": "Sgd",
            "every": 1,
        }
        token, random = str(uuid.uuid4()), np.random.default_rng(0)
        asked = {"token": token, "experiment": "theirs", "network": network, "writer": "host:1"}
        run = self.ask("POST", "/v1/ingest/runs", asked)
        told = dict(_packed(random, len(network["layers"])))
        self.ask("PUT", f"/v1/ingest/runs/{run['run_id']}/records/0", told | {"token": token})
        ended = {"token": token, "steps": 8, "conditions": "sgd 0.1, 8 steps so far"}
        self.ask("POST", f"/v1/ingest/runs/{run['run_id']}/end", ended)

    def _logged(self) -> None:
        """As the import of a log sends it, of 8 steps and two evaluations."""
        network: Json = {"kind": "unknown", "layers": [], "curves": ["loss"], "parameters": 0, "optimizer": "unknown"}
        token, losses = str(uuid.uuid4()), np.linspace(2.3, 0.5, 8)
        asked = {"token": token, "experiment": "a log", "network": network, "writer": "host:1"}
        run = self.ask("POST", "/v1/ingest/runs", asked)
        told = {"signals": "", "curves": _sent(losses), "token": token}
        self.ask("PUT", f"/v1/ingest/runs/{run['run_id']}/records/0", told)
        evaluations = {"steps": [3, 7], "loss": _sent(losses[[3, 7]])}
        ended = {"token": token, "steps": 8, "conditions": "by the log run.csv", "evaluations": evaluations}
        self.ask("POST", f"/v1/ingest/runs/{run['run_id']}/end", ended)


def _sent(values: Array) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _packed(random: np.random.Generator, layers: int) -> Iterator[tuple[str, str]]:
    signals = random.random((8, len(SIGNALS), layers)).astype("<f4")
    curves = random.random((8, len(CURVES))).astype("<f8")
    for name, values in (("signals", signals), ("curves", curves)):
        yield name, base64.b64encode(values.tobytes()).decode()


def events(stream: str) -> Iterator[tuple[str, Json]]:
    """(name, data) of a stream that has ended."""
    for told in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in told.splitlines() if not line.startswith(":"))
        if "data" in fields:
            yield fields["event"], json.loads(fields["data"])
