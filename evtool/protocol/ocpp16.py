# SPDX-License-Identifier: GPL-3.0-or-later
"""OCPP 1.6J: messages as text, their schemas, the connection's URL and its Basic header.

Text from the wire never raises: `parse_message` gives a message or Malformed, `find_violation`
the CallError that the payload earns. What we render ourselves raises ValueError when wrong.

Sources: OCPP 1.6 edition 2; OCPP-J 1.6 paragraphs 3.1 (URL), 4.2 (messages), 6.2 (Basic);
the schemas are those of the `ocpp` package (`ocpp16_schema`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from ocpp.v16.enums import ChargePointErrorCode, ChargePointStatus, Reason

from evtool.protocol import ocpp16_schema
from evtool.protocol.can_frame import Malformed

ACTIONS = ocpp16_schema.ACTIONS
Payload = ocpp16_schema.Payload
Violation = ocpp16_schema.Violation
find_violation = ocpp16_schema.find_violation

SUBPROTOCOL = "ocpp1.6"
STATUSES = frozenset(status.value for status in ChargePointStatus)
ERROR_CODES = frozenset(code.value for code in ChargePointErrorCode)
STOP_REASONS = frozenset(reason.value for reason in Reason)
CALL_ERROR_CODES = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",  # the specification's own spelling
        "TypeConstraintViolation",
        "GenericError",
    }
)
MAX_ID_TAG = 20
MAX_UNIQUE_ID = 36

LAST_MOMENT_MS = 253_402_300_799_999
"""The end of the year 9999, beyond which no timestamp can be written."""

_MAX_TEXT = 1 << 20
_MAX_DEPTH = 64
"""Deeper than any message of OCPP, and far from what a recursion cannot stand."""
_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_MASKED_KEYS = frozenset({"authorizationkey"})
_WITH_SERVERS = frozenset({"GetDiagnostics", "GetLog", "SignedUpdateFirmware", "UpdateFirmware"})
_USER_OF_URL = re.compile(r"(?<=://)\S*@")
_QUERY_OF_URL = re.compile(r"(?<=[?#]).+", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]*\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """[2, unique_id, action, payload]"""

    unique_id: str
    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallResult:
    """[3, unique_id, payload]"""

    unique_id: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallError:
    """[4, unique_id, code, description, details]"""

    unique_id: str
    code: str
    description: str = ""
    details: Payload = field(default_factory=dict)


Message = Call | CallResult | CallError


def parse_message(text: str) -> Message | Malformed:
    """Read one message; a Call without a payload counts as one with an empty payload."""
    if len(text) > _MAX_TEXT:
        return Malformed(f"a message of {len(text)} characters")
    try:
        fields = _parse(text)
    except (ValueError, RecursionError) as error:
        return Malformed(f"not JSON: {error}")
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deeper(fields, _MAX_DEPTH):
        return Malformed(f"nested more than {_MAX_DEPTH} deep")
    if not isinstance(fields, list) or len(fields) < 2 or isinstance(fields[0], bool):
        return Malformed("not a list that starts with a message type and an id")
    if not isinstance(fields[1], str) or not 0 < len(fields[1]) <= MAX_UNIQUE_ID:
        return Malformed(f"the unique id is a text of 1 to {MAX_UNIQUE_ID} characters")
    message: Message | None = None
    match fields:
        case [2, unique_id, str(action)]:
            message = Call(unique_id, action, {})
        case [2, unique_id, str(action), dict(payload)]:
            message = Call(unique_id, action, payload)
        case [3, unique_id, dict(payload)]:
            message = CallResult(unique_id, payload)
        case [4, unique_id, str(code), str(description), dict(details)]:
            message = CallError(unique_id, code, description, details)
        case [4, unique_id, str(code), *_]:
            message = CallError(unique_id, code)
    return message or Malformed(f"no message of type {fields[0]!r} has these fields"[:200])


def render_message(message: Message) -> str:
    """The text of `message`: ASCII, on one line."""
    fields: list[object]
    match message:
        case Call(unique_id, action, payload):
            fields = [2, unique_id, action, payload]
        case CallResult(unique_id, payload):
            fields = [3, unique_id, payload]
        case CallError(unique_id, code, description, details):
            fields = [4, unique_id, code, description[:255], details]
    return _render(fields)


def is_unicode(text: str) -> bool:
    """Whether a text from the wire can be written anywhere: JSON lets through half a surrogate
    pair, which no encoding does."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_no_unicode(payload: Payload) -> Violation | None:
    """What a payload earns of which a text, at any depth, is no Unicode."""
    for name, value in payload.items():
        for text in _texts(value):
            if not text.isascii() and not is_unicode(text):
                return Violation("PropertyConstraintViolation", f"{name}: no Unicode")
    return None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def masked(action: str, payload: Payload) -> Payload:
    """`payload` as a log may show it: no AuthorizationKey, and of a server's
    URL neither user and password nor the query, which may hold a token."""
    if action in _WITH_SERVERS:
        return {name: _without_password(value) for name, value in payload.items()}
    if action == "ChangeConfiguration" and str(payload.get("key", "")).lower() in _MASKED_KEYS:
        return payload | {"value": "****"}
    if action == "GetConfiguration" and isinstance(payload.get("configurationKey"), list):
        entries = [
            entry | {"value": "****"}
            if isinstance(entry, dict) and str(entry.get("key", "")).lower() in _MASKED_KEYS
            else entry
            for entry in payload["configurationKey"]
        ]
        return payload | {"configurationKey": entries}
    return payload


