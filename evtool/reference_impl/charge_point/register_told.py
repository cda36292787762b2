# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSMS is told of the register only what is stored, so that no power cut takes it back.

Where the register has grown since it was stored, the controller is asked first (`AskRegister`),
and what wants to tell it waits for inputs that come after that. A sample tells what they say is
stored, whether the controller has stored anew or not: it limits how often it does
(docs/controller.md, Energy). A start or an end waits until everything is stored. It waits for two
inputs at most: the first may have been on its way already, and the register may have grown again.
In doubt less is told, never more.
"""

from __future__ import annotations

from collections.abc import Callable

from evtool.reference_impl.controller_types import Report

_PATIENCE = {Report.SAMPLE: 1, Report.TRANSACTION: 2}


class RegisterTold:
    """Who wants to tell the register, and whether it may be told now.

    Args:
        ask: asks the controller.
    """

    def __init__(self, ask: Callable[[Report], None]) -> None:
        self._ask = ask
        self._asked: dict[Report, int] = {}  # how many inputs have come since
        self._answered: set[Report] = set()
        self._waiting: list[tuple[Report, Callable[[], None]]] = []

    def on_inputs(self, unstored: bool) -> None:
        """New inputs are there; who waited for what they say has its turn."""
        self._asked = {report: came + 1 for report, came in self._asked.items()}
        self._answered = {
            report
            for report, came in self._asked.items()
            if not unstored or came >= _PATIENCE[report]
        }
        for report in self._answered:
            del self._asked[report]
        waiting, self._waiting = self._waiting, []
        for report, tell in waiting:
            self.once_stored(unstored, report, tell)

    def may_tell(self, unstored: bool, report: Report) -> bool:
        """Whether the inputs at hand may be told; if not, the controller is asked.

        Args:
            unstored: the register has grown since what the inputs say was stored.
            report: what it is told in.
        """
        if not unstored or self._answered & {report, Report.TRANSACTION}:
            return True
        if report not in self._asked:
            self._asked[report] = 0
            self._ask(report)
        return False

    def once_stored(self, unstored: bool, report: Report, tell: Callable[[], None]) -> None:
        """Call `tell` now, or as soon as there are inputs that may be told."""
        if self.may_tell(unstored, report):
            tell()
        else:
            self._waiting.append((report, tell))
