"""A database that nobody reaches for a while, as after a cut cable or while its server starts again."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url

from models.storage.database import Database


@contextmanager
def away(database: Database, server: str) -> Iterator[None]:
    """Its connections are ended and no new one is let in; the ``server`` lives on."""
    name = make_url(database.url).database
    with psycopg.connect(server, autocommit=True) as outside:
        outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
