# SPDX-License-Identifier: GPL-3.0-or-later
"""GetDiagnostics and GetLog: attempts, replacement, power cuts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtool.protocol.ocpp16 import find_violation
from evtool.reference_impl.charge_point.diagnostics import (
    DIAGNOSTICS_KEY,
    LOG_KEY,
    LogUpload,
    UploadOutcome,
)
from evtool.reference_impl.charge_point.effects import Abandon, Notify, Upload
from evtool.reference_impl.charge_point.update_rules import (
    MICROOCPP_UPDATE,
)
from evtool.reference_impl.charge_point.values import Persist

NOW = 1_714_564_800_000


class Bench:
    """One upload machine with a storage."""

    def __init__(self, key: str, **settings: Any) -> None:
        self.key, self.settings = key, settings
        self.kept: dict[str, str] = {}
        self.heard: list[str] = []
        self.now = 0
        self.uploads: list[Upload] = []
        self.start()

    def start(self) -> None:
        self.machine = LogUpload(self.key, self.kept, **self.settings)
        self.drain()

    def drain(self) -> None:
        for effect in self.machine.drain():
            match effect:
                case Notify(action, payload):
                    assert find_violation(action, payload) is None
                    self.heard.append(f"{payload['status']} {payload.get('requestId', '')}".strip())
                case Persist(key, value):
                    assert key == self.key
                    self.kept.pop(key, None)
                    if value is not None:
                        self.kept[key] = value
                case Upload():
                    self.uploads.append(effect)
                case Abandon():
                    self.heard.append("Abandon")

    def wait(self, ms: int = 0) -> None:
        self.now += ms
        self.machine.tick(self.now)
        self.drain()

    def ask(self, **more: Any) -> Any:
        if self.key == DIAGNOSTICS_KEY:
            action, request = "GetDiagnostics", {"location": "ftp://u:p@x"} | more
            answer = self.machine.on_get_diagnostics(request, self.now, NOW)
        else:
            log = {"remoteLocation": "ftp://u:p@x"} | more.pop("log", {})
            request = {"logType": "SecurityLog", "requestId": 4, "log": log} | more
            action = "GetLog"
            answer = self.machine.on_get_log(request, self.now, NOW)
        assert find_violation(action, request) is None
        assert find_violation(action, answer, answer=True) is None
        self.drain()
        return answer

    def end(self, outcome: UploadOutcome) -> None:
        self.machine.on_uploaded(self.uploads[-1].ticket if self.uploads else 0, outcome, self.now)
        self.drain()

    def take(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard


def test_diagnostics() -> None:
    bench = Bench(DIAGNOSTICS_KEY)
    name = bench.ask(startTime="2024-05-01T00:00:00Z")["fileName"]
    assert name == "diagnostics_20240501T120000Z.txt"
    bench.wait()
    assert bench.take() == ["Uploading"]
    assert bench.machine.status == "Uploading"
    upload = bench.uploads[-1]
    assert (upload.url, upload.file_name, upload.log) == ("ftp://u:p@x", name, "DiagnosticsLog")
    assert (upload.oldest_unix_ms, upload.latest_unix_ms) == (NOW - 12 * 3_600_000, None)
    assert "u:p" not in repr(upload)
    bench.end("Uploaded")
    assert bench.take() == ["Uploaded"]
    assert (bench.machine.status, bench.kept) == ("Idle", {})


@pytest.mark.parametrize(("retries", "attempts"), [(None, 1), (0, 1), (2, 3)])
@pytest.mark.parametrize("key", [DIAGNOSTICS_KEY, LOG_KEY])
def test_uploads_are_tried_again(key: str, retries: int | None, attempts: int) -> None:
    bench = Bench(key)
    bench.ask(retryInterval=2, **({} if retries is None else {"retries": retries}))
    for number in range(attempts):
        bench.wait(2_000 if number else 0)
        bench.end("UploadFailure")
        bench.wait(1_999)
        bench.now -= 1_999
        failed = "UploadFailed" if key == DIAGNOSTICS_KEY else "UploadFailure 4"
        begun = "Uploading" if key == DIAGNOSTICS_KEY else "Uploading 4"
        assert bench.take() == [begun, failed]
    bench.wait(10_000_000)
    assert bench.take() == []
    assert bench.machine.next_due_ms() is None


def test_microocpp_counts_the_first_attempt() -> None:
    bench = Bench(DIAGNOSTICS_KEY, rules=MICROOCPP_UPDATE)
    assert bench.ask(retries=2, retryInterval=1) == {"fileName": "diagnostics.log"}
    for _ in range(5):
        bench.wait(20_000)
        bench.end("UploadFailure")
    assert bench.take() == ["Uploading", "UploadFailed"] * 2


def test_a_second_log_replaces_the_first() -> None:
    bench = Bench(LOG_KEY)
    assert bench.ask()["status"] == "Accepted"
    bench.wait()
    old = bench.uploads[-1].ticket
    assert bench.ask(requestId=5)["status"] == "AcceptedCanceled"
    bench.wait()
    bench.machine.on_uploaded(old, "Uploaded", bench.now)
    assert bench.machine.drain() == []
    bench.end("PermissionDenied")
    assert bench.take() == ["Uploading 4", "Abandon", "Uploading 5", "PermissionDenied 5"]
    bench.wait(10_000_000)
    assert bench.take() == []


@given(
    st.sampled_from([DIAGNOSTICS_KEY, LOG_KEY]),
    st.lists(st.sampled_from(["wait", "long", "fail", "ask", "cut"]), max_size=20),
)
def test_a_cut_at_any_moment_leaves_an_upload_that_ends(key: str, sequence: list[str]) -> None:
    bench = Bench(key)
    bench.ask(retries=3)
    for event in sequence:
        match event:
            case "wait" | "long":
                bench.wait(1 if event == "wait" else 100_000)
            case "fail":
                bench.end("UploadFailure")
            case "ask":
                bench.ask()
            case "cut":
                bench.now = 0
                bench.start()
    waits = bench.machine.status == "Uploading" or bench.machine.next_due_ms() is not None
    assert waits == (key in bench.kept)
    bench.wait(1_000_000)
    bench.end("Uploaded")
    assert (bench.machine.status, bench.machine.next_due_ms()) == ("Idle", None)
    assert key not in bench.kept


@given(st.text(max_size=40))
def test_hostile_storage(text: str) -> None:
    bench = Bench(LOG_KEY)
    bench.kept[LOG_KEY] = text
    bench.start()
    assert (bench.machine.status, bench.kept) == ("Idle", {})
