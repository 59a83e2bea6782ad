"""What a fault is, and whom it may hit."""

from collections.abc import Callable

import psycopg
import redis
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import DBAPIError

from chaos.town import Town, UnderWay

Fault = Callable[[Town], str | None]
"""Strikes once and says what it hit; None: nothing was there to be hit just now."""
AWAY = (DBAPIError, psycopg.Error, BrokerError, redis.RedisError)
"""A fault may find that an earlier one has still not passed."""


def victim_in(town: Town) -> UnderWay | None:
    """A run that is being trained."""
    held = town.under_way()
    return town.dice.choice(held) if held else None
