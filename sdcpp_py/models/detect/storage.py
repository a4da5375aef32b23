"""How a file stores its weights: the mix of types, and types that the engine inflates or cannot read."""

from __future__ import annotations

from sdcpp_py.models.detect.headers import FileHeader
from sdcpp_py.models.detect.safetensors import READ
from sdcpp_py.models.tensors import elements_of

# Types that are stored and not computed with: ggml has no product of them. F64 is F32 in memory where it comes from
# safetensors.
_NOT_COMPUTED = {"gguf": {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}, "safetensors": {"I32", "I64"}}
# Tensors that say how the ones beside them are scaled or packed: ComfyUI's, bitsandbytes', Nunchaku's.
_SCALES = (".scale_weight", ".weight_scale", ".weight_scale_2", ".comfy_quant", "scaled_fp8", ".wscales")
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
    scaled = any(name.endswith(_SCALES) for name in header.tensors)
    packed = any("bitsandbytes__" in name or name.endswith(".qweight") for name in header.tensors)
    if packed or mix.get("U8", 0) > _SMALL * total:
        return "holds weights of 4 bits packed into bytes (fp4, nf4), which the engine cannot read"
    unread = next((name for name, tensor in header.tensors.items() if tensor.dtype not in READ), "")
    if unread:
        return f"holds tensor '{unread}' of type {header.tensors[unread].dtype}, which the engine cannot read"
    if sum(size for name, size in mix.items() if name.startswith("F8_")) > _SMALL * total:
        if scaled:
            return "holds scaled fp8 weights, whose scales the engine leaves out: the picture would be wrong"
        return "holds fp8 weights, which the engine turns into F16 of twice their size"
    return ""
