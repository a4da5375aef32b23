"""What the tensors of a LoRA file are by their names: the layer each belongs to, and the part it is of it."""

from __future__ import annotations

import re

from sdcpp_py.models.tensors import TensorInfo, elements_of

_HALF = re.compile(
    r"(?:\.lora_(down|up|mid|A|B)(?:\.[^.]+)?|(\.lora|_lora|\.lora_linear_layer)\.(down|up|mid))\.weight\Z"
)
_OTHER = re.compile(r"\.(alpha|scale|lora_linear|diff|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?)\Z")
_SAME = {"A": "down", "B": "up", "lora_linear": "alpha"}

_ELSE = "get a plain LoRA (lora_down and lora_up, or lora_A and lora_B) instead"
_REFUSED = (
    (r"\.dora_scale\Z|\.lora_magnitude_vector\b", f"is a DoRA's, whose length depends on the model's weight; {_ELSE}"),
    (r"\.diff_b\Z|\.lora_[AB](?:\.[^.]+)?\.bias\Z", f"changes a bias, and only matrices are changed; {_ELSE}"),
    (r"\.[wb]_norm\Z", f"changes a norm, and only matrices are changed; {_ELSE}"),
    (r"\.(?:hada|lokr)_t[12]\Z", f"is the core of a Tucker decomposition, which is not read; {_ELSE}"),
    (r"\Abundle_emb\.", "is a textual inversion inside the LoRA, which is not read; get the LoRA without it"),
)


def place_of(name: str) -> tuple[str, str] | None:
    """The layer and the part of it that a tensor is; None for one that is no part of a LoRA's layer.

    Parts are "down", "up", "mid", "alpha", "scale", "diff", and LyCORIS' own, such as "hada_w1_a".
    """
    match = _HALF.search(name)
    if match:
        part = match[1] or match[3]
    else:
        match = _OTHER.search(name)
        if match is None:
            return None
        part = match[1]
    # Attention of diffusers once kept LoRAs in objects beside the layers that these change.
    key = name[: match.start()].replace(".processor.", ".")
    if _HALF is match.re and match[2] == "_lora" and key.endswith(".to_out"):
        key += ".0"
    return (key, _SAME.get(part, part)) if key else None


def refusal_of(name: str, tensor: TensorInfo) -> str:
    """Why a tensor that has no place keeps a file from being read, to be said after its name; "" where it does not.

    Single numbers and empty lists are marks of some program, and change no picture.
    """
    for pattern, why in _REFUSED:
        if re.search(pattern, name):
            return why
    return "" if elements_of(tensor.shape) <= 1 else f"is of no kind of LoRA that is read; {_ELSE}"
