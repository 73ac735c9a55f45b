"""What the machine is, and what it is doing: memory of this process, load by all of them."""

import os
import platform
import resource
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


def description() -> dict[str, Any]:
    """What a reader needs to know about where figures come from."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": sys.version.split()[0],
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of packages; one that is on the path but not installed says so."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed, from the path"


def peak_resident_mib() -> float:
    """The most resident memory of this process so far, in MiB."""
    # ru_maxrss would start at what the parent had: it survives the fork and the exec.
    if (kilobytes := _status("VmHWM")) is not None:
        return kilobytes / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)


def resident_mib() -> float:
    """The resident memory of this process now, in MiB; its peak where only that is known."""
    kilobytes = _status("VmRSS")
    return peak_resident_mib() if kilobytes is None else kilobytes / 1024


def peak_device_mib(framework: str) -> float | None:
    """The most memory that this process had on its first accelerator, None without one.

    Args:
      framework: "jax" or "torch", which has to be imported by now.
    """
    if framework == "jax":
        import jax

        found = jax.local_devices()[0].memory_stats()
        return found["peak_bytes_in_use"] / 2**20 if found else None
    import torch  # pyright: ignore[reportMissingImports]

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None


def busy_seconds() -> float | None:
    """Seconds that all cores together were busy since they started; None where nobody counts."""
    try:
        fields = (_PROC / "stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, fields)
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def _status(field: str) -> int | None:
    try:
        lines = (_PROC / "self" / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def _cpu_model() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
