# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks git, the compiler and the packages what a build was made of."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evtool.build.artifacts import Artifact
    from evtool.build.packages import Package
    from evtool.build.plan import BuildPlan


def provenance_of(plan: BuildPlan, artifacts: tuple[Artifact, ...]) -> Artifact:
    """The build manifest of what was just built."""
    import platformio

    from evtool import __version__
    from evtool.build.provenance import Source, provenance
    from evtool.link.git import source_state
    from evtool.link.program_version import program_version

    state = source_state(plan.firmware, (plan.firmware, plan.output.parent.parent / "evtool.toml"))
    programs = {
        "evtool": __version__,
        "python": platform.python_version(),
        "platformio": platformio.__version__,
    }
    if plan.for_host:
        programs["g++"] = program_version("g++")
    return provenance(
        plan,
        artifacts,
        source=None if state is None else Source(*state),
        programs=programs,
        packages=_packages(plan),
        bundle=None if plan.bundle is None else plan.bundle.name,
    )


def _packages(plan: BuildPlan) -> list[Package]:
    from evtool.build.bundle import storage_of
    from evtool.build.offline import requirements
    from evtool.build.packages import library_in, package_of

    if plan.for_host:
        named = [plan.variables.get(f"EVTOOL_{name}") for name in ("MICROOCPP", "ARDUINOJSON")]
        return [library_in(Path(folder)) for folder in named if folder]
    storage = None if plan.bundle is None else storage_of(plan.bundle)
    found = requirements(plan.firmware, plan.environment, storage)
    packages = [package_of(r.kind, r.name, r.found, r.folder) for r in found]
    # A library may be asked for twice, by the project and by another library.
    return sorted(set(packages), key=lambda p: (p.kind, p.name, p.version))
