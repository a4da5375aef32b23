"""A GPU that does not show, on systems that are made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdcpp_py._native import library
from sdcpp_py.errors import NativeLibraryError
from sdcpp_py.system.gpu_access import missing_gpu


def system(root: Path, *, node: bool = True, driver: str = "usr/share/vulkan/icd.d") -> Path:
    """A file system with a GPU's node and a driver for Vulkan."""
    if node:
        (root / "dev/dri").mkdir(parents=True)
        (root / "dev/dri/renderD128").touch()
    if driver:
        (root / driver).mkdir(parents=True)
        (root / driver / "radeon_icd.x86_64.json").write_text("{}")
    return root


def test_without_a_driver_the_package_is_named(tmp_path: Path) -> None:
    """A GPU that the kernel knows, and no driver for Vulkan."""
    assert "`sudo apt install mesa-vulkan-drivers`" in missing_gpu(system(tmp_path, driver=""), {})


def test_without_the_right_the_group_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver, and a node that this user may not open."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    said = missing_gpu(system(tmp_path), {})
    assert "/dev/dri/renderD128" in said
    assert "usermod -aG render" in said


@pytest.mark.parametrize("driver", ["usr/share/vulkan/icd.d", "etc/vulkan/icd.d"])
def test_where_all_is_well_nothing_is_said(driver: str, tmp_path: Path) -> None:
    """Nor where there is no GPU at all, or the driver is named by the environment."""
    assert missing_gpu(system(tmp_path / "a", driver=driver), {}) == ""
    assert missing_gpu(system(tmp_path / "b", node=False, driver=""), {}) == ""
    assert missing_gpu(system(tmp_path / "c", driver=""), {"VK_DRIVER_FILES": "/somewhere.json"}) == ""


def test_it_is_said_where_a_gpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build with Vulkan that finds no GPU says why, in the error for the device and to `doctor`."""
    monkeypatch.setattr(library, "modules_built", lambda backend: [backend])
    monkeypatch.setattr(library, "missing_gpu", lambda: "no driver")
    assert library.vulkan_cure() == "no driver"
    with pytest.raises(NativeLibraryError, match=r"no device 'vulkan0' here.*no driver"):
        library.find_device("vulkan0")
