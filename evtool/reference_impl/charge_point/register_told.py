# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSMS is told of the register only what is stored, so that no power cut takes it back.

Where the register has grown since it was stored, the controller is asked first (`AskRegister`),
and what wants to tell it waits for the next inputs. They hold what is stored by then, whether the
controller has stored anew or not: it limits how often it does (docs/controller.md, Energy).
"""

from __future__ import annotations

from collections.abc import Callable

from evtool.reference_impl.controller_types import Report


class RegisterTold:
    """Who wants to tell the register, and whether it may be told now.

    Args:
        ask: asks the controller.
    """

    def __init__(self, ask: Callable[[Report], None]) -> None:
        self._ask = ask
        self._asked: set[Report] = set()
        self._answered = False
        self._waiting: list[Callable[[], None]] = []

    def on_inputs(self) -> None:
        """New inputs are there, which answer what was asked; who waited has its turn."""
        self._answered = bool(self._asked)
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    def may_tell(self, unstored: bool, report: Report) -> bool:
        """Whether the inputs at hand may be told; if not, the controller is asked.

        Args:
            unstored: the register has grown since what the inputs say was stored.
            report: what it is told in.
        """
        if not unstored or self._answered:
            return True
        if report not in self._asked:
            self._asked.add(report)
            self._ask(report)
        return False

    def once_stored(self, unstored: bool, report: Report, tell: Callable[[], None]) -> None:
        """Call `tell` now, or as soon as there are inputs that may be told."""
        if self.may_tell(unstored, report):
            tell()
        else:
            self._waiting.append(tell)
