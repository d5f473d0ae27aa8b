"""Every way in which policy files change is told, on a real file system."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from moderation.adapters.policy_watcher import CHECK_S, PolicyWatcher
from moderation.service.ports import ChangeFeed
from tests.adapters.edits import (
    add,
    delete,
    make,
    put_another_in_its_place,
    read,
    remake_at_once,
    rename_over,
    swap_config_map,
    write_in_place,
)
from tests.adapters.users import an_open_directory, an_ordinary_user
from tests.contracts import ChangeFeedContract
from tests.fakes import PATIENCE_S

NEVER_S = 3600.0
LIVE_S = 1.0
"""How soon an edit has to be live; the watcher may not use it up."""
QUIET_S = 4 * CHECK_S


class TestPolicyWatcher(ChangeFeedContract):
    @pytest.fixture
    def feed(self, directory: Path) -> PolicyWatcher:
        return PolicyWatcher(directory, recheck_s=NEVER_S)

    @pytest.fixture(autouse=True)
    def _remember(self, directory: Path) -> None:
        self._directory = directory

    async def change(self, feed: ChangeFeed) -> None:
        write_in_place(self._directory)

    async def close(self, feed: ChangeFeed) -> None:
        assert isinstance(feed, PolicyWatcher)
        feed.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a policy, and with another one as Kubernetes mounts a ConfigMap."""
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "x.yaml").write_text("id: x\n")
    (directory / "..first").mkdir()
    (directory / "..first" / "y.yaml").write_text("id: y\n")
    (directory / "..data").symlink_to("..first")
    (directory / "y.yaml").symlink_to("..data/y.yaml")
    return directory


