"""Bad files: each a named error in plain words, before any weight is read, and the next generator opens."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_py import ModelError, ModelLoadError, ModelMismatchError, ModelNotFoundError
from sdcpp_py.models.detect.headers import read_header
from sdcpp_py.models.files import check_files
from sdcpp_py.synth import SyntheticSet

from ..conftest import open_generator

PARTS = ("diffusion_model", "text_encoder", "vae")


def replaced(files: SyntheticSet, part: str, path: Path) -> SyntheticSet:
    return SyntheticSet(**{**{name: getattr(files, name) for name in PARTS}, part: path})


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


GGUF_PAIR = b"GGUF" + struct.pack("<IQQQ17s", 3, 0, 1, 17, b"general.alignment")
FOREIGN = {
    "empty": (b"", "is empty"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(100), "JPEG picture"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "html after blanks": (b"\n\n  <html>", "web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "text": (b"hello, I am a model, honestly", "neither GGUF nor safetensors"),
    "one byte": (b"G", "damaged or truncated"),
    "gguf magic alone": (b"GGUF", "damaged or truncated"),
    "gguf of the future": (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9"),
    "gguf of nonsense": (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60), "make no sense"),
    "gguf with a long name": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**50), "longer than the file"),
    "gguf with an endless array": (GGUF_PAIR + struct.pack("<IIQ", 9, 4, 2**62), "longer than the file"),
    "gguf with endless texts": (GGUF_PAIR + struct.pack("<IIQQ", 9, 8, 2, 2**64 - 1), "longer than the file"),
    "gguf aligned to a word": (GGUF_PAIR + struct.pack("<IQ3s", 8, 3, b"abc"), "alignment is 'abc'"),
    "gguf aligned to infinity": (GGUF_PAIR + struct.pack("<If", 6, float("inf")), "alignment is inf"),
    "gguf with an empty axis": (
        b"GGUF" + struct.pack("<IQQQ1sIQQIQ", 3, 1, 0, 1, b"a", 2, 4, 0, 0, 0) + bytes(64),
        "of type F32 and shape .* is empty",
    ),
    "gguf with half a block": (
        b"GGUF" + struct.pack("<IQQQ1sIQQIQ", 3, 1, 0, 1, b"a", 2, 33, 2, 8, 0) + bytes(256),
        "which its type Q8_0 cannot have",
    ),
    "safetensors of infinite shape": (
        struct.pack("<Q", 62) + b'{"a": {"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}}' + bytes(4),
        "cannot be understood",
    ),
    "safetensors of nonsense": (struct.pack("<Q", 20) + b'{"a": {"dtype": 3}}  ', "damaged"),
    "safetensors cut in its header": (struct.pack("<Q", 2000) + b'{"a": {"dtype": "F32"', "damaged or truncated"),
    "zip": (b"PK\x03\x04" + bytes(60), "zip archive"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_named_for_what_it_is(klein: SyntheticSet, tmp_path: Path, part: str, kind: str) -> None:
    """A file that is no model raises ModelLoadError that names the file and says what it is."""
    content, says = FOREIGN[kind]
    path = write(tmp_path / "model.gguf", content)
    with pytest.raises(ModelLoadError, match=says) as caught:
        open_generator(replaced(klein, part, path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_file_is_a_file_not_found_error(klein: SyntheticSet, tmp_path: Path, part: str) -> None:
    """A missing file raises ModelNotFoundError, which is a FileNotFoundError."""
    with pytest.raises(ModelNotFoundError, match="there is no file") as caught:
        open_generator(replaced(klein, part, tmp_path / "no.gguf"))
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("part", PARTS)
def test_a_directory_is_refused(klein: SyntheticSet, tmp_path: Path, part: str) -> None:
    """A directory raises ModelLoadError."""
    with pytest.raises(ModelLoadError, match="is a directory"):
        open_generator(replaced(klein, part, tmp_path))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("keep", [0.2, 0.9, -1])
def test_a_truncated_file_is_refused(klein: SyntheticSet, tmp_path: Path, part: str, keep: float) -> None:
    """A file that lost its end, were it one byte, raises ModelLoadError."""
    path = tmp_path / getattr(klein, part).name
    shutil.copy(getattr(klein, part), path)
    size = path.stat().st_size
    os.truncate(path, size - 1 if keep == -1 else int(size * keep))
    with pytest.raises(ModelLoadError, match="truncated"):
        open_generator(replaced(klein, part, path))


def test_the_vae_of_the_other_family_is_refused(klein: SyntheticSet, z_image: SyntheticSet) -> None:
    """The 16-channel VAE with Klein and the 32-channel VAE with Z-Image are refused, and the right one is named."""
    with pytest.raises(ModelMismatchError, match=r"16 latent channels.*flux2-vae"):
        open_generator(replaced(klein, "vae", z_image.vae))
    with pytest.raises(ModelMismatchError, match=r"32 latent channels.*ae.safetensors"):
        open_generator(replaced(z_image, "vae", klein.vae))


def test_swapped_files_are_named(klein: SyntheticSet) -> None:
    """Denoiser and encoder in each other's place, or a VAE as the denoiser, are told apart."""
    with pytest.raises(
        ModelMismatchError, match="it is the text encoder Qwen3 of hidden size 64; give it as text_encoder"
    ):
        open_generator(SyntheticSet(klein.text_encoder, klein.diffusion_model, klein.vae))
    with pytest.raises(ModelMismatchError, match="denoiser; give it as diffusion_model"):
        open_generator(replaced(klein, "text_encoder", klein.diffusion_model))
    with pytest.raises(ModelMismatchError, match="VAE with 32 latent channels; give it as vae"):
        open_generator(replaced(klein, "diffusion_model", klein.vae))


