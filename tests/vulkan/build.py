"""Builds the Vulkan layer and the probe when they are asked for. They are no part of the package."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
LAYER_NAME = "VK_LAYER_SDCPP_rig"
LIBRARY = "libVkLayer_sdcpp_rig.so"
PROBE = "probe"
_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wshadow", "-Werror")


def build(folder: Path, headers: Path, compiler: str | None = None) -> None:
    """Puts the layer, its manifest and the probe into ``folder``, unless they are there from these very sources.

    Args:
        headers: a folder with ``vulkan/`` and ``vk_video/`` of Vulkan 1.4 (Debian 13's ``/usr/include``).
        compiler: a C++17 compiler; ``$CXX`` or g++ by default. glslc is needed as well.
    """
    compiler = compiler or os.environ.get("CXX", "g++")
    made_from = folder / "made-from"
    digest = _digest(compiler)
    if made_from.exists() and made_from.read_text() == digest:
        return
    made_from.unlink(missing_ok=True)
    work = folder / "build"
    work.mkdir(parents=True, exist_ok=True)
    # Copied, because beside them are headers of another C library.
    for name in ("vulkan", "vk_video"):
        shutil.copytree(headers / name, work / "include" / name, dirs_exist_ok=True)
    for shader in (HERE / "layer" / "spoil.comp", HERE / "probe" / "plus_one.comp"):
        _run("glslc", "-O", "--target-env=vulkan1.1", "-mfmt=num", shader, "-o", work / f"{shader.name}.inc")
    sources = [*_sources("layer"), *_sources("probe")]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        objects = list(threads.map(lambda source: _compiled(compiler, source, work), sources))
    layer = [one for one in objects if one.name.startswith("layer-")]
    _run(compiler, "-shared", *layer, "-o", folder / LIBRARY)
    _run(compiler, *(one for one in objects if one not in layer), "-ldl", "-o", folder / PROBE)
    (folder / "VkLayer_sdcpp_rig.json").write_text(json.dumps(_manifest(), indent=4))
    made_from.write_text(digest)


def _sources(part: str) -> list[Path]:
    return sorted((HERE / part).glob("*.cpp"))


def _digest(compiler: str) -> str:
    digest = hashlib.sha256(" ".join((compiler, *_FLAGS)).encode())
    for file in sorted([Path(__file__), *(HERE / "layer").iterdir(), *(HERE / "probe").iterdir()]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _compiled(compiler: str, source: Path, work: Path) -> Path:
    made = work / f"{source.parent.name}-{source.name}.o"
    _run(compiler, *_FLAGS, "-I", work / "include", "-I", work, "-c", source, "-o", made)
    return made


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")


def _manifest() -> dict[str, object]:
    layer = {
        "name": LAYER_NAME,
        "type": "GLOBAL",
        "library_path": f"./{LIBRARY}",
        "api_version": "1.4.0",
        "implementation_version": "1",
        "description": "Plays a laptop's GPU over another driver",
        "functions": {"vkNegotiateLoaderLayerInterfaceVersion": "sdcpp_rig_negotiate"},
    }
    return {"file_format_version": "1.2.0", "layer": layer}
