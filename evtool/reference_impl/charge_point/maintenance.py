# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks after the charge point: updates, logs, certificates, security events.

Each has its own machine, made when it is first needed; this file brings what they want to the
CSMS, to the storage, and to whoever drives the charge point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from evtool.reference_impl.charge_point import diagnostics, firmware_update
from evtool.reference_impl.charge_point.diagnostics import LogUpload, UploadOutcome
from evtool.reference_impl.charge_point.effects import Happened, Notify, Reboot, Upload
from evtool.reference_impl.charge_point.firmware_update import FirmwareUpdate, Installation
from evtool.reference_impl.charge_point.outbox import Request
from evtool.reference_impl.charge_point.security import connection_change
from evtool.reference_impl.charge_point.security.client_certificate import ClientCertificate
from evtool.reference_impl.charge_point.security.connection_change import (
    ConnectionChange,
    ConnectionSettings,
)
from evtool.reference_impl.charge_point.security.root_store import CENTRAL_SYSTEM, RootStore
from evtool.reference_impl.charge_point.security.security_log import SecurityLog
from evtool.reference_impl.charge_point.values import Effect

if TYPE_CHECKING:
    from evtool.reference_impl.charge_point.machine import ChargePoint

RECONFIGURED = "ReconfigurationOfSecurityParameters"
_KEPT_UPLOADS = (diagnostics.DIAGNOSTICS_KEY, diagnostics.LOG_KEY)


class _Machine(Protocol):
    def drain(self) -> list[Effect]: ...


