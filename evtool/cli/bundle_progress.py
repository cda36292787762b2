# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle on its way: a bar on a terminal, JSON lines for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evtool.cli.build_progress import StatusLine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evtool.cli.output import Output
    from evtool.protocol.bundle_manifest import BundledPackage, Manifest

_CELLS = 24


class BundleProgress:
    """Counts bytes of one stage after the other.

    Args:
        total: the bytes of each stage; 0 where they are not known yet.
    """

    def __init__(self, output: Output, total: int) -> None:
        self._output = output
        self._total = total
        self._line = StatusLine()
        self._stage = ""
        self._done = 0
        self._told = -1

    def stage(self, name: str) -> None:
        """The next stage begins."""
        self._stage, self._done, self._told = name, 0, -1
        self._output.event(name)
        if not self._output.as_json:
            self._line.show(f"  {name}")

    def add(self, path: str, size: int) -> None:
        """`size` bytes of the file `path` are done."""
        self._done += size
        told = self._done * 100 // self._total if self._total else self._done >> 24
        if told == self._told:
            return
        self._told = told
        if self._output.as_json:
            self._output.event(
                "progress", stage=self._stage, file=path, done=self._done, total=self._total or None
            )
            return
        name = path.rsplit("/", 1)[-1]
        if self._total:
            share = min(self._done / self._total, 1.0)
            bar = f"[{'#' * int(share * _CELLS):{_CELLS}}] {int(share * 100):3d} %"
            self._line.show(f"  {self._stage:7} {bar} {name}")
        else:
            self._line.show(f"  {self._stage:7} {self._done / 1e6:,.0f} MB {name}")

    def finish(self) -> None:
        """Take the line away."""
        self._line.clear()


def package_lines(packages: Iterable[BundledPackage]) -> list[str]:
    """One line a package: what it is, its version and its licence."""
    rows = [
        (p.kind, f"{p.owner}/{p.name}".removeprefix("-/"), p.version, p.licence) for p in packages
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return [
        "  "
        + " ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=False))
        + f" {row[3]}"
        for row in rows
    ]


def manifest_document(manifest: Manifest, identifier: str) -> dict[str, object]:
    """What programs are told of a bundle; its files are in the manifest itself."""
    from dataclasses import asdict

    document = asdict(manifest)
    return document | {
        "id": identifier,
        "entries": len(manifest.entries),
        "bytes": manifest.size,
    }
