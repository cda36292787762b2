# SPDX-License-Identifier: GPL-3.0-or-later
"""One run's entries in the project's ledger of provisioned units."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from evtool import __version__
from evtool.link.append_file import add_to_file
from evtool.provision.ledger.line_file import FILE, other_boards, plan_addition, record_line

if TYPE_CHECKING:
    from evtool.cli.output import Output
    from evtool.project import Project
    from evtool.protocol.board_flash import ChipInfo
    from evtool.provision.ca_certificate import CaCertificate


class LedgerEntry:
    """What happened to one board, in the order in which it happened.

    Attributes:
        path: the ledger.
    """

    def __init__(self, output: Output, project: Project) -> None:
        self._output = output
        self._project = project
        self._unit: dict[str, object] = {}
        self.path = project.root / FILE

    def written(self, chip: ChipInfo, part: tuple[int, str], root: CaCertificate | None) -> None:
        """The board's flash holds the identity; warns where another board has it too.

        Args:
            chip: the board.
            part: where the identity's image was written, and its SHA-256.
            root: the certificate in it, whose end will be the unit's.
        """
        unit = self._project.charge_point
        self._unit = {
            "charge_point": unit.identity,
            "serial_number": unit.serial_number,
            "mac": chip.mac,
        }
        content = self.path.read_bytes() if self.path.exists() else b""
        for mac in other_boards(content, unit.identity, chip.mac):
            self._output.say(f"note: the ledger says that {mac} has this identity too")
            self._output.event("identity_shared", mac=mac)
        self._add(
            "written",
            {
                "chip": chip.description,
                "partition_offset": part[0],
                "image_sha256": part[1],
                "csms_url": self._project.csms.url,
                "security_profile": self._project.csms.security_profile,
                "ca_sha256": None if root is None else root.fingerprint,
                "ca_not_after": None if root is None else root.not_after.isoformat(),
                "evtool": __version__,
            },
        )

    def proved(self, boot: Mapping[str, str]) -> None:
        """The board said its identity."""
        self._add("proved", {"boot": dict(boot)})

    def not_proved(self, error: Exception) -> None:
        """The board did not say it, if it came that far."""
        if self._unit:
            self._add("not_proved", {"reason": str(error).splitlines()[0]})

    def _add(self, event: str, fields: Mapping[str, object]) -> None:
        line = record_line(event, datetime.now(UTC), self._unit | dict(fields))
        add_to_file(self.path, lambda content: plan_addition(content, line))