class Listener:
    """Counts what a watcher tells, and can wait for more."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    async def listen(self, watcher: PolicyWatcher) -> None:
        async for _ in watcher.changes():
            self._told.set()

    async def is_told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        self._told.clear()
        return True

    async def settled(self) -> None:
        """Until nothing more is told of what has happened so far."""
        while await self.is_told_within(QUIET_S):
            pass


@asynccontextmanager
async def listening(directory: Path, *, recheck_s: float = NEVER_S) -> AsyncIterator[Listener]:
    """A listener to a watcher that has told of its start and is closed afterwards."""
    listener = Listener()
    async with PolicyWatcher(directory, recheck_s=recheck_s) as watcher:
        task = asyncio.create_task(listener.listen(watcher))
        assert await listener.is_told_within(PATIENCE_S)
        yield listener
        watcher.close()
        async with asyncio.timeout(LIVE_S):
            await task


@pytest.mark.parametrize(
    "change",
    [
        write_in_place,
        rename_over,
        add,
        delete,
        swap_config_map,
        remake_at_once,
        put_another_in_its_place,
        shutil.rmtree,
    ],
)
async def test_a_change_is_told_in_time(directory: Path, change: Callable[[Path], None]) -> None:
    async with listening(directory) as listener:
        change(directory)

        assert await listener.is_told_within(LIVE_S)


@pytest.mark.parametrize("change", [remake_at_once, put_another_in_its_place])
async def test_a_directory_in_the_place_of_the_old_one_is_followed(
    directory: Path, change: Callable[[Path], None]
) -> None:
    async with listening(directory) as listener:
        change(directory)
        await listener.settled()

        write_in_place(directory)

        assert await listener.is_told_within(LIVE_S)


async def test_a_directory_that_comes_back_is_told_and_followed(directory: Path) -> None:
    async with listening(directory) as listener:
        shutil.rmtree(directory)
        await listener.settled()

        make(directory)
        is_told_of_the_directory = await listener.is_told_within(LIVE_S)
        await listener.settled()
        write_in_place(directory)

        assert is_told_of_the_directory
        assert await listener.is_told_within(LIVE_S)


async def test_a_link_that_is_turned_to_another_directory_is_followed(tmp_path: Path) -> None:
    for release in ("first", "second"):
        (tmp_path / release).mkdir()
    (tmp_path / "current").symlink_to("first")

    async with listening(tmp_path / "current") as listener:
        (tmp_path / "new").symlink_to("second")
        (tmp_path / "new").replace(tmp_path / "current")
        is_told_of_the_turn = await listener.is_told_within(LIVE_S)
        await listener.settled()
        write_in_place(tmp_path / "second")

        assert is_told_of_the_turn
        assert await listener.is_told_within(LIVE_S)


async def test_a_directory_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    listener = Listener()
    async with PolicyWatcher(tmp_path / "policies", recheck_s=NEVER_S) as watcher:
        task = asyncio.create_task(listener.listen(watcher))
        is_told_of_nothing = await listener.is_told_within(QUIET_S)

        (tmp_path / "policies").mkdir()

        assert not is_told_of_nothing
        assert await listener.is_told_within(LIVE_S)
    await task


async def test_what_editors_and_git_leave_around_is_not_told(directory: Path) -> None:
    async with listening(directory) as listener:
        for name in (".x.yaml.swp", "4913", "x.yaml~", "#x.yaml#", "README.md"):
            (directory / name).write_text("noise")
        (directory / ".git").mkdir()

        assert not await listener.is_told_within(QUIET_S)


async def test_files_of_another_ending_are_followed_even_in_a_directory_still_to_come(
    tmp_path: Path,
) -> None:
    listener = Listener()
    directory = tmp_path / "calibration" / "encoder"
    async with PolicyWatcher(directory, recheck_s=NEVER_S, suffixes=(".json",)) as watcher:
        task = asyncio.create_task(listener.listen(watcher))
        directory.mkdir(parents=True)
        is_told_of_the_directory = await listener.is_told_within(LIVE_S)
        await listener.settled()

        (directory / "x.yaml").write_text("no calibration")
        is_told_of_another = await listener.is_told_within(QUIET_S)
        (directory / "x.json").write_text("{}")

        assert is_told_of_the_directory
        assert not is_told_of_another
        assert await listener.is_told_within(LIVE_S)
    await task


async def test_reading_the_files_is_no_change(directory: Path) -> None:
    async with listening(directory) as listener:
        read(directory)

        assert not await listener.is_told_within(QUIET_S)


async def test_a_change_is_assumed_now_and_then(directory: Path) -> None:
    async with listening(directory, recheck_s=CHECK_S) as listener:
        told = [await listener.is_told_within(PATIENCE_S) for _ in range(3)]

    assert told == [True, True, True]


async def test_a_directory_that_cannot_be_watched_is_still_looked_at_now_and_then() -> None:
    with an_open_directory() as directory:
        os.chmod(directory, 0o711)
        with an_ordinary_user():
            async with listening(directory, recheck_s=CHECK_S) as listener:
                told = [await listener.is_told_within(PATIENCE_S) for _ in range(2)]

    assert told == [True, True]


async def test_many_writes_at_once_are_few_changes(directory: Path) -> None:
    told = 0
    watcher = PolicyWatcher(directory, recheck_s=NEVER_S)
    async with watcher, aclosing(watcher.changes()) as changes:
        await anext(changes)
        for number in range(200):
            (directory / f"{number}.yaml").write_text("id: x\n")
        while await is_more(changes):
            told += 1

    assert 1 <= told <= 50


async def is_more(changes: AsyncIterator[None]) -> bool:
    """Whether a change is told before it has been quiet for a while; closes the feed if not."""
    try:
        async with asyncio.timeout(QUIET_S):
            await anext(changes)
    except (TimeoutError, StopAsyncIteration):
        return False
    return True


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_closed_watcher_ends_at_once(directory: Path, is_there: bool) -> None:
    if not is_there:
        shutil.rmtree(directory)
    listener = Listener()
    watcher = PolicyWatcher(directory, recheck_s=NEVER_S)
    task = asyncio.create_task(listener.listen(watcher))
    await listener.settled()

    started = monotonic()
    watcher.close()
    watcher.close()
    await task

    assert monotonic() - started < 0.2


async def test_a_cancelled_listener_ends_at_once(directory: Path) -> None:
    listener = Listener()
    task = asyncio.create_task(listener.listen(PolicyWatcher(directory, recheck_s=NEVER_S)))
    await listener.settled()

    started = monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert monotonic() - started < 0.2


async def test_a_watcher_that_was_closed_before_tells_nothing(directory: Path) -> None:
    watcher = PolicyWatcher(directory, recheck_s=NEVER_S)
    watcher.close()

    assert [change async for change in watcher.changes()] == []
