"""Runs every command of the README where nothing but the package is installed: ``python tests/readme/run_commands.py``.

Models that the commands name are small ones of random weights here, under the names of the true files: on a server on
this machine in place of the Hub, and in the folder. So no gigabytes are downloaded, and all else is as a reader has it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Behind everything else: what is installed must be found before the sources.
sys.path.append(str(Path(__file__).parents[2]))

from sdcpp_py import synth
from sdcpp_py.models.catalogue import BUILT_IN, open_catalogue
from tests.readme.commands import README, commands
from tests.support.hub_server import Hub, serve

FILES = ["flux-2-klein-4b-Q4_0.gguf", "Qwen3-4B-Q4_K_M.gguf", "flux2-vae.safetensors"]
IN_PLACE_OF = {
    # Gigabytes of random weights, and minutes of computing.
    "sdcpp-py bench flux2-klein-4b": ["sdcpp-py", "bench", "tiny-klein", "--sizes", "256", "--repeat", "1"],
    # What a reader puts there.
    "sdcpp-py inspect FILE...": ["sdcpp-py", "inspect", *FILES],
}
# The package's own catalogue, whose files have other sizes and hashes here.
WITH_CATALOGUE = (
    "import sys; from pathlib import Path; from sdcpp_py.models import catalogue;"
    "catalogue.BUILT_IN = Path(sys.argv[1]);"
    "from sdcpp_py.cli import main; sys.exit(main(sys.argv[2:]))"
)
FROM_THE_HUB = ("generate", "pull")


def fill(hub: Hub, files: synth.SyntheticSet, name: str) -> None:
    """Puts the files of a set where the catalogue has those of a model."""
    model = open_catalogue().models[name]
    for role, path in files.files.items():
        for file in model.quantizations.values() if role == model.main_role else [model.parts[role]]:
            hub.add(file.repository, file.file, path.read_bytes())


def main() -> int:
    """Runs the commands, and says which took how long. Returns 1 where one failed."""
    for package in ("gguf", "safetensors", "pytest"):
        if importlib.util.find_spec(package):
            print(f"{package} is installed here: this shows nothing of a plain installation")
            return 1
    with tempfile.TemporaryDirectory() as folder, serve() as hub:
        work = Path(folder)
        klein = synth.write_set("tiny-klein", work / "klein")
        fill(hub, synth.write_set("tiny-z-image", work / "z-image"), "z-image-turbo")
        fill(hub, klein, "flux2-klein-4b")
        for name, path in zip(FILES, (klein.diffusion_model, klein.text_encoder, klein.vae), strict=True):
            (work / name).write_bytes(path.read_bytes())
        sizes = re.compile(r"^(bytes|sha256) = .*$|, (bytes|sha256) = [^,}]*", re.MULTILINE)
        unchecked = sizes.sub("", BUILT_IN.read_text("utf-8"))
        (work / "catalogue.toml").write_text(unchecked)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SDCPP_"))}
        environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(work / "hub"), "SDCPP_PY_CACHE": str(work / "cache")}
        failed = [command for command in commands(README.read_text("utf-8")) if not run(command, work, environment)]
    return 1 if failed else 0


def run(command: list[str], work: Path, environment: dict[str, str]) -> bool:
    """Runs one command in a folder. Returns whether it worked."""
    shown = " ".join(command)
    program, *arguments = IN_PLACE_OF.get(shown, command)
    call = [str(Path(sys.executable).parent / program), *arguments]
    if arguments[0] in FROM_THE_HUB:
        call = [sys.executable, "-c", WITH_CATALOGUE, str(work / "catalogue.toml"), *arguments]
    began = time.perf_counter()
    done = subprocess.run(call, cwd=work, env=environment, capture_output=True, text=True, check=False)
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {time.perf_counter() - began:5.1f} s  {shown}", flush=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
