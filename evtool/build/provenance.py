# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image comes from: which source, which tools.

Apart from manifest.json, which says what to flash and is the same for the same source: a commit
that changes no source changes this file and not that one. No date and no path here either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from evtool.build.artifacts import MANIFEST, Artifact
from evtool.build.packages import Package
from evtool.build.plan import BuildPlan

PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class Source:
    """The state of the repository that the firmware is in.

    Attributes:
        commit: its object name.
        dirty: firmware or evtool.toml differ from it.
    """

    commit: str
    dirty: bool


def provenance(
    plan: BuildPlan,
    artifacts: Iterable[Artifact],
    *,
    source: Source | None,
    programs: Mapping[str, str | None],
    packages: Iterable[Package],
    bundle: str | None,
) -> Artifact:
    """The build manifest.

    Args:
        source: None outside of a repository.
        programs: versions of evtool, Python, PlatformIO and the compiler; None: not known.
        packages: what PlatformIO built with.
        bundle: the id of the bundle that they came from.
    """
    manifest = next((a.data for a in artifacts if a.name == MANIFEST), None)
    document = {
        "schema": 1,
        "env": plan.environment,
        "version": plan.version,
        "build_id": plan.build_id,
        "source": None if source is None else asdict(source),
        "programs": dict(programs),
        "packages": [
            {
                "kind": p.kind,
                "name": p.name,
                "owner": p.owner,
                "version": p.version,
                "licence": p.licence,
            }
            for p in packages
        ],
        "bundle": bundle,
        "images": [] if manifest is None else json.loads(manifest)["images"],
    }
    return Artifact(PROVENANCE, (json.dumps(document, indent=2) + "\n").encode())
