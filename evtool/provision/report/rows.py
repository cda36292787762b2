# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's ledger as rows, one a unit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from evtool.protocol.ledger_record import Record
from evtool.provision.ledger.unit_state import fold

NOT_BEGUN = "not_begun"
DONE = ("proved",)
"""The status of a unit that is as it shall be. `rotated` and `rolled_back` are none: each is
followed by reading back and the proof, which were cut short where it is the last step."""


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit as its records leave it; texts are "" and numbers None where nothing is known.

    Attributes:
        status: its last step (`evtool.provision.ledger.unit_state`), or `not_begun` for one
            that only the fleet's file knows.
        since: when that was, UTC.
        first_pass: it was proved, and never failed; None before it was tried.
        proved_at: when it last proved what it is.
        failed_step, failed_cause, failed_reason: of its latest failure, mended or not.
        ca_sha256, ca_subject, ca_not_after: the root that it trusts.
        certificate_sha256, certificate_not_after: its own certificate, in security profile 3.
        station: whose record is its last.
    """

    unit: str
    status: str
    since: str = ""
    mac: str = ""
    serial_number: str = ""
    chip: str = ""
    firmware: str = ""
    csms_url: str = ""
    security_profile: int | None = None
    first_pass: bool | None = None
    proved_at: str = ""
    failed_step: str = ""
    failed_cause: str = ""
    failed_reason: str = ""
    ca_sha256: str = ""
    ca_subject: str = ""
    ca_not_after: str = ""
    certificate_sha256: str = ""
    certificate_not_after: str = ""
    image_sha256: str = ""
    station: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it is as it shall be."""
        return self.status in DONE

    @property
    def is_gone(self) -> bool:
        """Whether it left the fleet."""
        return self.status in ("decommissioned", "released")

    def expires_within(self, days: int, now: datetime) -> bool:
        """Whether one of its certificates has ended, or ends in so many days."""
        return any(
            (left := days_left(text, now)) is not None and left <= days
            for text in (self.ca_not_after, self.certificate_not_after)
        )

    def as_dict(self) -> dict[str, object]:
        """Its fields by name, in the order of COLUMNS."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(UnitRow))
"""The columns of an export, in their order."""


def days_left(text: str, now: datetime) -> int | None:
    """Whole days from `now` to a moment in ISO 8601; negative once it is over; None for ""."""
    if not text:
        return None
    end = datetime.fromisoformat(text)
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    return (end - now).days


def unit_rows(latest: Iterable[Sequence[Record]], wanted: Iterable[str] = ()) -> Iterator[UnitRow]:
    """All units, by identity.

    Args:
        latest: for each unit the latest record of each event and board (`Ledger.latest`).
        wanted: the identities of the fleet's file; those that the ledger does not know come
            last, in their order.
    """
    known = set()
    for records in latest:
        row = unit_row(records)
        if row is not None:
            known.add(row.unit)
            yield row
    for unit in wanted:
        if unit not in known:
            yield UnitRow(unit, NOT_BEGUN)


def unit_row(records: Sequence[Record]) -> UnitRow | None:
    """The row of the unit that `records`, oldest first, are about; None for no records."""
    state = fold(records)
    if state is None:
        return None
    held: Mapping[str, object] = {} if state.written is None else state.written.fields
    failures = [record for record in records if record.event == "failed"]
    failure: Mapping[str, object] = failures[-1].fields if failures else {}
    tried = [record.event for record in records if record.event in ("proved", "failed")]
    proofs = [record.time for record in records if record.event == "proved"]
    profile = held.get("security_profile")
    return UnitRow(
        unit=state.unit,
        status=state.status,
        since=state.time,
        mac=state.mac or "",
        serial_number=_text(held, "serial_number"),
        chip=_text(held, "chip"),
        firmware=_text(held, "build_id") or _text(held, "firmware_sha256"),
        csms_url=_text(held, "csms_url"),
        security_profile=profile if isinstance(profile, int) else None,
        first_pass=not failures if tried else None,
        proved_at=max(proofs, default=""),
        failed_step=_text(failure, "step"),
        failed_cause=_text(failure, "cause"),
        failed_reason=_text(failure, "reason"),
        ca_sha256=_text(held, "ca_sha256"),
        ca_subject=_text(held, "ca_subject"),
        ca_not_after=_text(held, "ca_not_after"),
        certificate_sha256=_text(held, "certificate_sha256"),
        certificate_not_after=_text(held, "certificate_not_after"),
        image_sha256=_text(held, "image_sha256"),
        station=_printable(state.last.station),
    )


def _text(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    return "" if value is None else _printable(str(value))


def _printable(text: str) -> str:
    """What a terminal, a page and a spreadsheet show as it is, whoever recorded it."""
    return "".join(each if each.isprintable() else " " for each in text)


def csv_lines(rows: Iterable[UnitRow]) -> Iterator[str]:
    """A CSV as Excel and every library read it: comma, quotes where needed, CRLF.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    yield _csv_line(COLUMNS)
    for row in rows:
        yield _csv_line([_cell(value) for value in row.as_dict().values()])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
