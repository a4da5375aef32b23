"""The program that tests GPUs before they are first used: ``python -m sdcpp_py.preflight.self_test DEVICE ...``.

Writes a line of JSON for each GPU among the devices, with its record. Others are left alone.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from sdcpp_py._native import library
from sdcpp_py.errors import SdcppError
from sdcpp_py.preflight.self_test.verdict import run_self_test


def main(names: list[str]) -> None:
    """Tests the GPUs of these names, each once; what is no device is left to whoever uses it."""
    tested = set()
    for name in names:
        try:
            device = library.find_device(name)
        except SdcppError:
            continue
        if device.is_gpu and device.name not in tested:
            tested.add(device.name)
            sys.stdout.write(json.dumps({"record": run_self_test(device).record.plain()}) + "\n")
            sys.stdout.flush()


def _stop(*_: Any) -> None:
    """Ends the program, and on the way what it has begun; Ctrl-C's own signal may be ignored."""
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    main(sys.argv[1:])
