# SPDX-License-Identifier: GPL-3.0-or-later
"""GetDiagnostics (OCPP 1.6, 5.9) and GetLog (security whitepaper ed. 2, N01): one upload each.

An upload that a power cut interrupted begins again; the attempts that are left are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from evtool.protocol import ocpp16
from evtool.reference_impl.charge_point.effects import Abandon, LogKind, Notify, Upload
from evtool.reference_impl.charge_point.kept_record import kinds_of, read_record, render_record
from evtool.reference_impl.charge_point.retries import MOST, Retries
from evtool.reference_impl.charge_point.update_rules import STRICT_UPDATE, UpdateRules
from evtool.reference_impl.charge_point.values import Effect, Persist

DIAGNOSTICS_KEY = "diagnostics_upload"
LOG_KEY = "log_upload"

UploadOutcome = Literal[
    "Uploaded", "UploadFailure", "BadMessage", "PermissionDenied", "NotSupportedOperation"
]
FINAL_OUTCOMES = ("BadMessage", "PermissionDenied", "NotSupportedOperation")


@dataclass(slots=True)
class _Wanted:
    """The kept part; request_id is None for GetDiagnostics."""

    url: str
    file_name: str
    log: str
    left: int
    interval_ms: int
    oldest_unix_ms: int | None = None
    latest_unix_ms: int | None = None
    request_id: int | None = None


_KINDS = kinds_of(_Wanted)


class LogUpload:
    """The upload that one of the two requests asks for. What it wants done comes from `drain`.

    Args:
        key: DIAGNOSTICS_KEY or LOG_KEY.
        stored: what earlier runs kept, by key.
        rules: of the charge point.
    """

    __slots__ = (
        "_due_ms",
        "_effects",
        "_key",
        "_rules",
        "_ticket",
        "_uploading",
        "_wanted",
    )

    def __init__(
        self,
        key: str,
        stored: Mapping[str, str] | None = None,
        rules: UpdateRules = STRICT_UPDATE,
    ) -> None:
        self._key = key
        self._rules = rules
        self._effects: list[Effect] = []
        self._ticket = 0
        self._due_ms: int | None = None
        self._uploading = False
        text = (stored or {}).get(key, "")
        self._wanted = _read(text)
        if self._wanted is not None:
            self._due_ms = 0
        elif key in (stored or {}):
            self._effects.append(Persist(key, None))

    @property
    def status(self) -> str:
        """What a triggered notification says."""
        return "Uploading" if self._uploading else "Idle"

    @property
    def request_id(self) -> int | None:
        """Of the GetLog that is being served."""
        return self._wanted.request_id if self._wanted is not None else None

    def drain(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    def on_get_diagnostics(
        self, payload: ocpp16.Payload, now_ms: int, unix_ms: int
    ) -> ocpp16.Payload:
        """GetDiagnostics.req, which conforms to its schema; the payload of the answer."""
        name = self._rules.file_name or _named("diagnostics", unix_ms)
        self._begin(
            self._new(payload, payload["location"], name, "DiagnosticsLog"),
            (payload.get("startTime"), payload.get("stopTime")),
            now_ms,
        )
        return {"fileName": name}

    def on_get_log(self, payload: ocpp16.Payload, now_ms: int, unix_ms: int) -> ocpp16.Payload:
        """GetLog.req, which conforms to its schema; the payload of the answer."""
        log: LogKind = payload["logType"]
        wanted = payload["log"]
        name = _named("security" if log == "SecurityLog" else "diagnostics", unix_ms)
        replaced = self._wanted is not None
        new = self._new(payload, wanted["remoteLocation"], name, log)
        new.request_id = payload["requestId"]
        self._begin(new, (wanted.get("oldestTimestamp"), wanted.get("latestTimestamp")), now_ms)
        return {"status": "AcceptedCanceled" if replaced else "Accepted", "filename": name}

    def on_uploaded(self, ticket: int, outcome: UploadOutcome, now_ms: int) -> None:
        """The transfer has ended; an old ticket is ignored."""
        wanted = self._wanted
        if wanted is None or not self._uploading or ticket != self._ticket:
            return
        self._uploading = False
        self._notify(outcome)
        retries = Retries(wanted.left, wanted.interval_ms)
        if outcome == "UploadFailure" and retries.take():
            wanted.left = retries.left
            self._due_ms = now_ms + wanted.interval_ms
            self._keep()
            return
        self._wanted = None
        self._due_ms = None
        self._effects.append(Persist(self._key, None))

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        wanted = self._wanted
        if wanted is None or self._due_ms is None or now_ms < self._due_ms:
            return
        self._due_ms = None
        self._uploading = True
        self._ticket += 1
        self._notify("Uploading")
        self._effects.append(
            Upload(
                self._key,
                self._ticket,
                wanted.url,
                wanted.file_name,
                "SecurityLog" if wanted.log == "SecurityLog" else "DiagnosticsLog",
                wanted.oldest_unix_ms,
                wanted.latest_unix_ms,
            )
        )

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do; None where it waits for something else."""
        return self._due_ms

    def _new(self, payload: ocpp16.Payload, url: str, file_name: str, log: LogKind) -> _Wanted:
        retries = Retries.of(
            payload, self._rules.default_interval_s, counts_first=self._rules.counts_first_attempt
        )
        return _Wanted(url, file_name, log, retries.left, retries.interval_ms)

    def _begin(self, wanted: _Wanted, span: tuple[object, object], now_ms: int) -> None:
        if self._uploading:
            self._effects.append(Abandon(self._ticket, self._key))
            self._uploading = False
        wanted.oldest_unix_ms, wanted.latest_unix_ms = map(ocpp16.parse_timestamp, span)
        self._wanted = wanted
        self._due_ms = now_ms
        self._keep()

    def _keep(self) -> None:
        if self._wanted is not None:
            self._effects.append(Persist(self._key, render_record(asdict(self._wanted))))

    def _notify(self, status: str) -> None:
        if self._key == LOG_KEY:
            payload: ocpp16.Payload = {"status": status}
            if self.request_id is not None:
                payload["requestId"] = self.request_id
            self._effects.append(Notify("LogStatusNotification", payload))
            return
        told = status if status in ("Uploading", "Uploaded") else "UploadFailed"
        self._effects.append(Notify("DiagnosticsStatusNotification", {"status": told}))


def _named(what: str, unix_ms: int) -> str:
    stamp = ocpp16.render_timestamp(unix_ms).replace("-", "").replace(":", "")
    return f"{what}_{stamp}.txt"


def _read(text: str) -> _Wanted | None:
    record = read_record(text, _KINDS) if text else None
    if record is None:
        return None
    wanted = _Wanted(**record)  # type: ignore[arg-type]  # `read_record` has checked every field
    wanted.left = min(max(wanted.left, 0), MOST)
    return wanted
