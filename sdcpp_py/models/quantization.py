"""Which weight type of a model suits a machine, and finding one by what people call it."""

from __future__ import annotations

from sdcpp_py.errors import SettingsError
from sdcpp_py.models.catalogue.entries import CatalogueModel
from sdcpp_py.system.ram import memory

WORKING_ROOM = 2**30
"""Bytes that a picture takes beside the weights, roughly: what the choice of a weight type leaves free."""

FOUR_BITS = ("Q4_K", "Q4_K_M", "Q4_K_S", "Q4_0")
"""Weight types of four bits, the one with the best pictures first. They are equally fast."""
EIGHT_BITS = "Q8_0"
SIXTEEN_BITS = ("F16", "BF16")
NEVER_CHOSEN = "F32"
"""Twice the work and memory of 16 bits, for the same pictures: only whoever names it gets it."""
USUAL_MEMORY = 8 * 2**30
"""Bytes of memory that a machine is taken to have whose system does not say."""


def choose_quant(model: CatalogueModel, memory_bytes: int, limit: int | None = None) -> str:
    """The weight type of a model that suits a machine with that many bytes of memory.

    Args:
        model: the model.
        memory_bytes: of the machine.
        limit: the bytes that weights and compute buffers may take; None where that is left open.

    Parts can come into memory one after the other, so the largest of them decides what can be generated at all; with
    all of them in memory, the next picture starts at once. Hence:

    1. Q8_0, where it and the model's other parts and ``WORKING_ROOM`` fit together into half of the memory, or into the
       limit: almost as good as the original, and the machine stays usable;
    2. else four bits, where the largest part and ``WORKING_ROOM`` fit into three quarters of the memory, and into the
       limit;
    3. else the largest type that fits so, else the smallest there is; of those above Q8_0 only where there is no Q8_0,
       because more memory would otherwise mean fewer bits, and F32 where there is no other.

    A size that is not known counts as nothing, but Q8_0 of unknown size as too large.
    """
    most = memory_bytes * 0.75
    together, largest = (memory_bytes / 2, most) if limit is None else (min(limit, most), min(limit, most))
    sizes = {quant: file.size for quant, file in model.quantizations.items() if quant != NEVER_CHOSEN}
    sizes = sizes or {NEVER_CHOSEN: model.quantizations[NEVER_CHOSEN].size}
    others = [part.size for part in model.parts.values()]
    if (sizes.get(EIGHT_BITS) or memory_bytes) + sum(others) + WORKING_ROOM <= together:
        return EIGHT_BITS
    sizes = {quant: size for quant, size in sizes.items() if EIGHT_BITS not in sizes or quant not in SIXTEEN_BITS}
    fitting = [quant for quant, size in sizes.items() if max(size, *others, 0) + WORKING_ROOM <= largest]
    four = [quant for quant in FOUR_BITS if quant in fitting]
    if four:
        return four[0]
    return max(fitting or [min(sizes, key=lambda quant: sizes[quant])], key=lambda quant: sizes[quant])


def find_quant(model: CatalogueModel, quant: str) -> str:
    """The weight type of a model by its name, in any case. "Q4_K" also finds "Q4_K_M", which many files are.

    Raises:
        SettingsError: it has none of that name; the message names those it has.
    """
    for name in (quant.upper(), f"{quant.upper()}_M", f"{quant.upper()}_S"):
        if name in model.quantizations:
            return name
    raise SettingsError(f"{model.name} has no {quant}; there are {', '.join(model.quantizations)}")


def machine_memory() -> int:
    """Bytes of memory to choose for: this machine's, or this container's; 8 GiB where the system does not say."""
    return memory()[0] or USUAL_MEMORY
