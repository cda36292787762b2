# SPDX-License-Identifier: GPL-3.0-or-later
"""A flash plan, run: written, then compared with what the flash holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evtool.errors import DeviceError
from evtool.flash.image_plan import FlashPlan
from evtool.protocol.board_flash import ChipInfo, FlashPart, WriteProgress


class WritableFlash(Protocol):
    """The flash of one board; `evtool.link.esptool.Esptool` is one."""

    def write(
        self,
        parts: Sequence[FlashPart],
        on_progress: Callable[[WriteProgress], None] | None = None,
    ) -> ChipInfo:
        """Write parts."""

    def verify(self, parts: Sequence[FlashPart]) -> ChipInfo:
        """Compare parts with the flash; DeviceError where they differ."""


@dataclass(frozen=True, slots=True)
class Flashed:
    """What was done, and how long each step took."""

    chip: ChipInfo
    verified: bool
    times_ms: dict[str, int]


def write_plan(
    plan: FlashPlan,
    board: WritableFlash,
    *,
    verify: bool,
    now_ms: Callable[[], int],
    on_step: Callable[[str], None],
    on_progress: Callable[[FlashPart, int], None],
) -> Flashed:
    """Write every part, and verify them in a second run that knows nothing of the first.

    Args:
        board: its flash; refuses a chip that is not the plan's.
        verify: compare again after esptool's own check of what it wrote.
        on_step: told `write` and `verify` as they begin.
        on_progress: told part and percent, once for each percent.

    Raises:
        DeviceError, LinkTimeout, ToolError: the flash is then partly written.
    """
    shown: tuple[int, int] | None = None

    def follow(progress: WriteProgress) -> None:
        nonlocal shown
        if (progress.part, progress.percent) != shown:
            shown = (progress.part, progress.percent)
            on_progress(plan.parts[progress.part], progress.percent)

    times: dict[str, int] = {}
    on_step("write")
    began = now_ms()
    chip = board.write(plan.parts, follow)
    times["write"] = now_ms() - began
    if verify:
        on_step("verify")
        began = now_ms()
        second = board.verify(plan.parts)
        times["verify"] = now_ms() - began
        if second.mac != chip.mac:
            raise DeviceError(
                f"the board was changed in between: {chip.mac} is now {second.mac}",
                fix="leave the board connected, and run the command again",
            )
    return Flashed(chip, verify, times)