def _without_password(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_password(each) for name, each in value.items()}
    if not isinstance(value, str) or "://" not in value:
        return value
    return _QUERY_OF_URL.sub("****", _USER_OF_URL.sub("****@", value))


def render_timestamp(unix_ms: int) -> str:
    """`2024-05-01T12:00:00Z`: UTC, whole seconds, as small charge points send it.

    Raises:
        ValueError: beyond the years 1970 to 9999.
    """
    if not 0 <= unix_ms <= LAST_MOMENT_MS:
        raise ValueError(f"{unix_ms} ms is beyond the years 1970 to 9999")
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: object) -> int | None:
    """Milliseconds since 1970 of an ISO 8601 date and time; without a zone it is UTC."""
    if not isinstance(text, str) or len(text) > 40 or "T" not in text.upper():
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        unix_ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return unix_ms if 0 <= unix_ms <= LAST_MOMENT_MS else None


def parse_identity(path: str) -> str | None:
    """The identity in the path of a request: its last segment, percent-decoded."""
    segment = path.partition("?")[0].rpartition("/")[2]
    try:
        return unquote(segment, errors="strict") or None
    except UnicodeDecodeError:
        return None


def decode_authorization_key(text: str) -> bytes:
    """The bytes of a configured AuthorizationKey: 32 to 40 hex digits, or 16 to 20 characters.

    Raises:
        ValueError: neither; the text is not in the message.
    """
    if 32 <= len(text) <= 40 and len(text) % 2 == 0 and _HEX.match(text):
        return bytes.fromhex(text)
    if 16 <= len(text) <= 20 and text.isascii() and text.isprintable():
        return text.encode("ascii")
    raise ValueError("an AuthorizationKey has 32 to 40 hex digits or 16 to 20 plain characters")


def render_basic_authorization(identity: str, key: bytes) -> str:
    """The value of the Authorization header; `key` is the decoded key, not its hex digits.

    Raises:
        ValueError: the identity holds a colon, which HTTP Basic cannot carry.
    """
    if ":" in identity:
        raise ValueError("HTTP Basic: the identity must not contain a colon")
    return "Basic " + base64.b64encode(identity.encode() + b":" + key).decode("ascii")


def parse_basic_authorization(header: str) -> tuple[str, bytes] | None:
    """Identity and key bytes of an Authorization header, or None where it is not Basic."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        identity, separator, key = base64.b64decode(text.strip(), validate=True).partition(b":")
        return (identity.decode(), key) if separator else None
    except (binascii.Error, ValueError):
        return None


def _parse(text: str) -> Any:
    """JSON; raises ValueError or RecursionError. `msgspec` is three times as fast as `json`,
    which reads what the other declines: 1e400, lone surrogates, integers of 400 digits."""
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, ValueError):
        return json.loads(text, parse_constant=_refuse_constant)


def _is_deeper(value: object, most: int) -> bool:
    """Whether lists and objects stand in one another more than `most` deep."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _render(value: object) -> str:
    """JSON in ASCII; raises ValueError or TypeError. `json` renders what `msgspec` would not
    render so: characters beyond ASCII, and NaN, of which the latter would make null."""
    try:
        text = _ENCODER.encode(value)
    except (msgspec.MsgspecError, ValueError, TypeError):
        pass
    else:
        if text.isascii() and b"null" not in text:
            return text.decode("ascii")
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")
