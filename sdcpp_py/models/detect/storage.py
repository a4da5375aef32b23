"""How a file stores its weights: the mix of types, and types that cannot be read."""

from __future__ import annotations

from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.detect.safetensors import READ
from sdcpp_py.models.tensors import elements_of

# Types that are stored and not computed with: ggml has no product of them. F64 is F32 in memory where it comes from
# safetensors.
_NOT_COMPUTED = {"gguf": {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}, "safetensors": {"I32", "I64"}}
_SMALL = 0.05  # of a file's bytes; a stray tensor is no reason to refuse it


def mix_of(header: FileHeader) -> dict[str, int]:
    """Bytes by type of weight, the largest first."""
    mix: dict[str, int] = {}
    for tensor in header.tensors.values():
        mix[tensor.dtype] = mix.get(tensor.dtype, 0) + tensor.nbytes
    return dict(sorted(mix.items(), key=lambda item: -item[1]))


def parameters_of(header: FileHeader) -> int:
    """How many numbers a file holds; weights packed two to a byte count as one."""
    return sum(elements_of(tensor.shape) for tensor in header.tensors.values())


def fault_of(header: FileHeader) -> str:
    """What is wrong with how a file stores its weights, to be said after its name; "" where nothing is."""
    if not header.tensors:
        return "holds no tensor"
    for name, tensor in header.tensors.items():
        # A list of numbers, such as the places of a CLIP's tokens, is no weight.
        if tensor.dtype in _NOT_COMPUTED[header.format] and sum(extent > 1 for extent in tensor.shape) > 1:
            return f"holds tensor '{name}' of type {tensor.dtype}, which the engine does not compute with"
    if header.format != "safetensors":
        return ""
    mix = mix_of(header)
    total = sum(mix.values()) or 1
    packed = any("bitsandbytes__" in name or name.endswith(".qweight") for name in header.tensors)
    if packed or mix.get("U8", 0) > _SMALL * total:
        return "holds weights of 4 bits packed into bytes (fp4, nf4), which the engine cannot read"
    unread = next((name for name, tensor in header.tensors.items() if tensor.dtype not in READ), "")
    if unread:
        return f"holds tensor '{unread}' of type {header.tensors[unread].dtype}, which the engine cannot read"
    return ""


def is_inflated(header: FileHeader) -> bool:
    """Whether a file is mostly of eight-bit floats, which take F16 in memory, twice their size."""
    mix = mix_of(header)
    return sum(size for name, size in mix.items() if name.startswith("F8_")) > _SMALL * (sum(mix.values()) or 1)