def test_the_wrong_encoder_is_refused(klein: SyntheticSet, z_image: SyntheticSet) -> None:
    """An encoder with too few layers is refused with what is needed."""
    with pytest.raises(ModelMismatchError, match="has 28 layers"):
        open_generator(replaced(z_image, "text_encoder", klein.text_encoder))


def test_paths_that_the_engine_cannot_take_are_refused(klein: SyntheticSet) -> None:
    """A path with a NUL or a lone surrogate raises an error of ours."""
    for name in ("a\0b.gguf", "a\udc80.gguf"):
        with pytest.raises(ModelError):
            open_generator(replaced(klein, "vae", Path(name)))


def test_odd_but_good_paths_load(klein: SyntheticSet, tmp_path: Path) -> None:
    """Spaces, quotes and any script in a path are fine."""
    folder = tmp_path / "mödels 猫 'x' \"y\""
    folder.mkdir()
    copies = [shutil.copy(getattr(klein, part), folder / getattr(klein, part).name) for part in PARTS]
    open_generator(SyntheticSet(*map(Path, copies))).close()


def test_an_unreadable_file_is_refused(klein: SyntheticSet) -> None:
    """A file that the system does not let us read raises ModelLoadError."""
    with pytest.raises(ModelError):
        open_generator(replaced(klein, "vae", Path("/proc/self/mem")))


@pytest.mark.parametrize("part", PARTS)
def test_a_tensor_that_is_missing_is_named(klein: SyntheticSet, tmp_path: Path, part: str) -> None:
    """A file in which one tensor has another name raises ModelLoadError with the name of the one that is missing."""
    names = {
        "diffusion_model": (b"single_blocks.1.linear2.weight", "single_blocks.1.linear2.weight"),
        "text_encoder": (b"blk.3.ffn_down.weight", "layers.3.mlp.down_proj.weight"),
        "vae": (b"decoder.mid.block_1.conv1.weight", "decoder.mid.block_1.conv1.weight"),
    }
    old, told = names[part]
    content = getattr(klein, part).read_bytes()
    assert content.count(old) == 1
    path = write(tmp_path / getattr(klein, part).name, content.replace(old, old[:-6] + b"wEIGHT"))
    with pytest.raises(ModelLoadError, match="missing from the files") as caught:
        open_generator(replaced(klein, part, path))
    assert told in str(caught.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No bytes whatever, also after a format's first ones, make the header reader raise anything but our errors."""
    path = tmp_path_factory.getbasetemp() / "any.bin"
    for start in (b"", b"GGUF\x03\0\0\0", struct.pack("<Q", max(2, len(content))) + b"{"):
        path.write_bytes(start + content)
        try:
            read_header(path)
        except ModelError:
            pass


@given(st.data())
def test_a_header_with_flipped_bytes_is_read_or_refused(
    klein: SyntheticSet, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A real header with some bytes changed is described or refused with an error of ours, in every part's place."""
    part = data.draw(st.sampled_from(PARTS))
    content = bytearray(getattr(klein, part).read_bytes()[:20_000])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.bin"
    path.write_bytes(content)
    os.truncate(path, getattr(klein, part).stat().st_size)
    try:
        check_files(*(path if name == part else getattr(klein, name) for name in PARTS))
    except ModelError:
        pass


def test_a_failed_load_leaves_the_next_one_alone(klein: SyntheticSet, tmp_path: Path) -> None:
    """After a load that failed, the right files load and draw."""
    with pytest.raises(ModelLoadError):
        open_generator(replaced(klein, "vae", write(tmp_path / "x", b"no")))
    with open_generator(klein) as generator:
        assert generator.generate("cat", width=64, height=64, steps=1).image.size == (64, 64)
