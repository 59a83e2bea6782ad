"""The keys that open, as the database had them a moment ago, and when each was used last."""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Final

from fastapi.concurrency import run_in_threadpool

from models.owners import keys
from models.owners.keys import PREFIX, Held, digest_of
from models.owners.quotas import Quota
from models.storage.database import Database

KNOWN_FOR_S: Final = 2.0
"""A key that was made, rotated or removed by another process counts here within this time."""
NOTED_EVERY_S: Final = 60.0


class Keyring:
    """All keys at once, read anew when somebody asks and ``known_for_s`` have passed. A key that is not among them
    costs a look into a dictionary: whoever sends unknown ones fills neither memory nor the database's time. ``usual``:
    what an owner may have for whom nothing else was set.
    """

    def __init__(self, database: Database, usual: Quota, known_for_s: float = KNOWN_FOR_S) -> None:
        self._database = database
        self._usual = usual
        self._known_for_s = known_for_s
        self._held: Mapping[bytes, Held] = {}
        self._read_at = float("-inf")
        self._reading = threading.Lock()
        self._used: set[uuid.UUID] = set()

    async def holder(self, secret: str) -> Held | None:
        """Whose it is. None: it opens nothing."""
        if not secret.startswith(PREFIX):
            return None
        if self._is_old():
            await run_in_threadpool(self._read)
        held = self._held.get(digest_of(secret))
        if held is not None:
            self._used.add(held.key_id)
        return held

    async def still_opens(self, key_id: uuid.UUID) -> bool:
        """For what lasts longer than a request should: whether a key may go on."""
        if self._is_old():
            await run_in_threadpool(self._read)
        return any(held.key_id == key_id for held in self._held.values())

    def forget(self) -> None:
        """What was read is outdated: a change was committed."""
        # Under the lock: what is being read may have begun before that commit.
        with self._reading:
            self._read_at = float("-inf")

    def note_uses(self) -> None:
        """Write down which keys were used since the last time. Apart from requests, which wait for none of it."""
        # Taken out first: a use during the write counts for the next one. What a failed write has taken is forgotten.
        used, self._used = self._used, set()
        if used:
            with self._database.begin() as session:
                keys.note_use(session, list(used))

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at >= self._known_for_s

    def _read(self) -> None:
        """Once for all who wait."""
        with self._reading:
            if not self._is_old():
                return
            # From when it began: what changes while it is read is then as old as what changed just before.
            began = time.monotonic()
            with self._database.begin() as session:
                self._held = {held.digest: held for held in keys.alive(session, self._usual)}
            self._read_at = began
