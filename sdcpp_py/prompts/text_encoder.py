"""A text encoder that several generators share."""

from __future__ import annotations

from types import TracebackType

from sdcpp_py._native.any_engine import AnyEngine
from sdcpp_py._native.held_weights import HeldWeights
from sdcpp_py.errors import GeneratorClosedError
from sdcpp_py.models.files import check_text_encoder
from sdcpp_py.naming import excerpt
from sdcpp_py.signatures import checked_names
from sdcpp_py.system.forks import ProcessLock
from sdcpp_py.system.paths import StrPath, absolute


class TextEncoder:
    """A text encoder that stays in memory while generators that use it come and go.

    ::

        with TextEncoder("Qwen3-4B-Q4_K_M.gguf") as encoder:
            with Generator("z_image_turbo-Q4_K.gguf", encoder, "ae.safetensors") as generator:
                generator.generate("a cat").save("cat.png")
            with Generator("flux-2-klein-4b-Q4_K.gguf", encoder, "flux2-vae.safetensors") as generator:
                generator.generate("a cat").save("another.png")  # the encoder was not read again

    Generators that are open at the same time share the weights of equal files in any case; this object keeps them while
    none is open. Its weights come with the first generator that needs them, and go with ``close``; a generator that has
    to make room under its limit of memory also lets go of them.

    Args:
        path: the file, GGUF or safetensors.

    Raises:
        ModelNotFoundError, ModelLoadError: about the file.
        ModelMismatchError: it is no text encoder, or the engine cannot read its weights.
    """

    @checked_names
    def __init__(self, path: StrPath) -> None:
        self.path = absolute(path)
        check_text_encoder(self.path)
        # Closes the race of generators in two threads that bring the same encoder into memory.
        self._lock = ProcessLock()
        self._held: dict[str, HeldWeights] = {}
        self._closed = False

    def check_open(self) -> None:
        """Raises GeneratorClosedError where it is closed."""
        if self._closed:
            raise GeneratorClosedError("this text encoder is closed; make a new one")

    def keep(self, engine: AnyEngine, device: str) -> None:
        """Keeps the weights that an engine has brought onto a device."""
        with self._lock:
            if not self._closed:
                engine.keep("text_encoder", self._held.setdefault(device, HeldWeights()))

    def release(self, device: str) -> None:
        """Lets go of the weights on a device; they leave memory unless a generator uses them."""
        with self._lock:
            self._let_go(device)

    def close(self) -> None:
        """Lets go of all weights. Generators that are open go on. May be called twice."""
        with self._lock:
            self._closed = True
            for device in list(self._held):
                self._let_go(device)

    def _let_go(self, device: str) -> None:
        held = self._held.pop(device, None)
        if held is not None:
            held.close()

    def __enter__(self) -> TextEncoder:
        self.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TextEncoder {excerpt(self.path.name)[1:-1]}{' closed' * self._closed}>"
