"""``sdcpp-py synth``."""

from __future__ import annotations

import argparse

from sdcpp_py.errors import OutputError, SettingsError
from sdcpp_py.preflight.named_files import written_file
from sdcpp_py.system.paths import absolute


def run(options: argparse.Namespace) -> None:
    """Writes a model file of random weights. Raises SdcppError."""
    from sdcpp_py import synth

    if options.name == "list":
        print("\n".join(synth.MODELS))
        return
    directory = absolute(options.directory or ".")
    if not directory.is_dir():
        raise OutputError(f"the folder {directory} does not exist; create it first")
    try:
        name, quant = written_file(options.name, options.quant)
        path = synth.write(name, directory, quant=quant, seed=options.seed)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{directory}: {error.strerror or error}") from error
    print(f"{path}: {path.stat().st_size / 2**20:,.1f} MiB of random weights")
