# SPDX-License-Identifier: GPL-3.0-or-later
"""OCPP 1.6J: messages as text, their schemas, the connection's URL and its Basic header.

Text from the wire never raises: `parse_message` gives a message or Malformed, `find_violation`
the CallError that the payload earns. What we render ourselves raises ValueError when wrong.

Sources: OCPP 1.6 edition 2; OCPP-J 1.6 paragraphs 3.1 (URL), 4.2 (messages), 6.2 (Basic);
the schemas are those of the `ocpp` package.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from ocpp.messages import MessageType, get_validator
from ocpp.v16.enums import Action, ChargePointErrorCode, ChargePointStatus, Reason

from evtool.protocol.can_frame import Malformed

SUBPROTOCOL = "ocpp1.6"
ACTIONS = frozenset(action.value for action in Action)
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

Payload = dict[str, Any]  # JSON values; their types are the schema's business

LAST_MOMENT_MS = 253_402_300_799_999
"""The end of the year 9999, beyond which no timestamp can be written."""

_MAX_TEXT = 1 << 20
_MASKED_KEYS = frozenset({"authorizationkey"})
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


@dataclass(frozen=True, slots=True)
class Violation:
    """A payload that its schema refuses: the CallError code, and why."""

    code: str
    description: str


def parse_message(text: str) -> Message | Malformed:
    """Read one message; a Call without a payload counts as one with an empty payload."""
    if len(text) > _MAX_TEXT:
        return Malformed(f"a message of {len(text)} characters")
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return Malformed(f"not JSON: {error}")
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
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def find_violation(action: str, payload: Payload, *, answer: bool = False) -> Violation | None:
    """Check `payload` against the schema of the action's request, or of its answer.

    Returns:
        None where it conforms, else what to say in a CallError. As the field does, a field
        that is missing, unknown or of the wrong type is a FormationViolation, a value out of
        range a PropertyConstraintViolation.
    """
    if action not in ACTIONS:
        return Violation("NotImplemented", f"no action {action}"[:100])
    kind = MessageType.CallResult if answer else MessageType.Call
    # Decimal: the schemas ask for multiples of 0.1, which no float is.
    validator = get_validator(kind, action, "1.6", parse_float=Decimal)
    try:
        exact = json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal)
    except (ValueError, TypeError, RecursionError) as error:
        return Violation("FormationViolation", f"not JSON: {error}")
    try:
        fault = next(iter(validator.iter_errors(exact)), None)
    except ArithmeticError:
        # "multiple of 0.1" of a number beyond Decimal's precision, such as 1e40
        return Violation("PropertyConstraintViolation", "a number beyond all limits")
    if fault is None:
        return None
    path = ".".join(str(part) for part in fault.absolute_path)
    code = {
        "type": "FormationViolation",
        "required": "FormationViolation",
        "additionalProperties": "FormationViolation",
        "maxItems": "OccurenceConstraintViolation",
        "minItems": "OccurenceConstraintViolation",
    }.get(fault.validator, "PropertyConstraintViolation")
    return Violation(code, f"{path or action}: {fault.validator}"[:200])


def masked(action: str, payload: Payload) -> Payload:
    """`payload` as a log may show it: without the value of an AuthorizationKey."""
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


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")
