"""Files that are there whole or not at all, whatever ends their writing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sdcpp_py.system.atomic_write import PARTIAL, whole_or_absent

KILLED = """
import os, signal, sys
from pathlib import Path
from sdcpp_py.system.atomic_write import whole_or_absent
with whole_or_absent(Path(sys.argv[1]), overwrite=sys.argv[2] == "True") as partial:
    partial.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def can_be_nameless(folder: Path) -> bool:
    """Whether the file system has files without a name."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
    except (OSError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("there", [False, True])
def test_a_process_that_is_killed_while_it_writes_leaves_nothing(
    tmp_path: Path, run_python: Callable[..., CompletedProcess[str]], there: bool
) -> None:
    """Neither a half of the file nor a hidden one; a file that was there is as it was."""
    file = tmp_path / "to" / "picture.png"
    file.parent.mkdir()
    if there:
        file.write_bytes(b"old")
    assert run_python(KILLED, file, there).returncode == -9
    left = sorted(path.name for path in file.parent.iterdir() if path.name != file.name)
    assert left == [] or (not can_be_nameless(tmp_path) and all(name.endswith(PARTIAL) for name in left))
    assert (file.read_bytes() if file.exists() else None) == (b"old" if there else None)


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_is_placed_as_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool) -> None:
    """With a name on the way or none: it is new, or takes another's place, or is refused; errors leave nothing."""
    if not nameless:
        monkeypatch.setattr("sdcpp_py.system.atomic_write._NO_NAME", 0)
    file = tmp_path / "file"
    with whole_or_absent(file, overwrite=False) as partial:
        partial.write_bytes(b"one")
        assert not file.exists()
    with whole_or_absent(file) as partial:
        partial.write_bytes(b"two")
    with pytest.raises(FileExistsError), whole_or_absent(file, overwrite=False) as partial:
        partial.write_bytes(b"three")
    with pytest.raises(TypeError), whole_or_absent(file) as partial:
        partial.write_bytes("four")  # type: ignore[arg-type]
    assert file.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [file]
    plain = tmp_path / "plain"
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_folder_in_its_place_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    """What cannot be replaced stays, and nothing lies beside it."""
    folder = tmp_path / "file"
    folder.mkdir()
    with pytest.raises(OSError, match=r"directory"), whole_or_absent(folder) as partial:
        partial.write_bytes(b"one")
    assert list(tmp_path.iterdir()) == [folder]


def test_where_links_are_forbidden_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a name that may not get one is written anew under its name."""

    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    with whole_or_absent(tmp_path / "file", overwrite=False) as partial:
        partial.write_bytes(b"one")
    assert (tmp_path / "file").read_bytes() == b"one"
    assert len(list(tmp_path.iterdir())) == 1