class Maintenance:
    """A `Feature` of one charge point."""

    __slots__ = (
        "_charge_point",
        "_client",
        "_connection",
        "_firmware",
        "_log",
        "_roots",
        "_stored",
        "_uploads",
    )

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._stored = charge_point.settings.stored
        self._firmware: FirmwareUpdate | None = None
        self._log: SecurityLog | None = None
        self._roots: RootStore | None = None
        self._client: ClientCertificate | None = None
        self._connection: ConnectionChange | None = None
        self._uploads: dict[str, LogUpload] | None = None
        # What a power cut has interrupted goes on by itself.
        if firmware_update.KEY in self._stored:
            _ = self.firmware
        for key in _KEPT_UPLOADS:
            if key in self._stored:
                self.upload(key)
        if connection_change.KEY in self._stored:
            _ = self.connection
        self.happened("StartupOfTheDevice")

    # The machines.

    @property
    def firmware(self) -> FirmwareUpdate:
        """The firmware's update."""
        if self._firmware is None:
            self._firmware = FirmwareUpdate(self._stored, self._charge_point.mode.update)
        return self._firmware

    @property
    def log(self) -> SecurityLog:
        """The security log."""
        if self._log is None:
            self._log = SecurityLog(self._stored)
        return self._log

    @property
    def roots(self) -> RootStore:
        """The installed root certificates."""
        if self._roots is None:
            most = self._charge_point.configuration.integer("CertificateStoreMaxLength")
            self._roots = RootStore(self._stored, most)
        return self._roots

    @property
    def client(self) -> ClientCertificate:
        """The charge point's own certificate."""
        if self._client is None:
            self._client = ClientCertificate(self._stored)
        return self._client

    @property
    def connection(self) -> ConnectionChange:
        """New connection settings on trial."""
        if self._connection is None:
            self._connection = ConnectionChange(self._stored)
        return self._connection

    def upload(self, key: str) -> LogUpload:
        """The upload of GetDiagnostics or GetLog."""
        if self._uploads is None:
            self._uploads = {}
        if key not in self._uploads:
            self._uploads[key] = LogUpload(key, self._stored, self._charge_point.mode.update)
        return self._uploads[key]

    # What whoever drives the charge point reports.

    def on_downloaded(self, ticket: int, sha256: bytes | None, now_ms: int) -> None:
        """A `Download` has ended; see `FirmwareUpdate.on_downloaded`."""
        self.firmware.on_downloaded(ticket, sha256, now_ms)
        self._charge_point.tick(now_ms)

    def on_installed(self, ticket: int, outcome: Installation, now_ms: int) -> None:
        """An `Install` has ended; see `FirmwareUpdate.on_installed`."""
        self.firmware.on_installed(ticket, outcome, now_ms)
        self._charge_point.tick(now_ms)

    def on_uploaded(self, upload: Upload, outcome: UploadOutcome, now_ms: int) -> None:
        """An `Upload` has ended; see `LogUpload.on_uploaded`."""
        self.upload(upload.key).on_uploaded(upload.ticket, outcome, now_ms)
        self._charge_point.tick(now_ms)

    def on_key(self, key_pem: str, now_ms: int) -> None:
        """The private key that a `MakeKey` asked for."""
        settings = self._charge_point.settings
        name = settings.charge_box_serial_number or settings.serial_number or settings.model
        self.client.on_key(key_pem, name, self._charge_point.configuration.text("CpoName"))
        self._charge_point.tick(now_ms)

    def on_event(self, event: str, tech_info: str, now_ms: int) -> None:
        """A security event that only the driver can see, such as a refused certificate."""
        self.happened(event, tech_info)
        self._charge_point.tick(now_ms)

    # The connection.

    def settings(self) -> ConnectionSettings:
        """What the next connection is to be opened with."""
        configuration = self._charge_point.configuration
        profile = (
            configuration.integer("SecurityProfile")
            if configuration.find("SecurityProfile") is not None
            else 0
        )
        return ConnectionSettings(profile, configuration.text("AuthorizationKey"))

    def on_settings_changed(self, before: ConnectionSettings) -> None:
        """The CSMS has changed the key or the profile."""
        for output in self.connection.begin(before):
            self._charge_point.emit(output)
        self.happened(RECONFIGURED)

    def on_open(self) -> None:
        """A connection has opened."""
        if self._connection is not None:
            for output in self._connection.on_open():
                self._charge_point.emit(output)

    def on_failure(self) -> None:
        """No connection could be opened; after some tries what worked before comes back."""
        turned = (
            self._connection.on_failure(self.settings()) if self._connection is not None else None
        )
        if turned is None:
            return
        back, kept = turned
        charge_point = self._charge_point
        values = {
            "SecurityProfile": str(back.security_profile),
            "AuthorizationKey": back.authorization_key,
        }
        for key, value in values.items():
            if charge_point.configuration.find(key) is not None:
                charge_point.configuration.set_text(key, value)
                charge_point.persist(key, value or None)
        charge_point.emit(kept)
        charge_point.notice("connection settings taken back", f"profile {back.security_profile}")
        self.happened(RECONFIGURED, "taken back: no connection")

    def trusts_a_root(self) -> bool:
        """Whether a central system's root is installed."""
        return bool(self.roots.certificates(CENTRAL_SYSTEM))

    # Time.

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        charge_point = self._charge_point
        if self._firmware is not None:
            self._firmware.tick(
                now_ms,
                self._unix_ms(),
                transactions_run=any(each.transaction for each in charge_point.connectors),
            )
        if self._uploads is not None:
            for upload in self._uploads.values():
                upload.tick(now_ms)
        if self._has_news():
            self.log.tick(self._unix_ms())
        self.route()

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do."""
        charge_point = self._charge_point
        if self._has_news():
            return charge_point.now_ms
        if self._uploads is None and self._firmware is None:
            return None
        due = [upload.next_due_ms() for upload in (self._uploads or {}).values()]
        if self._firmware is not None:
            due.append(self._firmware.next_due_ms(charge_point.now_ms, self._unix_ms()))
        return min((moment for moment in due if moment is not None), default=None)

    def _has_news(self) -> bool:
        return self._log is not None and self._charge_point.registered and self._log.has_news()

    # Events and effects.

    def happened(self, event: str, tech_info: str = "") -> None:
        """Keep a security event, and tell the CSMS of a critical one."""
        charge_point = self._charge_point
        if not charge_point.mode.has_security:
            return
        told = not charge_point.configuration.boolean("DisableSecurityEventNotifications")
        self.log.record(event, tech_info, self._unix_ms(), told=told)

    def route(self) -> None:
        """Bring what the machines want to where it belongs."""
        for machine in (self._firmware, self._roots, self._client):
            if machine is not None:
                self._route(machine)
        if self._uploads is not None:
            for upload in self._uploads.values():
                self._route(upload)
        if self._log is not None:  # the last: the others add to it
            self._route(self._log)
        if self._firmware is not None:
            self._charge_point.out_of_service = self._firmware.blocks_connectors

    def _route(self, machine: _Machine) -> None:
        charge_point = self._charge_point
        for effect in machine.drain():
            match effect:
                case Notify(action, payload):
                    charge_point.outbox.put(Request(action, payload))
                case Happened(event, tech_info):
                    self.happened(event, tech_info)
                case Reboot():
                    charge_point.restart_later("Soft")
                case _:
                    charge_point.emit(effect)

    def _unix_ms(self) -> int | None:
        charge_point = self._charge_point
        return charge_point.unix_now() if charge_point.unix_offset_ms is not None else None
