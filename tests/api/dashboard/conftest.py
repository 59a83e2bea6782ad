"""A real Chromium before a real API with stored experiments. Where there is no Chromium these tests are skipped, with
one line; with ``REQUIRE_CHROMIUM`` set, as in CI, they fail.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright
from pydantic import SecretStr

from api.app import create_app
from api.server import Server
from gradient_clinic.signals import CURVES, SIGNALS
from gradient_clinic.values import Array
from local.ports import free_port
from models.settings import Settings
from models.storage.database import Database
from tests.api import made
from tests.api.conftest import ADDRESS
from tests.conftest import scratch_database
from tests.eventually import eventually
from tests.processes import Births

CHROMIUM = shutil.which("chromium")
MISSING = "no Chromium on PATH: apt-get install chromium, and the dashboard is tested in it"
HOSTILE = "<img src=x onerror=alert(1)> & </script><script>alert(2)</script>"
PATIENCE_MS = 60_000
"""Of a busy machine, which is no fault of a page."""
STEPS = 40
BROKEN_STEP, SPIKE_STEP = 3, 23_457
SPIKE = 77.0
Json = dict[str, Any]


@dataclass
class Served:
    """The service on a port of its own, which can go away and come back."""

    url: str
    data_dir: Path
    key: str | None = None
    _running: tuple[Server, threading.Thread] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        return int(self.client.base_url.port or 0)

    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        self.client = httpx2.Client(base_url=f"{ADDRESS}:{free_port('127.0.0.1')}", headers=headers, trust_env=False)

    @property
    def address(self) -> str:
        return f"{ADDRESS}:{self.port}"

    def start(self) -> None:
        key = None if self.key is None else SecretStr(self.key)
        settings = Settings(database_url=SecretStr(self.url), data_dir=self.data_dir, api_key=key)
        server = Server(create_app(settings), "127.0.0.1", self.port)
        thread = threading.Thread(target=server.run)
        thread.start()
        assert eventually(lambda: server.started)
        self._running = server, thread

    def stop(self) -> None:
        assert self._running is not None
        server, thread = self._running
        server.should_exit = True
        thread.join()
        self._running = None


@dataclass(frozen=True)
class Stored:
    """A clinic and what is in it, by its role in the tests."""

    served: Served
    database: Database
    sick: Json
    """Five variants over three seeds: gradients vanish in the baseline."""
    broken: Json
    """Not finite from a step and layer that are known, a row that is exactly zero, and a name that would be markup."""
    long: Json
    """So many steps that they are shown in buckets, with one spike."""

    def tidy(self) -> None:
        """Only these three stay."""
        ours = {self.sick["id"], self.broken["id"], self.long["id"]}
        for one in self.served.client.get("/v1/experiments").json()["items"]:
            if one["id"] not in ours:
                self.served.client.post(f"/v1/experiments/{one['id']}/cancel")
                self.served.client.delete(f"/v1/experiments/{one['id']}").raise_for_status()


@pytest.fixture(scope="session")
def stored(postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with scratch_database(postgres_server, template_database) as url:
        served, database = Served(url, tmp_path_factory.mktemp("data")), Database(url)
        served.start()
        try:
            yield Stored(served, database, *(fill(served.client, database) for fill in (_sick, _broken, _long)))
        finally:
            if served._running is not None:  # noqa: SLF001 -- a test may have failed while it was away
                served.stop()
            served.client.close()
            database.dispose()


def _sick(client: httpx2.Client, database: Database) -> Json:
    network = {"kind": "mlp", "depth": 12, "width": 8, "activation": "sigmoid"}
    remedies: list[Json] = [
        {"kind": "l2", "strength": 0.001},
        {"kind": "batch_norm"},
        {"kind": "activation", "function": "relu"},
    ]
    asked = made.submit(
        client, name="sick", network=network, remedies=remedies, seeds=[0, 1, 2], steps=STEPS, labels={"team": "vision"}
    )
    for at, run_id in enumerate(made.run_ids(database, asked)):
        made.train(database, run_id, (-2.2, -2.1, 0.05, 0.02)[at % 4], test_metric=(0.1, 0.12, 0.9, 0.8)[at % 4])
    return asked


def _broken(client: httpx2.Client, database: Database) -> Json:
    asked = made.submit(client, name=HOSTILE, labels={HOSTILE: HOSTILE}, seeds=[0], steps=STEPS)
    lease, plan = made.claim(database, made.run_ids(database, asked)[0])
    signals = made.values(plan, 1.5)
    signals[SIGNALS.index("activation_gradient_rms"), 0, 1] = 0.0
    signals[SIGNALS.index("activation_gradient_rms"), 1:, BROKEN_STEP:] = np.nan
    signals[SIGNALS.index("nonfinite_count"), 1:, BROKEN_STEP:] = 8.0
    made.write(database, lease, plan, signals, ended=True)
    made.finish(database, lease, plan)
    return asked


def _long(client: httpx2.Client, database: Database) -> Json:
    asked = made.submit(client, name="long", seeds=[0], steps=30_000)
    lease, plan = made.claim(database, made.run_ids(database, asked)[0])
    signals = made.values(plan, 0.1)
    signals[SIGNALS.index("weight_norm"), 1, SPIKE_STEP] = SPIKE
    curves: Array = np.ones((len(CURVES), signals.shape[-1]))
    curves[CURVES.index("loss"), SPIKE_STEP] = SPIKE
    made.write(database, lease, plan, signals, curves, ended=True)
    made.finish(database, lease, plan)
    return asked


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Here and not in a fixture, so that all that are skipped are one line of the summary."""
    if "browser" not in getattr(item, "fixturenames", ()) or CHROMIUM is not None:
        return
    if os.environ.get("REQUIRE_CHROMIUM"):  # noqa: TID251 -- CI's own, no setting of the clinic
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@pytest.fixture(scope="module")
def browser(births: Births) -> Iterator[Browser]:
    before = set(psutil.Process().children())
    with sync_playwright() as playwright:
        # Chromium's own sandbox wants rights that root in a container has not; it sees no page but ours.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        started = [child.pid for child in set(psutil.Process().children()) - before]
        births.spare(lambda: started)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Someone before a page: what they open, and everything that the browser complained of."""

    context: BrowserContext
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, hash_: str = "") -> Page:
        self.page.goto(f"{self.address}/dashboard/{hash_}")
        return self.page

    def hears(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.type}: {message.text}")

    def fails(self, error: Error) -> None:
        self.complaints.append(str(error))


@pytest.fixture
def visitor(browser: Browser, stored: Stored) -> Iterator[Visitor]:
    """Whatever a test does, the console stays empty. What it has made goes once nobody looks at it any more."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(context, page, stored.served.address)
        page.on("console", visitor.hears)
        page.on("pageerror", visitor.fails)
        yield visitor
    stored.tidy()
    assert visitor.complaints == []


def run_of(stored: Stored, experiment: Json, variant: str = "baseline") -> Json:
    """Its first run of this variant, as the API tells it."""
    answer = stored.served.client.get(f"/v1/experiments/{experiment['id']}/runs")
    items: Sequence[Json] = answer.json()["items"]
    return next(run for run in items if run["variant"] == variant)


def accessible(page: Page) -> None:
    """axe finds nothing, by its own rules of WCAG 2.2 A and AA; it runs past the page's policy, as a debugger does."""
    page.evaluate(axe())
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
    assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]] == []


@cache
def axe() -> str:
    """From the wheel of axe-playwright-python, whose Python is not used."""
    (script,) = [file for file in files("axe-playwright-python") or () if file.name == "axe.min.js"]
    return Path(str(script.locate())).read_text()
