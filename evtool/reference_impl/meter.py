# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy register: grows with every sample, survives restarts, is never reset.

Rules:
    energy = the previous sample's voltage x current x the time since, if that is at most 2000 ms
    millivolts x milliamperes x milliseconds are nanojoules; what does not make a whole mWh
    (3.6e9 nJ) is carried, so nothing is lost or rounded
    a sample whose power is not positive adds nothing: the register only grows
    the session's energy is the difference of two registers
"""

from __future__ import annotations

from evtool.reference_impl.controller_types import MAX_ENERGY_MWH

MAX_GAP_MS = 2000
NANOJOULES_PER_MWH = 3_600_000_000


class Meter:
    """One register and the session that looks at it."""

    def __init__(self, stored_mwh: int) -> None:
        self.register_mwh = min(stored_mwh, MAX_ENERGY_MWH)
        self._carried_nj = 0
        self._previous_uw: int | None = None
        self._previous_ms = 0
        self._session_start: int | None = None
        self._session_end: int | None = None

    def sample(self, millivolts: int, milliamperes: int, now_ms: int) -> None:
        """Take what is measured now; the energy since the last sample joins the register."""
        gap_ms = now_ms - self._previous_ms
        if self._previous_uw is not None and gap_ms <= MAX_GAP_MS:
            # Split before multiplying: the product of three wire values does not fit 64 bits.
            whole, rest = divmod(self._previous_uw, NANOJOULES_PER_MWH)
            carried, self._carried_nj = divmod(self._carried_nj + rest * gap_ms, NANOJOULES_PER_MWH)
            grown = self.register_mwh + whole * gap_ms + carried
            self.register_mwh = min(grown, MAX_ENERGY_MWH)
        self._previous_uw = max(millivolts * milliamperes, 0)
        self._previous_ms = now_ms

    def start_session(self) -> None:
        """A transaction starts: its energy counts from here."""
        self._session_start = self.register_mwh
        self._session_end = None

    def end_session(self) -> None:
        """The transaction ended: its energy stays as it is until the next one."""
        self._session_end = self.register_mwh

    def session_mwh(self) -> int | None:
        """Energy of the running or the last session; None before the first."""
        if self._session_start is None:
            return None
        end = self.register_mwh if self._session_end is None else self._session_end
        return end - self._session_start
