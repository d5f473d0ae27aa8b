"""What works and what waits, counted from several threads."""

from concurrent.futures import ThreadPoolExecutor

from moderation.service.pools import Pool, Task


def test_a_task_waits_until_it_is_worked_on() -> None:
    pool = Pool(2)
    seen = []

    with pool.asked() as task:
        seen.append((pool.waiting, pool.busy))
        with task.working():
            seen.append((pool.waiting, pool.busy))
        seen.append((pool.waiting, pool.busy))

    assert (pool.size, seen) == (2, [(1, 0), (0, 1), (0, 0)])


def test_one_that_nobody_wants_any_more_waits_no_longer_and_still_keeps_its_worker_busy() -> None:
    pool = Pool(1)

    with pool.asked(), pool.asked() as begun:
        working = begun.working()
        working.__enter__()
    left = pool.waiting, pool.busy
    working.__exit__(None, None, None)

    assert (left, pool.busy) == ((0, 1), 0)


def test_threads_lose_no_count() -> None:
    pool = Pool(8)

    def work(task: Task) -> None:
        with task.working():
            pass

    def ask() -> None:
        for _ in range(2000):
            with pool.asked() as task:
                work(task)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(ask) for _ in range(8)]:
            done.result()

    assert (pool.waiting, pool.busy) == (0, 0)
