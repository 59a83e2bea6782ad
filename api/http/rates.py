"""How many requests an owner may send in a minute, counted in this process's memory.

Not in Redis, which the API does without: of several processes each allows the whole number.
"""

import math
import time
from http import HTTPStatus

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.http.callers import Caller
from api.http.errors import ApiError

Headers = dict[str, str]


class Rates:
    """By owner, whichever of its keys it sends: a minute begins with the first request after the last one."""

    def __init__(self) -> None:
        # Two numbers for each owner. The price: around the border of two minutes twice as many may come.
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, caller: Caller) -> Headers:
        """One request more. What its answer says of the limit; nothing where there is none. ApiError 429 beyond it."""
        if caller.quota is None or caller.quota.requests_per_minute is None:
            return {}
        limit = RateLimitItemPerMinute(caller.quota.requests_per_minute)
        allowed = self._limiter.hit(limit, caller.owner)
        window = self._limiter.get_window_stats(limit, caller.owner)
        # At least 1: after 0 s a client would come again within the same window.
        left_s = max(1, math.ceil(window.reset_time - time.time()))
        headers = {
            "RateLimit-Limit": str(limit.amount),
            "RateLimit-Remaining": str(window.remaining),
            "RateLimit-Reset": str(left_s),
            "RateLimit-Policy": f"{limit.amount};w=60",
        }
        if not allowed:
            detail = f"{caller.owner} may send {limit.amount:,} requests in a minute; the next one begins in {left_s} s"
            headers |= {"Retry-After": str(left_s)}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=headers)
        return headers
