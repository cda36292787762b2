# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the charge point and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evtool.reference_impl.charge_point.effects import Happened, Notify, Reboot, Work
from evtool.reference_impl.charge_point.mode import STRICT, Mode
from evtool.reference_impl.controller_types import Fault, Report, Snapshot

CONNECTOR = 1
"""The connector that a controller is beneath; 0 stands for the charge point as a whole."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Who the charge point is, and what it starts with.

    Attributes:
        vendor, model: at most 20 characters each (OCPP 1.6, BootNotification.req).
        serial_number: at most 25 characters; empty leaves the field out.
        firmware_version: at most 50 characters; empty leaves the field out.
        max_current_ma: what the hardware can give; the limit where no profile sets one.
        id_prefix: at most 20 characters, another one at every start, so that no message id
            is ever used twice.
        restart_reason: why it starts, as a Reason of OCPP 1.6, for the transaction that ran
            until then.
        stored: what earlier runs asked to keep (`Persist`), by key. Not shown, as `presets` is
            not: both may hold a key.
        connectors: how many there are, numbered from 1.
        mode: how it behaves where the specification leaves it open.
        presets: values of OCPP's keys before anybody has changed them; read-only ones too.
        has_lock: the plugs are locked: UnlockConnector asks for `Unlock`.
        charge_box_serial_number, meter_serial_number, meter_type: at most 25 characters each.
        iccid, imsi: at most 20 characters each.
        voltage_mv: of one phase against neutral, or of the direct current; 0 for unknown, and
            then no limit is converted between A and W.
        revocation_lists: of the manufacturer's authorities, PEM: whose certificates sign no
            firmware any more.
        over_tls: the URL is wss://: whatever the profile, the connection needs a root.
        phases: that feed a connector, 1 to 3; 0 for direct current.
    """

    vendor: str
    model: str
    serial_number: str = ""
    firmware_version: str = ""
    max_current_ma: int = 300_000
    id_prefix: str = "0"
    restart_reason: str = "PowerLoss"
    stored: Mapping[str, str] = field(default_factory=dict, repr=False)
    connectors: int = 1
    mode: Mode = STRICT
    presets: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_lock: bool = False
    charge_box_serial_number: str = ""
    iccid: str = ""
    imsi: str = ""
    meter_serial_number: str = ""
    meter_type: str = ""
    voltage_mv: int = 0
    phases: int = 0
    over_tls: bool = False
    revocation_lists: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of one connector; None is unknown, never zero.

    Attributes:
        energy_mwh: the register as it is stored, which only grows: what the CSMS may be told.
        faulted: a fault of the charge point itself; what the vehicle or the bus causes only
            suspends.
        error: an OCPP error code, or NoError.
        unstored: the register has grown since it was stored.
    """

    plugged: bool = False
    ev_ready: bool = False
    evse_ready: bool = False
    energy_mwh: int = 0
    power_mw: int | None = None
    measured_mv: int | None = None
    measured_ma: int | None = None
    offered_ma: int | None = None
    temperature_mdegc: int | None = None
    soc_permille: int | None = None
    faulted: bool = False
    error: str = "NoError"
    unstored: bool = False

    @classmethod
    def of(cls, snapshot: Snapshot) -> Inputs:
        """What a controller's snapshot means to OCPP."""
        return cls(
            plugged=snapshot.plugged,
            ev_ready=snapshot.ev_ready,
            evse_ready=snapshot.evse_ready,
            energy_mwh=snapshot.stored_mwh,
            power_mw=snapshot.power_mw,
            measured_mv=snapshot.measured_mv,
            measured_ma=snapshot.measured_ma,
            offered_ma=snapshot.offered_ma,
            temperature_mdegc=snapshot.temperature_mdegc,
            soc_permille=snapshot.soc_permille,
            faulted=any(fault is not Fault.BUS_OFF for fault in snapshot.faults),
            error=snapshot.error,
            unstored=snapshot.energy_mwh != snapshot.stored_mwh,
        )


@dataclass(frozen=True, slots=True)
class Send:
    """A text for the CSMS."""

    text: str


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep `value` under `key` and give it back in `Settings.stored` at the next start.

    All of what one `drain` gives is kept in one write, before anything of it is told. No value
    says to forget the key. The value is not shown: it may be an AuthorizationKey.
    """

    key: str
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Restart:
    """The CSMS wants a reset: restart the charge point now."""

    kind: Literal["Soft", "Hard"]


@dataclass(frozen=True, slots=True)
class AskRegister:
    """The register is about to be told: give it to the controller's `on_report`, carry out what
    that stores, and hand the snapshot in with `on_inputs`."""

    report: Report
    connector: int = CONNECTOR


@dataclass(frozen=True, slots=True)
class Unlock:
    """Unlock the plug, and say with `on_unlocked` whether it is."""

    connector: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Close the connection and open it anew: its key or its security profile has changed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that a log should show on one line: what, and about what."""

    what: str
    detail: str = ""


Output = Send | Persist | Restart | AskRegister | Unlock | Reconnect | Noticed | Work
Effect = Notify | Happened | Reboot | Persist | Work
"""What the machines for updates, logs and certificates want."""
