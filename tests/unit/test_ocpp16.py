# SPDX-License-Identifier: GPL-3.0-or-later
"""OCPP 1.6J on the wire: round trips, schemas, the URL and the Basic header."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evtool.protocol import ocpp16
from evtool.protocol.can_frame import Malformed
from evtool.protocol.csms_url import charge_point_url

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
payloads = st.dictionaries(st.text(max_size=8), values, max_size=4)
unique_ids = st.text(min_size=1, max_size=36)
messages = st.one_of(
    st.builds(ocpp16.Call, unique_ids, st.text(max_size=20), payloads),
    st.builds(ocpp16.CallResult, unique_ids, payloads),
    st.builds(ocpp16.CallError, unique_ids, st.text(max_size=20), st.text(max_size=50), payloads),
)


@settings(deadline=None)
@given(messages)
def test_what_is_rendered_is_parsed_back(message: ocpp16.Message) -> None:
    text = ocpp16.render_message(message)
    assert text.isascii()
    assert "\n" not in text
    assert ocpp16.parse_message(text) == message


@settings(deadline=None)
@given(st.text(max_size=200) | values.map(json.dumps))
def test_parsing_never_raises(text: str) -> None:
    ocpp16.parse_message(text)


json_texts = st.recursive(
    st.sampled_from(
        [
            "null", "true", "-0", "-0.0", "1E5", "1e400", "1e-400", "16.10", "01", "1.", "NaN",
            "-Infinity", "9007199254740993", "18446744073709551616", "9" * 400, "9" * 5000,
            '"\\ud800"', '"\\ud83d\\ude00"', '"\ud800"', '"\x7f"', '"\\/"', '"\t"', '"a', "",
            "[1,]",
        ]
    )
    | st.text(max_size=4).map(json.dumps)
    | st.floats().map(json.dumps)
    | st.integers().map(str),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda each: f"[{','.join(each)}]")
        | st.lists(inner, max_size=4).map(
            lambda each: "{" + ",".join(f'"{n % 2}": {text}' for n, text in enumerate(each)) + " }"
        )
        | inner.map(lambda text: text[1:])
    ),
    max_leaves=8,
)  # fmt: skip


def refuse(text: str) -> object:
    raise ValueError(text)


def outcome(read: Callable[[str], object], text: str) -> str:
    try:
        return repr(read(text))
    except ValueError:
        return "refused"


@settings(deadline=None, max_examples=500)
@given(json_texts)
def test_json_is_read_as_the_standard_library_reads_it(text: str) -> None:
    standard = partial(json.loads, parse_constant=refuse)
    assert outcome(ocpp16._parse, text) == outcome(standard, text)


@settings(deadline=None, max_examples=500)
@given(values)
def test_json_is_rendered_with_the_values_it_has(value: object) -> None:
    assert repr(json.loads(ocpp16._render(value))) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_has_not_is_never_sent(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        ocpp16.render_message(ocpp16.CallResult("1", {"limit": [None, number]}))


def test_numbers_are_sent_as_they_are() -> None:
    payload = {"limits": [16.1, 0.3, 32, 32.0, -0.1, 2**70]}
    text = ocpp16.render_message(ocpp16.CallResult("1", payload))
    assert text == '[3,"1",{"limits":[16.1,0.3,32,32.0,-0.1,1180591620717411303424]}]'


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "[2]", '[2,"id"]', '[true,"id","Heartbeat",{}]', '[2,5,"Heartbeat",{}]',
        '[2,"","Heartbeat",{}]', '[2,"id","Heartbeat",[]]', '[3,"id"]', '[5,"id",{}]',
        '[3,"id",{"a":NaN}]', "[" * 100_000, '[2,"id","A",{"n":' + "9" * 5000 + "}]",
        '[2,"' + "x" * 37 + '","Heartbeat",{}]',
    ],
)  # fmt: skip
def test_broken_messages_are_malformed(text: str) -> None:
    assert isinstance(ocpp16.parse_message(text), Malformed)


def test_a_call_without_payload_and_a_short_call_error_are_tolerated() -> None:
    assert ocpp16.parse_message('[2,"1","Heartbeat"]') == ocpp16.Call("1", "Heartbeat", {})
    assert ocpp16.parse_message('[4,"1","GenericError"]') == ocpp16.CallError("1", "GenericError")


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Heartbeat", {}, None),
        ("NoSuchAction", {}, "NotImplemented"),
        ("../../secrets", {}, "NotImplemented"),
        ("RemoteStopTransaction", {}, "FormationViolation"),
        ("RemoteStopTransaction", {"transactionId": "1"}, "FormationViolation"),
        ("RemoteStopTransaction", {"transactionId": 1, "x": 1}, "FormationViolation"),
        ("RemoteStartTransaction", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("Reset", {"type": "Warm"}, "PropertyConstraintViolation"),
    ],
)
def test_schemas(action: str, payload: ocpp16.Payload, code: str | None) -> None:
    violation = ocpp16.find_violation(action, payload)
    assert (violation.code if violation else None) == code


def profile(limit: float) -> ocpp16.Payload:
    return {
        "connectorId": 0,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "ChargePointMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
            },
        },
    }


def test_tenths_are_exact_and_huge_numbers_do_not_raise() -> None:
    assert ocpp16.find_violation("SetChargingProfile", profile(21.4)) is None
    for limit in (4.11, 1e40):
        violation = ocpp16.find_violation("SetChargingProfile", profile(limit))
        assert violation is not None
        assert violation.code == "PropertyConstraintViolation"


@settings(deadline=None)
@given(st.sampled_from(sorted(ocpp16.ACTIONS)), payloads, st.booleans())
def test_validation_never_raises(action: str, payload: ocpp16.Payload, answer: bool) -> None:
    ocpp16.find_violation(action, payload, answer=answer)


@settings(deadline=None)
@given(st.integers(0, 253_402_300_799))
def test_timestamps_are_parsed_back(seconds: int) -> None:
    text = ocpp16.render_timestamp(seconds * 1000)
    assert ocpp16.parse_timestamp(text) == seconds * 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01.500Z", 1500),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01", None),
        ("1969-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (17, None),
    ],
)
def test_timestamps_from_the_wire(text: object, expected: int | None) -> None:
    assert ocpp16.parse_timestamp(text) == expected


@pytest.mark.parametrize(
    ("url", "identity", "expected"),
    [
        ("wss://c.example/ocppj", "RDAM 123", "wss://c.example/ocppj/RDAM%20123"),
        ("ws://127.0.0.1:9000/", "CP-1", "ws://127.0.0.1:9000/CP-1"),
        ("ws://127.0.0.1:9000", "a/b", "ws://127.0.0.1:9000/a%2Fb"),
        ("ws://127.0.0.1:9000/ocpp/CP-1", "CP-1", "ws://127.0.0.1:9000/ocpp/CP-1"),
    ],
)
def test_the_identity_is_appended_once(url: str, identity: str, expected: str) -> None:
    assert charge_point_url(url, identity) == expected
    assert ocpp16.parse_identity(expected.partition("//")[2]) == identity


def test_basic_header_is_the_one_of_the_specification() -> None:
    key = ocpp16.decode_authorization_key("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    header = ocpp16.render_basic_authorization("AL1000", key)
    assert header == "Basic QUwxMDAwOgABAgMEBQYH////////////////"
    assert ocpp16.parse_basic_authorization(header) == ("AL1000", key)


@pytest.mark.parametrize(
    "header", ["", "Bearer x", "Basic", "Basic !!", "Basic /w==", "Basic /zo="]
)
def test_a_broken_basic_header_is_none(header: str) -> None:
    assert ocpp16.parse_basic_authorization(header) is None


@pytest.mark.parametrize("text", ["short", "z" * 21, "z" * 32, "a" * 39, "0" * 42, "k\n" * 9])
def test_a_wrong_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="AuthorizationKey") as caught:
        ocpp16.decode_authorization_key(text)
    assert text not in str(caught.value)


def test_keys_are_masked() -> None:
    shown = ocpp16.masked("ChangeConfiguration", {"key": "AuthorizationKey", "value": "secret"})
    assert shown == {"key": "AuthorizationKey", "value": "****"}
    answer = {"configurationKey": [{"key": "authorizationkey", "readonly": False, "value": "s"}]}
    assert ocpp16.masked("GetConfiguration", answer)["configurationKey"][0]["value"] == "****"
    assert ocpp16.masked("ChangeConfiguration", {"key": "A", "value": "b"})["value"] == "b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/x.bin?token=s3cret&a=b", "https://h/x.bin?****"),
        ("https://u:p@h/x.bin?a=@b#c", "https://****@b#****"),
        ("http://h/a#t0ken", "http://h/a#****"),
        ("https://h/x", "https://h/x"),
    ],
)
def test_queries_of_servers_are_masked(url: str, shown: str) -> None:
    firmware = {"location": url, "signature": "a?b", "retrieveDate": "2024-05-01T12:00:00Z"}
    masked = ocpp16.masked("SignedUpdateFirmware", {"requestId": 1, "firmware": firmware})
    assert masked == {"requestId": 1, "firmware": firmware | {"location": shown}}


def test_passwords_of_servers_are_masked() -> None:
    shown = ocpp16.masked("GetDiagnostics", {"location": "ftp://u:p/w@d@h/x", "retries": 2})
    assert shown == {"location": "ftp://****@h/x", "retries": 2}
    log = {"requestId": 1, "log": {"remoteLocation": "https://u:p@h/x", "x": 1}}
    assert ocpp16.masked("GetLog", log)["log"] == {"remoteLocation": "https://****@h/x", "x": 1}
    assert ocpp16.masked("UpdateFirmware", {"location": "http://h/x"})["location"] == "http://h/x"
