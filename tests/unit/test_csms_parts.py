# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorisation lists, faults, transactions and masking of the virtual CSMS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evtool.errors import DeviceError
from evtool.virtual.csms import ledger as ledger_module
from evtool.virtual.csms.authorization import IdTag, IdTags, LocalList, parse_id_tags
from evtool.virtual.csms.faults import KINDS, Faults, parse_fault
from evtool.virtual.csms.ledger import MAX_RUNNING, Ledger
from evtool.virtual.csms.masking import shown
from evtool.virtual.csms.ports import Memory
from evtool.virtual.csms.records import TransactionRecord

# A busy machine is no fault.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON_MS = 1_714_564_800_000


def test_id_tags_of_a_file() -> None:
    document = {
        "A": "Accepted",
        "B": {"status": "Blocked", "parent": "P"},
        "C": {"expiry": "2024-05-01T11:00:00Z"},
        "D": {"alone": True},
    }
    tags = parse_id_tags(document, "Invalid")
    assert tags.find("a").info(NOON_MS) == {"status": "Accepted"}, "compared without case"
    assert tags.find("B").info(NOON_MS) == {"status": "Blocked", "parentIdTag": "P"}
    assert tags.find("C").info(NOON_MS)["status"] == "Expired"
    assert tags.find("C").info(NOON_MS - 7_200_000)["status"] == "Accepted"
    assert tags.find("D").info(NOON_MS, in_use=True) == {"status": "ConcurrentTx"}
    assert tags.find("other").info(NOON_MS) == {"status": "Invalid"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"A": "Perhaps"},
        {"A" * 21: "Accepted"},
        {"": "Accepted"},
        {"A": {"expiry": "soon"}},
        {"A": {"colour": "red"}},
        {"A": 3},
        {"A": {"parent": ""}},
    ],
)
def test_a_wrong_list_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"id_tag|status|expiry|fields|parent"):
        parse_id_tags(document, "Invalid")


TAGS = st.dictionaries(
    st.text("ABC", min_size=1, max_size=3), st.sampled_from(["Accepted", "Blocked"]), max_size=6
)


@SLOWLY
@given(TAGS, TAGS)
def test_a_difference_leads_from_one_list_to_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    old, new = IdTags(), IdTags()
    for tags, given_tags in ((old, before), (new, after)):
        for id_tag, status in given_tags.items():
            tags[id_tag] = status
    known = LocalList(0, {})
    full = {"listVersion": 1, "updateType": "Full"}
    known.apply(full | {"localAuthorizationList": old.local_list(NOON_MS)})
    wanted = new.local_list(NOON_MS)
    change = known.difference(wanted)
    differential = {"listVersion": 2, "updateType": "Differential"}
    known.apply(differential | {"localAuthorizationList": change})
    assert known.version == 2
    assert known.tags == {entry["idTag"]: entry["idTagInfo"] for entry in wanted}


def test_faults_are_counted_and_taken_back() -> None:
    faults = Faults()
    assert not faults
    faults.add(parse_fault(["CP", "Heartbeat", "answer", "drop", "x2"]))
    faults.add(parse_fault(["*", "*", "answer", "delay", "1.5"]))
    assert faults.clear("*") == 1
    assert faults.take("CP", "answer", "Authorize") is None
    assert faults.take("CP", "call", "Heartbeat") is None
    assert faults.take("CP-2", "answer", "Heartbeat") is None
    assert [faults.take("CP", "answer", "Heartbeat") is not None for _ in range(3)] == [
        True,
        True,
        False,
    ]
    assert not faults
    refuse = parse_fault(["CP", "connect", "refuse"])
    assert (refuse.direction, refuse.value) == ("connect", "503")
    assert parse_fault(["*", "Reset", "call", "slow", "20"]).seconds == 0.02


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["CP", "Nonsense", "answer", "drop"],
        ["CP", "Heartbeat", "sideways", "drop"],
        ["CP", "Heartbeat", "received", "duplicate"],
        ["CP", "Heartbeat", "answer", "explode"],
        ["CP", "Heartbeat", "answer", "delay", "nan"],
        ["CP", "Heartbeat", "answer", "delay", "-1"],
        ["CP", "Heartbeat", "answer", "delay", "9999999"],
        ["CP", "Heartbeat", "answer", "error", "Unknown"],
        ["CP", "Heartbeat", "answer", "drop", "3"],
        ["CP", "connect", "refuse", "200"],
    ],
)
def test_a_wrong_fault_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_fault(words)


@SLOWLY
@given(st.lists(st.text(max_size=8) | st.sampled_from(["*", "answer", *KINDS]), max_size=7))
def test_no_words_break_it(words: list[str]) -> None:
    try:
        fault = parse_fault(words)
    except ValueError:
        return
    assert fault.direction in KINDS[fault.kind][0]


