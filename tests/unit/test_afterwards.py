"""What is done once answers are on their way: at once for a call alone, together for many, never never."""

from __future__ import annotations

import asyncio

from cds_wrapper.afterwards import TOGETHER, Afterwards


async def turn() -> None:
    """Let the loop's callbacks run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_for_a_call_alone_it_is_done_at_once() -> None:
    done: list[int] = []
    after = Afterwards(is_alone=lambda: True)
    after.do(done.append, 1)
    assert done == [], "not before the answer is on its way"
    await turn()
    assert done == [1]


async def test_among_others_it_waits_until_there_are_enough_and_keeps_its_order() -> None:
    done: list[int] = []
    after = Afterwards(is_alone=lambda: False)
    for number in range(TOGETHER - 1):
        after.do(done.append, number)
    await turn()
    assert done == []
    after.do(done.append, TOGETHER - 1)
    await turn()
    assert done == list(range(TOGETHER))


async def test_the_last_of_several_calls_leaves_nothing_behind() -> None:
    done: list[int] = []
    others = [True]
    after = Afterwards(is_alone=lambda: not others)
    after.do(done.append, 1)
    others.clear()
    after.do(done.append, 2)
    await turn()
    assert done == [1, 2]


async def test_where_no_other_call_comes_the_time_is_enough() -> None:
    done = asyncio.Event()
    Afterwards(is_alone=lambda: False).do(done.set)
    assert await asyncio.wait_for(done.wait(), timeout=60)


async def test_one_that_fails_keeps_no_other_from_being_done() -> None:
    loop, told, done = asyncio.get_running_loop(), list[object](), list[int]()
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    after = Afterwards(is_alone=lambda: False)
    after.do(done.index, 5)
    after.do(done.append, 1)
    after.do_all()
    await turn()
    assert done == [1] and [type(one) for one in told] == [ValueError]
