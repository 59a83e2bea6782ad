"""One upload is read at a time; who waits takes no thread, and is told where the line is long."""

import asyncio

import pytest

from api.http.errors import ApiError
from api.uploads import reading
from api.uploads.reading import Turns


def test_turns_come_one_by_one_and_a_long_line_is_a_503() -> None:
    turns, inside, most = Turns(), 0, 0

    async def take() -> None:
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def try_all() -> None:
        async with asyncio.TaskGroup() as tasks, turns.turn():
            for _ in range(reading.MOST_WAITING):
                tasks.create_task(take())
            await asyncio.sleep(0)
            with pytest.raises(ApiError) as caught:
                await take()
            assert caught.value.status_code == 503
            assert caught.value.headers == {"Retry-After": "10"}
        await take()

    asyncio.run(try_all())
    assert most == 1


def test_who_gives_up_leaves_the_line() -> None:
    turns = Turns()

    async def wait() -> None:
        async with turns.turn():
            pass

    async def give_up() -> None:
        async with turns.turn():
            for _ in range(3 * reading.MOST_WAITING):
                task = asyncio.create_task(wait())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        await wait()

    asyncio.run(give_up())
