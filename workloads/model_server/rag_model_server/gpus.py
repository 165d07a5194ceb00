"""Which GPUs does this container see? Asked of the driver's own library: `python -m rag_model_server.gpus` prints the answer.

In a process of its own: a driver that hangs must not hang the launcher, and what it leaves in memory is gone with it.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

Load = Callable[[str], Any]


class Library(NamedTuple):
    """A vendor's driver: its file, the function to start it (None: none needed) and the one that counts devices."""

    vendor: str
    file: str
    initialize: str | None
    counter: str


LIBRARIES: Final = (
    Library("NVIDIA", "libcuda.so.1", "cuInit", "cuDeviceGetCount"),
    Library("AMD", "libamdhip64.so", None, "hipGetDeviceCount"),
)
MISMATCH: Final = frozenset({802, 803, 804})
"""CUresult: system not ready, driver mismatch, compatibility not supported."""
NO_DEVICE: Final = 100


class Seen(NamedTuple):
    """`problem` says why there are none; `driver_at_fault` when driver and image do not fit."""

    devices: int
    problem: str = ""
    driver_at_fault: bool = False


def visible(load: Load = ctypes.CDLL) -> Seen:
    """The first vendor whose library is there answers. Never raises."""
    for library in LIBRARIES:
        try:
            driver = load(library.file)
        except OSError:
            continue
        return _ask(library, driver)
    files = " or ".join(library.file for library in LIBRARIES)
    return Seen(0, f"the container has no {files}: the GPU runtime of the node did not put a driver into it")


def _ask(library: Library, driver: Any) -> Seen:
    if library.initialize is not None:
        code = int(getattr(driver, library.initialize)(0))
        if code:
            return _refused(library.vendor, code)
    found = ctypes.c_int(0)
    code = int(getattr(driver, library.counter)(ctypes.byref(found)))
    return _refused(library.vendor, code) if code else Seen(found.value, "" if found.value else "the driver shows none")


def _refused(vendor: str, code: int) -> Seen:
    if code == NO_DEVICE:
        return Seen(0, f"the {vendor} driver shows none to this container")
    if code in MISMATCH:
        return Seen(0, f"the {vendor} driver of the node does not fit the libraries of the image (error {code})", True)
    return Seen(0, f"the {vendor} driver does not start (error {code})")


def main() -> None:
    """Prints a `Seen` as JSON."""
    sys.stdout.write(json.dumps(visible()._asdict()) + "\n")


if __name__ == "__main__":
    main()