class Failing(Memory):
    """A store whose disk is full when told so."""

    def __init__(self) -> None:
        self.full = False

    def begin(self, record: TransactionRecord) -> None:
        self._write()

    def end(self, record: TransactionRecord, meter_values: Sequence[Any] = ()) -> None:
        self._write()

    def transactions(self) -> Sequence[TransactionRecord]:
        return ()

    def _write(self) -> None:
        if self.full:
            raise DeviceError("the disk is full")


START = ("CP", 1, "TAG", 100, "2024-05-01T12:00:00Z")


def test_each_transaction_begins_and_ends_once() -> None:
    ledger = Ledger(Memory())
    record, is_new = ledger.begin(*START)
    assert is_new
    assert ledger.begin(*START) == (record, False)
    assert ledger.running("CP") == [record]
    assert ledger.is_charging("tag")
    stop = (record.transaction_id, 350, "2024-05-01T13:00:00Z", "Local")
    assert ledger.end("CP-2", *stop) == "unknown"
    assert ledger.end("CP", *stop) == "stopped"
    assert ledger.end("CP", *stop) == "repeated"
    assert ledger.end("CP", stop[0], 351, *stop[2:]) == "differs"
    assert (record.meter_stop, record.energy_wh()) == (350, 250)
    assert ledger.running("CP") == []
    assert ledger.end("CP", 99, *stop[1:]) == "unknown"


def test_what_is_not_on_the_disk_has_not_happened() -> None:
    store = Failing()
    ledger = Ledger(store)
    store.full = True
    with pytest.raises(DeviceError):
        ledger.begin(*START)
    assert not ledger.records
    store.full = False
    record, is_new = ledger.begin(*START)
    assert is_new
    store.full = True
    with pytest.raises(DeviceError):
        ledger.end("CP", record.transaction_id, 350, "2024-05-01T13:00:00Z", "Local")
    assert record.is_running
    store.full = False
    assert ledger.end("CP", record.transaction_id, 350, "2024-05-01T13:00:00Z", "x") == "stopped"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([{"value": "1.5", "unit": "kWh"}], 1400),
        ([{"value": "600"}], 500),
        ([{"value": "230", "measurand": "Voltage"}], None),
        ([{"value": "900", "phase": "L1"}, {"value": "700"}], 600),
        ([{"value": "not a number"}], None),
        ([{"value": "1e999"}], None),
    ],
)
def test_the_energy_of_a_running_transaction(
    samples: list[dict[str, Any]], expected: int | None
) -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": samples}])
    assert record.energy_wh() == expected


def test_memory_of_meter_values_is_bounded() -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    for _ in range(500):
        ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": []}])
    assert record.meter_value_count == 500
    assert len(record.meter_values) < 500


def test_no_password_of_a_url_is_shown() -> None:
    for action, payload in (
        ("UpdateFirmware", {"location": "ftp://user:hush@host/x"}),
        ("GetDiagnostics", {"location": "ftp://user:hush@host/x"}),
        ("GetLog", {"log": {"remoteLocation": "ftp://user:hush@host/x"}}),
        ("SignedUpdateFirmware", {"firmware": {"location": "ftp://user:hush@host/x"}}),
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "hush"}),
    ):
        assert "hush" not in str(shown(action, payload))
        assert "hush" in str(payload)
    assert shown("GetLog", {"status": "Accepted"}) == {"status": "Accepted"}


def test_an_id_tag_is_described() -> None:
    assert IdTag("Blocked").describe()["status"] == "Blocked"


def test_memory_of_transactions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_ENDED", 3)
    ledger = Ledger(Memory())
    for number in range(10):
        record, _ = ledger.begin("CP", 1, "TAG", number, "2024-05-01T12:00:00Z")
        ledger.end("CP", record.transaction_id, number + 1, "2024-05-01T13:00:00Z", "Local")
    assert list(ledger.records) == [8, 9, 10]
    assert ledger.begin("CP", 1, "TAG", 9, "2024-05-01T12:00:00Z")[1] is False
    for number in range(MAX_RUNNING):
        ledger.begin("CP", 1, "TAG", 100 + number, "2024-05-01T12:00:00Z")
    with pytest.raises(DeviceError, match="transactions run at CP"):
        ledger.begin("CP", 1, "TAG", 99, "2024-05-01T12:00:00Z")
    ledger.begin("CP-2", 1, "TAG", 99, "2024-05-01T12:00:00Z")


@pytest.mark.parametrize(
    "samples", [[{"value": "1"}] * 1000, [{"value": "x" * 100_000}]], ids=["many", "long"]
)
def test_what_is_out_of_proportion_is_not_kept(samples: list[dict[str, str]]) -> None:
    ledger = Ledger(Memory())
    record, _ = ledger.begin(*START)
    ledger.add_meter_values("CP", record.transaction_id, [{"sampledValue": samples}])
    assert (record.meter_value_count, len(record.meter_values)) == (1, 0)
