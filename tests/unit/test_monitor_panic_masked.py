# SPDX-License-Identifier: GPL-3.0-or-later
"""What a decoder finds in a panic may hold a secret, which is masked for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evtool.cli.monitor_panic import decoding
from evtool.cli.output import Output
from evtool.monitor.redact import text_mask
from evtool.monitor.stream import Batch

SECRET = "Zx81kkGeneratedKey09"
PANIC = f"assert failed: connect wifi.c:7 (key == {SECRET})\r\nRebooting...\r\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_the_secrets_of_a_decoded_panic_are_masked(
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    panics = decoding(
        (), None, Output(as_json), lambda event, text: notes.append(text), text_mask([SECRET])
    )
    with panics:
        panics.on_batch(Batch("PORT", 0, 0, PANIC.encode()))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = json.dumps(events) if as_json else "\n".join(notes)
    assert "(key == ****)" in told
    assert SECRET not in told
