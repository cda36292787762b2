# SPDX-License-Identifier: GPL-3.0-or-later
"""What a station said, as people read it: nothing of it steers a terminal."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.cli.csms_lines import render_line

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(max_size=30) | st.sampled_from(["\x1b[2J", "\u202e", "\x9b31m"])
JSON = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.dictionaries(TEXTS, inner))
EVENTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {
            "event": st.just("message"),
            "station": TEXTS,
            "direction": st.sampled_from(["sent", "received"]),
            "type": st.sampled_from(["call", "result"]),
            "action": TEXTS,
            "payload": st.dictionaries(TEXTS, JSON),
        }
    ),
    st.fixed_dictionaries(
        {"event": st.just("message"), "station": TEXTS, "direction": st.just("received")}
        | {"type": st.just("malformed"), "reason": TEXTS}
    ),
    st.fixed_dictionaries({"event": st.just("rejected"), "station": TEXTS, "reason": TEXTS})
    .map(lambda event: event | {"status": 401}),
    st.fixed_dictionaries({"event": st.just("disconnected"), "station": TEXTS, "reason": TEXTS}),
    st.fixed_dictionaries({"event": st.just("refused"), "command": TEXTS, "reason": TEXTS}),
    st.fixed_dictionaries({"event": st.just("gave_up"), "station": TEXTS, "reason": TEXTS}),
)  # fmt: skip


@SLOWLY
@given(EVENTS)
def test_a_line_is_one_plain_line(event: dict[str, Any]) -> None:
    line = render_line(event)
    assert line.isascii()
    assert line.isprintable()


def test_lists_are_readable() -> None:
    assert render_line({"event": "stations", "stations": []}) == "no station is connected"
    record = {
        "transaction_id": 3, "station": "CP", "id_tag": "TAG", "meter_start": 5,
        "meter_stop": 9, "stopped": "x", "reason": "Local",
    }  # fmt: skip
    line = render_line({"event": "transactions", "transactions": [record]})
    assert line == "3: CP 'TAG' from 5 Wh to 9 Wh, Local"
