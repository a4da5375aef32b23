"""Hashes of files, which are kept while the file stays as it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sdcpp_py.system import file_hash
from sdcpp_py.system.file_hash import sha256_of


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file under any name is known; one with other bytes or another time is read anew."""
    monkeypatch.setattr(file_hash, "_known", {})
    file, data = tmp_path / "a", b"x" * (3 << 20) + b"y"
    file.write_bytes(data)
    assert sha256_of(file) == hashlib.sha256(data).hexdigest()
    [identity] = file_hash._known
    file_hash._known[identity] = "known"
    (tmp_path / "b").symlink_to(file)
    assert sha256_of(file) == sha256_of(tmp_path / "b") == "known"
    os.utime(file, ns=(0, 12_345))
    assert sha256_of(file) == hashlib.sha256(data).hexdigest()
    file.write_bytes(b"z")
    assert sha256_of(file) == hashlib.sha256(b"z").hexdigest()


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """An OSError, for the caller to name the file's part in."""
    with pytest.raises(OSError):
        sha256_of(tmp_path / "none")
    with pytest.raises(OSError):
        sha256_of(tmp_path)
