"""The errors of this library.

::

    SdcppError
    ├── SettingsError            (ValueError)        a setting is out of its domain
    ├── ModelError
    │   ├── ModelNotFoundError   (FileNotFoundError) there is no such file
    │   ├── ModelLoadError                           a file is not what it should be
    │   ├── ModelMismatchError                       each file is fine, but they do not belong together
    │   └── DownloadError        (OSError)           a file cannot be fetched from the Hub
    │       └── GatedModelError                      its repository wants its terms accepted first
    ├── CatalogueError           (ValueError)        a catalogue of models is not what it should be
    ├── GenerationError                              the engine gave up in the middle of its work
    │   ├── OutOfMemoryError     (MemoryError)       host or device memory ran out
    │   ├── DeviceLostError                          the GPU driver reset the device
    │   └── EngineCrashedError   (RuntimeError)      the engine's own process ended
    ├── GenerationCancelled                          ``cancel()`` was called
    │   └── GenerationTimeoutError (TimeoutError)    a call took longer than its ``timeout``
    ├── GeneratorClosedError     (RuntimeError)      the generator was closed
    ├── MetadataError            (ValueError)        a picture carries no settings that can be read
    │   └── MetadataNotFoundError (FileNotFoundError) there is no such picture
    ├── ImageError               (ValueError)        a picture that was handed in cannot be used
    │   └── ImageNotFoundError   (FileNotFoundError) there is no such picture
    ├── OutputError              (OSError)           a picture cannot be written where it should go
    └── NativeLibraryError       (ImportError)       the native library cannot be loaded or lacks a part

``MetadataWarning`` (UserWarning) says what could not be taken from a picture whose settings were read,
``LoraWarning`` (UserWarning) which layers of a LoRA the model does not have.

Where Python has an error that a user would catch in the same situation, ours is one of those too. Every message says
what happened, with which value, and what to do; ``detail`` holds the engine's own last log lines, where there are any.
"""

from __future__ import annotations


class SdcppError(Exception):
    """Base of every error that this library raises on purpose.

    Attributes:
        detail: the engine's own log lines around the failure, or "".
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class SettingsError(SdcppError, ValueError):
    """A setting is out of its domain; the message names the setting, the value and the nearest valid one."""


class ModelError(SdcppError):
    """Something is wrong with the files of a model."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """A model file does not exist."""


class ModelLoadError(ModelError):
    """A file cannot be loaded: it is empty, truncated, damaged, or something else than a model."""


class ModelMismatchError(ModelError):
    """The files do not belong together, or one was given in another one's place."""


class DownloadError(ModelError, OSError):
    """A file cannot be fetched from the Hub, or what came is not what the Hub or the catalogue says it is."""


class GatedModelError(DownloadError):
    """The repository is gated; the message names the page on which its terms are accepted."""


class CatalogueError(SdcppError, ValueError):
    """A catalogue of models cannot be read, or an entry in it is wrong; the message names file, entry and field."""


class GenerationError(SdcppError):
    """The engine failed in the middle of its work."""


class OutOfMemoryError(GenerationError, MemoryError):
    """Host or device memory ran out."""


class DeviceLostError(GenerationError):
    """The GPU driver reset the device, most often because one submission took longer than its watchdog allows."""


class EngineCrashedError(GenerationError, RuntimeError):
    """The engine's own process ended by itself; the message names the signal that ended it, where one did."""


class GenerationCancelled(SdcppError):
    """``Generator.cancel`` was called while a picture was generated or a model was loaded."""


class GenerationTimeoutError(GenerationCancelled, TimeoutError):
    """A call was not done within its ``timeout``, and was cancelled; the message says what was done just then."""


class GeneratorClosedError(SdcppError, RuntimeError):
    """The generator was closed and cannot generate any more."""


class MetadataError(SdcppError, ValueError):
    """A picture carries no generation settings, or some that cannot be read."""


class MetadataNotFoundError(MetadataError, FileNotFoundError):
    """The picture whose settings are wanted does not exist."""


class LoraWarning(UserWarning):
    """A LoRA changes layers that the model does not have, which are left out; the message says how many, and which."""


class MetadataWarning(UserWarning):
    """A picture says more of itself than this version can use; the message names what was not taken."""


class ImageError(SdcppError, ValueError):
    """A picture that was handed in cannot be used: it is damaged, too large, or no picture at all."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """The file of an init image, a reference image or a mask does not exist."""


class OutputError(SdcppError, OSError):
    """A picture cannot be written: the folder is missing, or nothing may be written there."""


class NativeLibraryError(SdcppError, ImportError):
    """The native library cannot be loaded, or it has no backend module or device that is needed."""
