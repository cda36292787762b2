# SPDX-License-Identifier: GPL-3.0-or-later
"""UpdateFirmware and SignedUpdateFirmware (OCPP 1.6, 5.19; security whitepaper ed. 2, L01).

=============  ==================================================================
step           ends when
=============  ==================================================================
scheduled      retrieveDate: Downloading
downloading    the image is there: Downloaded, with its signature checked
retrying       the pause after a failed attempt is over
waiting        no transaction runs, and installDateTime has come: Installing
installing     it is installed, has failed, or needs a restart
rebooting      the charge point has started again: Installed
=============  ==================================================================

Every step is kept, so a power cut costs an attempt at most: what was under way begins again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Literal

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.effects import (
    Abandon,
    Download,
    Happened,
    Install,
    Notify,
    Reboot,
)
from evtool.reference_impl.charge_point.kept_record import kinds_of, read_record, render_record
from evtool.reference_impl.charge_point.retries import MOST, Retries
from evtool.reference_impl.charge_point.security.firmware_signature import is_signed_by
from evtool.reference_impl.charge_point.update_rules import STRICT_UPDATE, UpdateRules
from evtool.reference_impl.charge_point.values import Effect, Persist

KEY = "firmware_update"
Installation = Literal["installed", "failed", "unverified", "needs_restart"]
"""How an installation ended; unverified: the image is no longer the one that was fetched."""


class Step(Enum):
    """Where an update is."""

    SCHEDULED = "scheduled"
    DOWNLOADING = "downloading"
    RETRYING = "retrying"
    WAITING = "waiting"
    INSTALLING = "installing"
    REBOOTING = "rebooting"


@dataclass(slots=True)
class _Update:
    """The kept part. Times are Unix milliseconds; request_id is None for an unsigned one."""

    step: str
    location: str
    retrieve_unix_ms: int
    left: int
    interval_ms: int
    request_id: int | None = None
    install_unix_ms: int | None = None
    certificate: str = ""
    signature: str = ""
    sha256: str = ""


_KINDS = kinds_of(_Update)


class FirmwareUpdate:
    """The charge point's one update. What it wants done comes from `drain`.

    Args:
        stored: what earlier runs kept, by key.
        rules: of the charge point.
    """

    __slots__ = (
        "_blocked",
        "_effects",
        "_retry_ms",
        "_rules",
        "_ticket",
        "_transactions_run",
        "_update",
        "status",
    )

    def __init__(
        self, stored: Mapping[str, str] | None = None, rules: UpdateRules = STRICT_UPDATE
    ) -> None:
        self._rules = rules
        self._effects: list[Effect] = []
        self._ticket = 0
        self._retry_ms: int | None = None
        self._blocked = False
        self._transactions_run = False
        self.status = "Idle"
        """What a triggered notification says (FirmwareStatus)."""
        self._update = _read((stored or {}).get(KEY, ""))
        if self._update is not None:
            self._resume(self._update)
        elif KEY in (stored or {}):
            self._effects.append(Persist(KEY, None))

    @property
    def request_id(self) -> int | None:
        """Of the signed update that runs."""
        return self._update.request_id if self._update is not None else None

    @property
    def blocks_connectors(self) -> bool:
        """Whether a connector without a transaction is Unavailable for the update's sake."""
        return self._blocked

    def drain(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    # What the CSMS asks.

    def on_update_firmware(self, payload: ocpp16.Payload) -> None:
        """UpdateFirmware.req, which conforms to its schema; an installation is not disturbed."""
        retrieve = ocpp16.parse_timestamp(payload["retrieveDate"])
        if self._may_replace():
            self._begin(self._new(payload, payload["location"], retrieve or 0))

    def on_signed_update_firmware(self, payload: ocpp16.Payload, refused: str = "") -> str:
        """SignedUpdateFirmware.req, which conforms to its schema.

        Args:
            payload: of the request.
            refused: the status that the signing certificate earns, InvalidCertificate or
                RevokedCertificate; "" where it is good.

        Returns:
            The status of SignedUpdateFirmware.conf.
        """
        firmware = payload["firmware"]
        retrieve = ocpp16.parse_timestamp(firmware["retrieveDateTime"])
        if refused:
            self._effects.append(Happened("InvalidFirmwareSigningCertificate", refused))
            return refused
        if retrieve is None or not self._may_replace():
            return "Rejected"
        replaced = self._update is not None
        update = self._new(payload, firmware["location"], retrieve)
        update.request_id = payload["requestId"]
        update.install_unix_ms = ocpp16.parse_timestamp(firmware.get("installDateTime"))
        update.certificate = firmware["signingCertificate"]
        update.signature = firmware["signature"]
        self._begin(update)
        return "AcceptedCanceled" if replaced else "Accepted"

    # What the caller reports.

    def on_downloaded(self, ticket: int, sha256: bytes | None, now_ms: int) -> None:
        """The transfer has ended.

        Args:
            ticket: of the Download; an old one is ignored.
            sha256: the digest of the whole image; None: it could not be fetched.
            now_ms: now.
        """
        update = self._update
        if update is None or ticket != self._ticket or update.step != Step.DOWNLOADING.value:
            return
        if sha256 is None:
            self._fail("DownloadFailed", now_ms)
            return
        self._notify("Downloaded")
        if update.request_id is not None:
            if not is_signed_by(update.certificate, update.signature, sha256):
                self._effects.append(Happened("InvalidFirmwareSignature"))
                self._end("InvalidSignature")
                return
            self._notify("SignatureVerified")
        update.sha256 = sha256.hex()
        self._enter(Step.WAITING)
        self._blocked = True

    def on_paused(self, ticket: int, *, paused: bool) -> None:
        """The transfer waits for the network, or goes on; only a signed update tells."""
        update = self._update
        if update is not None and ticket == self._ticket and update.step == "downloading":
            if update.request_id is not None:
                self._notify("DownloadPaused" if paused else "Downloading")

    def on_installed(self, ticket: int, outcome: Installation, now_ms: int) -> None:
        """The installation has ended, as far as it can without a restart."""
        update = self._update
        if update is None or ticket != self._ticket or update.step != Step.INSTALLING.value:
            return
        if outcome == "installed":
            self._succeed()
        elif outcome != "needs_restart":
            signed = update.request_id is not None
            unverified = outcome == "unverified" and signed
            status = "InstallVerificationFailed" if unverified else "InstallationFailed"
            if self._rules.retries_installation:
                self._fail(status, now_ms)
            else:
                self._end(status)
        else:
            if update.request_id is not None:
                self._notify("InstallRebooting")
            self._enter(Step.REBOOTING)
            self._effects.append(Reboot())

    # Time.

    def tick(self, now_ms: int, unix_ms: int | None, *, transactions_run: bool) -> None:
        """Let time pass.

        Args:
            now_ms: monotonic.
            unix_ms: the CSMS's clock; None until it is known, and dates wait for it.
            transactions_run: on any connector; an installation waits for their end.
        """
        update = self._update
        self._transactions_run = transactions_run
        if update is None:
            return
        match Step(update.step):
            case Step.SCHEDULED if unix_ms is not None:
                if unix_ms >= update.retrieve_unix_ms:
                    self._download()
                elif self.status == "Idle" and update.request_id is not None:
                    self._notify("DownloadScheduled")
            case Step.RETRYING if self._retry_ms is None or now_ms >= self._retry_ms:
                self._download()
            case Step.WAITING:
                self._install_when_due(update, unix_ms, transactions_run=transactions_run)

    def next_due_ms(self, now_ms: int, unix_ms: int | None) -> int | None:
        """When `tick` has something to do; None where it waits for something else."""
        update = self._update
        if update is None:
            return None
        due_unix = None
        match Step(update.step):
            case Step.SCHEDULED:
                due_unix = update.retrieve_unix_ms
            case Step.RETRYING:
                return now_ms if self._retry_ms is None else self._retry_ms
            case Step.WAITING:
                due_unix = update.install_unix_ms or 0
                if self._transactions_run and due_unix <= (unix_ms or 0):
                    return None  # the end of the last one brings a tick
        if due_unix is None or unix_ms is None:
            return None
        return now_ms + max(0, due_unix - unix_ms)

    # Steps.

    def _new(self, payload: ocpp16.Payload, location: str, retrieve_unix_ms: int) -> _Update:
        retries = Retries.of(
            payload,
            self._rules.default_interval_s,
            counts_first=self._rules.counts_first_attempt,
        )
        pause_ms = retries.interval_ms + self._rules.further_pause_ms
        return _Update(Step.SCHEDULED.value, location, retrieve_unix_ms, retries.left, pause_ms)

    def _may_replace(self) -> bool:
        update = self._update
        return update is None or update.step not in ("installing", "rebooting")

    def _begin(self, update: _Update) -> None:
        if self._update is not None and self._update.step == Step.DOWNLOADING.value:
            self._effects.append(Abandon(self._ticket))
        self._update = update
        self._blocked = False
        self.status = "Idle"
        self._enter(Step.SCHEDULED)

    def _resume(self, update: _Update) -> None:
        """Go on after a restart with what was kept."""
        match Step(update.step):
            case Step.DOWNLOADING:
                update.step = Step.RETRYING.value  # at once; the cut counts as a failure
                update.left = max(update.left - 1, 0)
            case Step.WAITING:
                self._blocked = True
                self.status = "Downloaded"
            case Step.INSTALLING:
                self._blocked = True
                self._install()
            case Step.REBOOTING:
                self._succeed()

    def _download(self) -> None:
        self._enter(Step.DOWNLOADING)
        self._blocked = self._rules.blocks_while_downloading
        self._notify("Downloading")
        if self._update is not None:
            self._ticket += 1
            self._effects.append(Download(self._ticket, self._update.location))

    def _install_when_due(
        self, update: _Update, unix_ms: int | None, *, transactions_run: bool
    ) -> None:
        early = update.install_unix_ms is not None and (
            unix_ms is None or unix_ms < update.install_unix_ms
        )
        if not transactions_run and not early:
            self._install()
        elif update.request_id is not None and self.status != "InstallScheduled":
            self._notify("InstallScheduled")

    def _install(self) -> None:
        self._enter(Step.INSTALLING)
        self._notify("Installing")
        self._ticket += 1
        sha256 = self._update.sha256 if self._update is not None else ""
        self._effects.append(Install(self._ticket, sha256))

    def _fail(self, status: str, now_ms: int) -> None:
        update = self._update
        if update is None:
            return
        retries = Retries(update.left, update.interval_ms)
        if not retries.take():
            self._end(status)
            return
        self._notify(status)
        update.left = retries.left
        self._retry_ms = now_ms + update.interval_ms
        self._enter(Step.RETRYING)

    def _succeed(self) -> None:
        self._effects.append(Happened("FirmwareUpdated"))
        self._end("Installed")
        self._blocked = False

    def _end(self, status: str) -> None:
        self._notify(status)
        self._update = None
        self._retry_ms = None
        self._blocked = self._blocked and not self._rules.restores
        self.status = "Idle"
        self._effects.append(Persist(KEY, None))

    def _enter(self, step: Step) -> None:
        if self._update is not None:
            self._update.step = step.value
            self._effects.append(Persist(KEY, render_record(asdict(self._update))))

    def _notify(self, status: str) -> None:
        self.status = status
        if self.request_id is None:
            self._effects.append(Notify("FirmwareStatusNotification", {"status": status}))
        else:
            payload = {"status": status, "requestId": self.request_id}
            self._effects.append(Notify("SignedFirmwareStatusNotification", payload))


def _read(text: str) -> _Update | None:
    record = read_record(text, _KINDS) if text else None
    if record is None or record["step"] not in [step.value for step in Step]:
        return None
    update = _Update(**record)  # type: ignore[arg-type]  # `read_record` has checked every field
    update.left = min(max(update.left, 0), MOST)
    return update
