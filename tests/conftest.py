"""What every test may ask for: a real PostgreSQL and Redis of this session's own, and a database of the test's own.

``CLINIC_TEST_DATABASE_URL`` and ``CLINIC_TEST_REDIS_URL`` name servers to use instead. Everything else that the
user has set for their own clinic is hidden from the tests.
"""

import gc
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import hypothesis
import psycopg
import pytest
import redis
import structlog
from sqlalchemy.engine import make_url

from local import migrations
from local.cluster import Cluster, prepare
from local.folder import Folder
from local.postgres import EmbeddedPostgres
from local.privileges import server_account
from local.redis import EmbeddedRedis
from local.server import Server, start
from models.storage.database import Database
from tests import processes
from tests.limits import Limits
from tests.processes import Births
from tests.reach import reaches
from tests.spares import Spares

ROOT = Path(__file__).parent.parent
hypothesis.settings.register_profile(
    "clinic",
    deadline=None,  # how long an example takes says something of the machine, not of the code
    # So does how long its making takes. And the tests make what must be new for each example themselves.
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("clinic")

# Its usual tracebacks are coloured and hold every local variable: a third of a second for each.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])

# Read before any test, as the user's CLINIC_… variables are removed here for good.
SERVERS = {name: os.environ.get(f"CLINIC_TEST_{name}") for name in ("DATABASE_URL", "REDIS_URL")}  # noqa: TID251
# torch makes a cache folder when an optimiser is built: inside the project, please.
os.environ["OMP_NUM_THREADS"] = "1"  # noqa: TID251 -- two processes of tests share two cores
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / ".pytest_cache" / "torch"))  # noqa: TID251
for name in [name for name in os.environ if name.startswith("CLINIC_")]:  # noqa: TID251 -- as above
    del os.environ[name]  # noqa: TID251 -- as above


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Limits(runs_tests=not config.getoption("numprocesses", None)), "limits")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--perturbed", type=int, help="train from weights moved by 1e-6, by this seed (make processors)")


@pytest.hookimpl(tryfirst=True)  # before pytest's own that selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that can train are known by what they import. The longest tests first: at the end they would leave a core
    idle.
    """
    for item in items:
        if isinstance(item, pytest.Function) and reaches(item.module, "worker.trainer"):
            item.add_marker("trains")
    items.sort(key=lambda item: item.get_closest_marker("end_to_end") is None)


def pytest_collection_finish() -> None:
    """All that was imported and collected stays: a search for garbage need not go through it again and again.
    (statsmodels asks for one in each correction, Hypothesis in each test.)
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _kept() -> None:
    """What the modules before have made stays too (schemas, strategies, an app): a search goes through one module's."""
    gc.freeze()


@pytest.fixture(scope="session")
def births() -> Births:
    return Births()


@pytest.fixture(autouse=True)
def _nothing_left(births: Births) -> Iterator[None]:
    """A test that fails may have started what it would have ended later. What serves several tests began before."""
    with births.ended():
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Of the embedded PostgreSQL, made once: what begins with a folder of its own begins with a copy."""
    folder = Folder.temporary(ROOT, ".clinic-test-")
    yield prepare(folder.path, server_account(), durable=False)
    folder.release()


def with_copy(folder: Folder, cluster: Cluster) -> Folder:
    """A server writes to its data, so they are copied, owner and all; its programs are linked."""
    if cluster.home.parent.parent == folder.path.parent:  # elsewhere no copy would be found: one is made as by users
        home = folder.path / cluster.home.name
        home.mkdir()
        shutil.copystat(cluster.home, home)
        for part in cluster.home.iterdir():
            if part.name.startswith("server-"):
                shutil.copytree(part, home / part.name, copy_function=os.link)
            else:
                processes.run("/bin/cp", "-a", "--", part, home)
    return folder


@pytest.fixture(scope="session")
def session_folder(cluster: Cluster) -> Iterator[Folder]:
    folder = with_copy(Folder.temporary(ROOT, ".clinic-test-"), cluster)
    yield folder
    folder.release()


@contextmanager
def running(server: Server) -> Iterator[str]:
    child = start(server)
    try:
        yield server.url
    finally:
        child.stop()


@pytest.fixture(scope="session")
def postgres_server(session_folder: Folder) -> Iterator[str]:
    """The URL of a server on which the tests may make databases."""
    given = SERVERS["DATABASE_URL"]
    if given is not None:
        yield given
        return
    with running(EmbeddedPostgres(session_folder, durable=False)) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server(session_folder: Folder) -> Iterator[str]:
    given = SERVERS["REDIS_URL"]
    if given is not None:
        # Tests empty their database, so processes that run side by side each have one of their own.
        number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")  # noqa: TID251
        yield make_url(given).set(database=number).render_as_string(hide_password=False)
        return
    with running(EmbeddedRedis(session_folder)) as url:
        yield url


@contextmanager
def scratch_database(server: str, template: str | None = None) -> Iterator[str]:
    """A database that is dropped afterwards, by force where somebody is still connected."""
    name = f"clinic_test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> Iterator[str]:
    """The name of a database that the real migrations have built; tests get copies."""
    with scratch_database(postgres_server) as url:
        migrations.upgrade(url)
        database = make_url(url).database
        assert database is not None
        yield database


@pytest.fixture(scope="session")
def spare_databases(postgres_server: str, template_database: str) -> Iterator[Spares]:
    with ExitStack() as to_drop:
        spares = Spares(lambda: to_drop.enter_context(scratch_database(postgres_server, template_database)))
        to_drop.callback(spares.close)
        yield spares


@pytest.fixture
def database_url(spare_databases: Spares) -> Iterator[str]:
    with spare_databases.one() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture(autouse=True)
def moved_weights(request: pytest.FixtureRequest) -> Iterator[None]:
    """With ``--perturbed`` whatever ``proofs.outcomes.running`` trains starts beside its weights."""
    seed = request.config.getoption("perturbed")
    if seed is None or request.node.get_closest_marker("trains") is None:
        yield
        return
    from proofs.outcomes.running import train_here, trained_by  # noqa: PLC0415 -- torch, which most tests never load

    with trained_by(partial(train_here, perturbed=seed)):
        yield
