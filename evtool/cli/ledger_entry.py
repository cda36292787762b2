# SPDX-License-Identifier: GPL-3.0-or-later
"""One board's entries in the ledger: first what it claims, then what it was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from evtool import __version__
from evtool.errors import ConfigError
from evtool.protocol.ledger_record import ClaimTaken
from evtool.provision.ledger.in_change import in_change

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.errors import EvtoolError
    from evtool.link.ledger_database import SqlLedger
    from evtool.project import Project
    from evtool.protocol.board_flash import ChipInfo
    from evtool.protocol.ledger_record import Claim
    from evtool.provision.identity import Identity
    from evtool.provision.ledger.store import Change

_FIX = (
    "give the board another identity; or, if it shall have this one, say --reassign: what the "
    "other one has is released, and that is recorded"
)
_KEY_FIX = (
    "give this unit a key of its own, such as { generate = true }; units that shall share one are "
    "rows of a fleet's file whose template names it in `shared`"
)


def key_claims(identity: Identity) -> list[tuple[str, str]]:
    """The claims on the secrets that only one unit may have."""
    from evtool.provision.secrets.fingerprint import key_fingerprint

    return [
        ("key", key_fingerprint(secret))
        for name, secret in identity.secrets().items()
        if name != "wifi_passphrase"
    ]


class LedgerEntry:
    """What happened to one board, in the order in which it happened.

    Args:
        keys: the claims on the unit's keys (`key_claims`).
        reassign: take the identity from another board, and the board from another identity.

    Attributes:
        step: the one that is under way.
    """

    def __init__(
        self,
        output: Output,
        project: Project,
        ledger: SqlLedger,
        keys: Iterable[tuple[str, str]],
        *,
        reassign: bool = False,
    ) -> None:
        self._output = output
        self._project = project
        self._ledger = ledger
        self._keys = tuple(keys)
        self._reassign = reassign
        self._mac: str | None = None
        self.step = "claim"

    def claim(self, mac: str) -> None:
        """Bind the identity to the board `mac`, before its flash is touched.

        Raises:
            ClaimTaken: another board has it, or the board has another one, or another unit has
                its key. Nothing is claimed or released then.
            ConfigError: the unit was decommissioned, and not released.
        """
        unit = self._project.charge_point.identity
        self._refuse_retired(unit)
        self._tell(*in_change(self._ledger, lambda change: self._claim_all(change, unit, mac)))
        # Not before: of a board that was refused the unit's records say nothing.
        self._mac = mac

    def _claim_all(
        self, change: Change, unit: str, mac: str
    ) -> tuple[list[Claim], ClaimTaken | None]:
        released: list[Claim] = []
        while True:
            try:
                change.claim(unit, [("identity", unit), ("mac", mac)], mac=mac)
                break
            except ClaimTaken as taken:
                if not self._reassign or not self._take_over(change, taken.holder, mac):
                    taken.fix = _FIX
                    raise
                released.append(taken.holder)
        self._claim_keys(change, mac)
        return released, self._claim_serial(change, mac)

    def _refuse_retired(self, unit: str) -> None:
        from evtool.provision.ledger.unit_state import state
        from evtool.provision.run.assignment import RETIRED

        found = state(self._ledger, unit)
        if found is not None and found.status == RETIRED and not self._reassign:
            raise ConfigError(
                f"{unit} was decommissioned at {found.time}; an identity is not used again",
                fix="give the board another identity; or, if it shall have this one, say "
                "--reassign",
            )

    def _take_over(self, change: Change, holder: Claim, mac: str) -> bool:
        """Release all that the holder's board has, and record who wanted it so."""
        held = {(holder.kind, holder.value)} | {
            (each.kind, each.value)
            for each in self._ledger.claims_of(holder.unit)
            if each.fits(holder.unit, holder.mac)
        }
        if change.release(holder.unit, held, mac=holder.mac) is None:
            return False
        change.append(
            "overridden",
            unit=self._project.charge_point.identity,
            mac=mac,
            fields={"word": "--reassign", "from_unit": holder.unit, "from_mac": holder.mac},
        )
        return True

    def _claim_keys(self, change: Change, mac: str) -> None:
        """Two units with one key would be one unit to whoever has it."""
        try:
            change.claim(self._project.charge_point.identity, self._keys, mac=mac)
        except ClaimTaken as taken:
            taken.fix = _KEY_FIX
            raise

    def _tell(self, released: Iterable[Claim], shared: ClaimTaken | None) -> None:
        for holder in released:
            where = "" if holder.mac is None else f" on board {holder.mac}"
            self._output.say(f"note: {holder.unit}{where} gives up what it has")
            self._output.event("reassigned", unit=holder.unit, mac=holder.mac)
        if shared is not None:
            self._output.say(f"note: {shared.message}")
            self._output.event("serial_shared", unit=shared.holder.unit, mac=shared.holder.mac)

    def _claim_serial(self, change: Change, mac: str) -> ClaimTaken | None:
        """The project's serial number; one project may give names to several boards.

        Returns: who has it, if another one.
        """
        unit = self._project.charge_point
        try:
            change.claim(unit.identity, [("serial", unit.serial_number)], mac=mac)
        except ClaimTaken as taken:
            return taken
        return None

    def written(
        self,
        chip: ChipInfo,
        part: tuple[int, str],
        identity: Identity,
        *,
        encrypted: bool = False,
    ) -> None:
        """The board's flash holds the identity.

        Args:
            chip: the board.
            part: where the identity's image was written, and its SHA-256 in clear.
            identity: what is in it; of its certificates the ends are noted.
            encrypted: with the board's NVS keys.
        """
        self._mac = chip.mac
        unit = self._project.charge_point
        self._add(
            "written",
            {
                "charge_point": unit.identity,
                "serial_number": unit.serial_number,
                "chip": chip.description,
                "partition_offset": part[0],
                "image_sha256": part[1],
                "encrypted": encrypted,
                "csms_url": self._project.csms.url,
                "security_profile": self._project.csms.security_profile,
                "evtool": __version__,
            }
            | identity.certificate_fields(),
        )

    def proved(self, boot: Mapping[str, str]) -> None:
        """The board said its identity."""
        self._add("proved", {"boot": dict(boot)})

    def failed(self, error: EvtoolError) -> None:
        """It ended with an error; where the board was given nothing yet, that is no record."""
        from evtool.provision.ledger.failure import failure_fields

        if self._mac is not None:
            self._add("failed", failure_fields(self.step, error))

    def _add(self, event: str, fields: Mapping[str, object]) -> None:
        with self._ledger.change() as change:
            change.append(
                event,
                unit=self._project.charge_point.identity,
                mac=self._mac,
                fields=fields,
            )
