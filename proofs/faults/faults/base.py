"""What a fault is, and which run it may hit."""

from collections.abc import Callable

import psycopg
import redis
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import DBAPIError

from proofs.faults.target import Target, UnderWay

Fault = Callable[[Target], str | None]
"""Strikes once and returns what it hit; None: there was nothing to hit just now."""
AWAY = (DBAPIError, psycopg.Error, BrokerError, redis.RedisError)
"""Errors of a fault that meets the effects of an earlier one."""


def victim_in(target: Target) -> UnderWay | None:
    """A run that is being trained."""
    held = target.under_way()
    return target.rng.choice(held) if held else None
