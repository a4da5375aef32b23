"""The control groups that this process is in: what a container grants it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def groups_above(controller: str, root: Path = Path("/")) -> Iterator[tuple[Path, int]]:
    """The folders of the groups that a controller ("cpu", "memory") rules this process by, from its own one upwards.

    With each, the version of control groups that it belongs to (1 or 2). None where the system does not say.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        version = 1 if controller in controllers.split(",") else 2
        if controllers and version == 2:
            continue
        top = root / (f"sys/fs/cgroup/{controller}" if version == 1 else "sys/fs/cgroup")
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            yield folder, version
            if folder == top:
                break
