"""How a model is opened: where its parts may compute, in how much memory, how exactly, and what is kept of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdcpp_py.memory.gpu_rules import PRECISIONS
from sdcpp_py.memory.limits import Limits, MemoryLimit
from sdcpp_py.memory.placement import DeviceChoice, Placement, placements
from sdcpp_py.memory.tested_gpus import advise, check_self_test, ensure_tested
from sdcpp_py.parts import PARTS
from sdcpp_py.pipeline.isolation.choice import isolated, isolates_gpus
from sdcpp_py.prompts.cache import PromptCache
from sdcpp_py.prompts.text_encoder import TextEncoder
from sdcpp_py.settings import check_whole
from sdcpp_py.settings.domains import check_one_of
from sdcpp_py.system.cpu import default_threads
from sdcpp_py.system.deadline import Deadline


@dataclass(frozen=True)
class PipelineOptions:
    """How a model is opened.

    Attributes:
        placements: of its parts on devices; the first whose memory suffices is taken.
        threads: CPU threads.
        limits: of memory.
        cache: keeps prompt embeddings; None: each prompt is encoded anew.
        encoder: the shared text encoder, where the model has one.
        precision: of parts on GPUs, one of ``PRECISIONS``.
        fallback: all on the CPU, for what the GPU cannot compute; None where the devices were chosen.
        isolated: the engine has a process of its own.
        left_open: the parts whose device was not chosen.
        recovers: whether what a GPU loses is made up for elsewhere, by those parts.
        all_isolated: whether what the CPU computes beside a GPU has a process of its own too.
    """

    placements: Sequence[Placement]
    threads: int
    limits: Limits
    cache: PromptCache | None
    encoder: TextEncoder | None = None
    precision: str = "auto"
    fallback: Placement | None = None
    isolated: bool = False
    left_open: frozenset[str] = frozenset()
    recovers: bool = True
    all_isolated: bool = False

    @property
    def limit(self) -> int | None:
        """The bytes that were given for the memory of the denoiser's device; None where that was left open."""
        return self.limits.together or self.limits.exact.get(self.placements[0].denoiser.name)

    @classmethod
    def of(
        cls,
        device: DeviceChoice,
        memory: MemoryLimit,
        threads: int | None,
        cache: PromptCache | None = None,
        encoder: TextEncoder | None = None,
        precision: str = "auto",
        isolation: str = "auto",
        self_test: str | None = None,
        recovers: bool = True,
        deadline: Deadline | None = None,
    ) -> PipelineOptions:
        """The options that the arguments of ``Generator`` make.

        Raises SettingsError, NativeLibraryError; GenerationTimeoutError, where a test of a GPU goes on until then.

        Without ``self_test``, what is known of GPUs counts, and nothing is tested or said.
        """
        check_one_of("precision", precision, PRECISIONS)
        if self_test is not None and check_self_test(self_test) == "auto":
            ensure_tested(device, deadline)
        left_open = isinstance(device, str) and device.lower() == "auto"
        apart = isolates_gpus(isolation, shared_encoder=encoder is not None)
        places = placements(device, heed=self_test != "off", apart=apart)
        if self_test is not None and left_open:
            advise(places[0].denoiser)
        count = default_threads() if threads is None else check_whole("threads", threads, 1, 1024)
        limits = Limits.parse(memory, places[0].denoiser.name, places[0].all)
        parts = frozenset(PARTS if left_open else _left_open(device))
        fallback = placements("cpu")[0] if left_open and places[0].denoiser.is_gpu else None
        apart = isolated(isolation, places, shared_encoder=encoder is not None)
        return cls(
            places, count, limits, cache, encoder, precision, fallback, apart, parts, bool(recovers),
            all_isolated=isolation == "process",
        )  # fmt: skip


def _left_open(device: DeviceChoice) -> set[str]:
    """The parts that a choice, which is one, names no device for."""
    if isinstance(device, str):
        return set()
    return {part for part in PARTS if device.get(part, "auto") == "auto"}
