"""Finds the programs of this installation and the libtorch that they need, without importing torch."""

from __future__ import annotations

import os
import platform
import re
import struct
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

#: Server, worker and the files of the pages, as `cargo xtask wheel` puts them into the wheel.
PROGRAMS = Path(__file__).with_name("programs")


class InstallationError(Exception):
    """Something that the programs need is missing. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Machine:
    """What the programs have to fit to."""

    system: str
    pointer_bits: int
    #: Name and version of the C library, such as ``("glibc", "2.36")``; the name is empty where it is another.
    libc: tuple[str, str]

    @classmethod
    def this(cls) -> Machine:
        """Look at the machine and the Python that this runs on."""
        return cls(platform.system(), 8 * struct.calcsize("P"), platform.libc_ver())


def check_machine(machine: Machine, needed_glibc: tuple[int, int]) -> None:
    """Refuse a machine on which the programs cannot start."""
    if machine.system != "Linux":
        raise InstallationError(f"the programs of CrossLens run on Linux, not on {machine.system}: use a Linux machine and its address here")
    if machine.pointer_bits != 64:
        raise InstallationError("this Python has 32 bits, for which there is no PyTorch: install a Python of 64 bits")
    name, version = machine.libc
    needed = ".".join(map(str, needed_glibc))
    if name != "glibc":
        raise InstallationError(f"this system has no glibc, which PyTorch needs: use a distribution with glibc {needed} or newer, such as Debian 12")
    if tuple(int(part) for part in version.split(".")[:2]) < needed_glibc:
        raise InstallationError(
            f"this system has glibc {version}, and the programs need {needed}: use a newer system, such as Debian 12, or build CrossLens from source here"
        )


def needed_glibc() -> tuple[int, int]:
    """Return the oldest glibc that the programs of this wheel run with, as its platform tag says."""
    tag = re.search(r"manylinux_(\d+)_(\d+)_", metadata.distribution("crosslens").read_text("WHEEL") or "")
    # Modules without programs, as of `pip install -e`, need none.
    return (int(tag[1]), int(tag[2])) if tag else (0, 0)


def program(name: str) -> Path:
    """Return the path of a program."""
    path = PROGRAMS / name
    if not path.is_file():
        raise InstallationError("this installation holds the Python modules alone: install a wheel that `cargo xtask wheel` has made")
    return path


def libtorch() -> Path:
    """Return the folder of libtorch's libraries in this Python's torch. Refuses another version."""
    needed = _needed_torch()
    install = f"`pip install torch=={needed}`"
    spec = util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise InstallationError(f"this Python has no torch: {install}")
    folder = Path(next(iter(spec.submodule_search_locations)))
    found = _version(folder)
    if found.split("+")[0] != needed:
        raise InstallationError(f"this Python has torch {found or 'of an unknown version'}, and the programs are linked to {needed}: {install}")
    if not (folder / "lib" / "libtorch_cpu.so").is_file():
        raise InstallationError(f"torch in {folder} has no lib/libtorch_cpu.so: {install}, as it comes from PyPI")
    return folder / "lib"


def environment() -> dict[str, str]:
    """Return the environment for the programs: where libtorch, worker, pages and data are.

    What is set already stays. Raises :class:`InstallationError` where something is missing.
    """
    check_machine(Machine.this(), needed_glibc())
    environment = dict(os.environ)
    inherited = environment.get("LD_LIBRARY_PATH", "")
    environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [str(libtorch()), inherited]))
    environment.setdefault("CROSSLENS_WORKER", str(program("worker")))
    if (PROGRAMS / "web").is_dir():
        environment.setdefault("CROSSLENS_WEB", str(PROGRAMS / "web"))
    environment.setdefault("CROSSLENS_DATA_DIR", str(data_dir()))
    return environment


def data_dir() -> Path:
    """Return the folder of runs and database: that of the XDG base directories, whatever the current folder is."""
    home = os.environ.get("XDG_DATA_HOME", "")
    # Relative paths are to be ignored.
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return base / "crosslens"


def _needed_torch() -> str:
    requirements = metadata.requires("crosslens") or []
    pinned = (re.fullmatch(r"torch==([\d.]+)", requirement) for requirement in requirements)
    return next(match[1] for match in pinned if match)


def _version(folder: Path) -> str:
    # In the same folder as the libraries; importing torch takes seconds.
    try:
        text = (folder / "version.py").read_text()
    except OSError:
        return ""
    match = re.search(r"^__version__ = ['\"]([^'\"]+)", text, re.MULTILINE)
    return match[1] if match else ""
