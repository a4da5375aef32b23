"""Options that several commands share: the model, where its files are, and the machine."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from sdcpp_py.cli.opening import memory_choice
from sdcpp_py.cli.sd_cli.values import threads
from sdcpp_py.memory.gpu_rules import PRECISIONS
from sdcpp_py.memory.tested_gpus import SELF_TESTS
from sdcpp_py.models.folders.searching import VARIABLE as MODELS_VARIABLE
from sdcpp_py.pipeline.isolation import ISOLATIONS

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


class _OldCacheFolder(argparse.Action):
    """``--cache-dir``, which was the folder of the prompts in one command and that of the downloads in others."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *given: Any) -> None:
        if hasattr(namespace, "prompt_cache"):
            parser.error(
                "--cache-dir may mean two folders: say --prompt-cache (of prompts) or --hub-cache (of downloads)"
            )
        print("sdcpp-py: --cache-dir is called --hub-cache now, and will go", file=sys.stderr)
        namespace.hub_cache = given[0]


def add_quant(command: argparse._ActionsContainer, default: str) -> None:
    """Adds the option that names a quantization; ``default`` says which is taken without it."""
    command.add_argument("--quant", metavar="TYPE", help=f"weight type, as in NAME:QUANT (default: {default})")


def add_size(command: argparse._ActionsContainer, default: str) -> None:
    """Adds the options that ``size_asked_for`` reads; ``default`` says what is taken without them."""
    command.add_argument("--size", metavar="WxH", help=f"of the picture, in pixels (default: {default})")
    command.add_argument("-W", "--width", type=int, metavar="PIXELS", help="its width, in place of --size")
    command.add_argument("-H", "--height", type=int, metavar="PIXELS", help="its height, in place of --size")


def add_places(command: argparse._ActionsContainer) -> None:
    """Adds the options that name the places on disk where models are looked for."""
    command.add_argument("--hub-cache", metavar="DIR", help="where downloads are kept (default: the Hub's own cache)")
    command.add_argument(
        "--models-dir", dest="models_dir", action="append", metavar="DIR",
        help="a folder of models to look into first (ComfyUI's, A1111's, any), or an extra_model_paths.yaml; several "
        f"times for several; then those of {MODELS_VARIABLE}",
    )  # fmt: skip


def add_downloads(command: argparse._ActionsContainer) -> None:
    """Adds the options of a command that may download."""
    command.add_argument("--revision", metavar="NAME", help="branch, tag or commit of the denoiser's repository")
    command.add_argument("--token", help="access token of the Hub (default: HF_TOKEN, or that of `hf auth login`)")
    command.add_argument("--local-files-only", action="store_true", help="download nothing: take what is on disk")
    add_places(command)


def add_old_cache_folder(command: argparse.ArgumentParser) -> None:
    """Adds what ``--prompt-cache`` and ``--hub-cache`` were called, for scripts that still say so."""
    command.add_argument("--cache-dir", action=_OldCacheFolder, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def add_files(group: argparse._ActionsContainer) -> None:
    """Adds the options that name a model's files."""
    group.add_argument("--diffusion-model", metavar="FILE", help="the denoiser, GGUF or safetensors")
    group.add_argument(
        "--text-encoder", "--llm", "--clip_l", "--clip_g", "--t5xxl", dest="text_encoders", action="append",
        metavar="FILE", help="a text encoder; given several times where the model reads several",
    )  # fmt: skip
    group.add_argument("--vae", "--tae", metavar="FILE", help="the VAE, full or tiny (TAESD)")


def add_loras(group: argparse._ActionsContainer) -> None:
    """Adds the options that name LoRAs."""
    group.add_argument(
        "--lora", dest="loras", action="append", type=file_and_weight, metavar="FILE[:WEIGHT]",
        help="a LoRA to apply, with its weight from -100 to 100 (default: 1); may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--lora-dir", "--lora-model-dir", dest="lora_dir", metavar="DIR",
        help="a folder of LoRAs, for those that the prompt names: <lora:NAME:WEIGHT> (default: these are words)",
    )  # fmt: skip


def file_and_weight(text: str) -> tuple[str, float]:
    """A LoRA's file and its weight, which is what follows the last colon if that is a number, and else 1."""
    file, _, weight = text.rpartition(":")
    return (file, float(weight)) if file and _NUMBER.fullmatch(weight) else (text, 1.0)


def add_named_model(command: argparse.ArgumentParser) -> None:
    """Adds the options of a command that takes a model by its name, and looks for it on disk."""
    command.add_argument(
        "name", metavar="NAME[:QUANT]", nargs="?", help="a model by its name (see `sdcpp-py models`; default: tiny)"
    )
    command.add_argument("-m", "--model", metavar="NAME[:QUANT]", help="the same")
    add_quant(command, "Q4_K, or what the model has")
    add_places(command)


def add_device(command: argparse._ActionsContainer) -> None:
    """Adds the option that names the devices."""
    command.add_argument("--device", default="auto", help="auto, cpu, vulkan0, ... (see `sdcpp-py doctor`)")


def add_threads(command: argparse._ActionsContainer) -> None:
    """Adds the option that says how many threads compute on the CPU."""
    command.add_argument("-t", "--threads", type=threads, help="CPU threads (default: the physical cores)")


def add_machine(command: argparse.ArgumentParser, *, draws: bool = False) -> None:
    """Adds the options that say how the machine is used. ``draws``: the command generates pictures to be kept."""
    machine = command.add_argument_group("the machine")
    add_device(machine)
    add_threads(machine)
    machine.add_argument(
        "--precision", default="auto", choices=PRECISIONS,
        help="of GPUs: auto sums up in float32 where half precision would be too little, fast never (default: auto)",
    )  # fmt: skip
    machine.add_argument(
        "--isolation", default="auto", choices=ISOLATIONS,
        help="where the engine computes: in a process of its own, or in a thread (default: auto, a process for a GPU)",
    )  # fmt: skip
    machine.add_argument(
        "--self-test", dest="self_test", default="auto", choices=SELF_TESTS,
        help="of GPUs: auto tests one before its first use and heeds what it finds, off does neither (default: auto)",
    )  # fmt: skip
    if draws:
        machine.add_argument(
            "--timeout", type=float, metavar="SECONDS",
            help="stop where the command, downloads included, takes longer; pictures that are finished are written",
        )  # fmt: skip
        machine.add_argument(
            "--no-fallback", dest="fallback", action="store_false",
            help="fail where a GPU is lost or decodes to nothing (default: go on with less of it, at last on the CPU)",
        )  # fmt: skip
    machine.add_argument("--no-progress", action="store_true", help="show no progress bar")


def add_memory(command: argparse.ArgumentParser) -> None:
    """Adds the option that limits memory."""
    memory = command.add_argument_group("memory")
    memory.add_argument(
        "--memory",
        default="auto",
        type=memory_choice,
        metavar="SIZE",
        help="for weights and compute buffers on the denoiser's device, or on CPU and integrated GPU together: 6GiB, "
        "auto (what is free), all (no limit); or by device: cpu=8GiB,vulkan0=4GiB",
    )
