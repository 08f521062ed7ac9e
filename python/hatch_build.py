"""Puts the programs into the wheel, where the caller has built them: `cargo xtask wheel`.

Without them, as in `pip install -e python`, the wheel holds the Python modules alone.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the folder `CROSSLENS_PROGRAMS` as `crosslens/programs`, for the platform `CROSSLENS_PLATFORM`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Change what is built before it is built."""
        programs = os.environ.get("CROSSLENS_PROGRAMS")
        if programs is None:
            return
        build_data["force_include"][programs] = "crosslens/programs"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['CROSSLENS_PLATFORM']}"
