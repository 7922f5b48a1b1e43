"""The GPU of a measurement, beside what `benchmarks/machine.py` says of the rest."""

from __future__ import annotations

import subprocess
from typing import Any, Final

import torch

from benchmarks.machine import Machine, versions

PACKAGES: Final = ("torch", "triton", "transformers", "tokenizers", "sentence-transformers", "numpy", "safetensors")
_STATE: Final = "clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu,memory.used"


def facts(device: str, *, commit: str) -> dict[str, Any]:
    """Return the machine, the device, the libraries and the commit, for a JSON file."""
    about = Machine.here().facts() | {"versions": versions(PACKAGES), "device": device}
    if commit:
        about["commit"] = commit
    if device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        about["gpu"] = {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]  # torch has no types for it
            "driver": _asked("driver_version"),
        }
    return about


def state() -> dict[str, str]:
    """Return clocks, power and temperature of the GPU now; {} where nobody can say."""
    values = [value.strip() for value in _asked(_STATE).split(",")]
    names = _STATE.split(",")
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else {}


def line(about: dict[str, Any]) -> str:
    """Return the machine in a line for people."""
    gpu = about.get("gpu")
    device = f"{gpu['name']} ({gpu['memory_gb']} GB, driver {gpu['driver']}, CUDA {gpu['cuda']})" if gpu else "no GPU"
    libraries = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"{device}; {about['cores']} cores of {about['processor']}; {libraries}; commit {about['commit']}"


def _asked(what: str) -> str:
    """Ask nvidia-smi, which only answers: nothing of the device is changed."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits", "--id=0"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
