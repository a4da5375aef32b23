"""Model files of random weights in the shapes of real ones, written in seconds and without a download.

A picture costs the same work and memory whatever the weights' values, so the full-size models give true timings, and
the tiny ones (a picture in a second or two) run the whole of the engine in tests::

    from sdcpp_py import synth

    files = synth.write_set("tiny-klein", "models")
    with Generator(diffusion_model=files.diffusion_model, text_encoder=files.text_encoder, vae=files.vae) as generator:
        ...

``MODELS`` can be asked for shapes and sizes without writing anything.
"""

from sdcpp_py.synth.catalogue import MODELS
from sdcpp_py.synth.models import ModelShape
from sdcpp_py.synth.sets import FAMILIES, SyntheticSet
from sdcpp_py.synth.tensors import QUANTIZATIONS, Tensor
from sdcpp_py.synth.writing import write, write_hollow_set, write_set

__all__ = [
    "FAMILIES",
    "MODELS",
    "QUANTIZATIONS",
    "ModelShape",
    "SyntheticSet",
    "Tensor",
    "write",
    "write_hollow_set",
    "write_set",
]
