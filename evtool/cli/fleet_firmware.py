# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware of a fleet's run: a build, where one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evtool.errors import ConfigError
from evtool.flash.image_plan import FlashPlan, parse_manifest, plan_flash
from evtool.flash.station.order import Order, order_of_plan
from evtool.protocol.board_flash import ANY_CHIP
from evtool.provision.run.board import Firmware

if TYPE_CHECKING:
    from evtool.project import Project

_FLASH_SIZE = 0  # nothing is known of what a board without a build needs


def asked_firmware(
    project: Project, manifest: Path | None, environment: str | None, wanted: bool
) -> FlashPlan | None:
    """The build that `--manifest`, `--env` or `--with-firmware` names; None for none.

    Raises:
        ConfigError: there is no such build, or it is broken.
    """
    if manifest is None and environment is None and not wanted:
        return None
    environment = environment or project.build.environment
    path = manifest or project.root / "build" / environment / "manifest.json"
    return named_plan(path, environment)


def named_plan(path: Path, environment: str | None) -> FlashPlan:
    """The build whose manifest.json is at `path`.

    Raises:
        ConfigError: there is none, or it is broken.
    """
    text = _read(path)
    if text is None:
        build = "evtool build" + (f" --env {environment}" if environment else "")
        raise ConfigError(f"{path}: no such file", fix=f"build first: `{build}`")
    return plan_flash(parse_manifest(text.decode("utf-8", "replace"), path), _read)


def firmware_of(plan: FlashPlan | None) -> Firmware | None:
    """A build's plan as what a run writes."""
    if plan is None:
        return None
    order = order_of_plan(plan)
    return Firmware(plan.build_id, order.fingerprint, plan.parts, plan.partitions, order.title)


def gate_order(plan: FlashPlan | None) -> Order:
    """What the gates compare a board with; without a build any chip will do."""
    if plan is not None:
        return order_of_plan(plan)
    return Order(ANY_CHIP, _FLASH_SIZE, (), "", "identities alone")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
