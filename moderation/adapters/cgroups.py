"""What the cgroups around this process allow it: where their files are, and how much CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Group:
    """One group of one controller, in version 1 or 2 of cgroups."""

    directory: Path
    version: int


def groups_of(controller: str, *, cgroups: Path = CGROUPS, proc: Path = PROC) -> Iterator[Group]:
    """From the inside out. In a container the group's path is not seen, only its root."""
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, version = cgroups, 2
        elif controller in controllers.split(","):
            root, version = cgroups / controller, 1
        else:
            continue
        innermost = root / path.lstrip("/")
        for directory in (innermost, *innermost.parents):
            if directory.is_relative_to(root):
                yield Group(directory, version)


def cpu_quota(*, cgroups: Path = CGROUPS, proc: Path = PROC) -> float | None:
    """So many cores' time do the groups allow, the strictest decides; None without a limit."""
    found = (_quota(group) for group in groups_of("cpu", cgroups=cgroups, proc=proc))
    return min((quota for quota in found if quota is not None), default=None)


def _quota(group: Group) -> float | None:
    try:
        if group.version == 2:
            quota, period = (group.directory / "cpu.max").read_text().split()
        else:
            quota = (group.directory / "cpu.cfs_quota_us").read_text()
            period = (group.directory / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None
