# SPDX-License-Identifier: GPL-3.0-or-later
"""A value as the dialect of Espressif's NVS generator writes it, read strictly.

No message holds the value: it may be a key or a passphrase.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct

from evtool.protocol.nvs import INTEGER_CODES, NvsContent, NvsKind
from evtool.protocol.nvs_page import INTEGERS

BLOB_ENCODINGS = ("hex2bin", "base64", "binary")
ENCODINGS = (*INTEGER_CODES, "string", *BLOB_ENCODINGS)
STRING_BYTES = 3999
BLOB_BYTES = 508_000

_INTEGER = re.compile(r"-?[0-9]+|-?0[xX][0-9a-fA-F]+")
_LONGEST_INTEGER = 30
_HEX = re.compile(rb"[0-9a-fA-F]*")
_FILL = re.compile(r"(blob_fill|blob_sz_fill)\(([0-9]{1,9});0x([0-9a-fA-F]{2})\)")


def is_fill(encoding: str) -> bool:
    """Whether it is `blob_fill(N;0xXX)` or `blob_sz_fill(N;0xXX)`."""
    return _FILL.fullmatch(encoding) is not None


def unknown_encoding(encoding: str) -> str:
    """The rule that `encoding` breaks, with the word that was meant where that is plain.

    Anything else is not repeated: in a row that has slipped it may be the value.
    """
    near = encoding.strip().lower()
    near = {"str": "string", "hex": "hex2bin", "blob": "binary"}.get(near, near)
    hint = f"; is {near} meant?" if near in ENCODINGS else ""
    return f"unknown encoding: one of {', '.join(ENCODINGS)}{hint}"


def kind_of(encoding: str) -> NvsKind:
    """What NVS stores for an encoding; ValueError where there is none of this name."""
    if encoding == "string":
        return "str"
    if encoding in BLOB_ENCODINGS or is_fill(encoding):
        return "blob"
    for kind in INTEGER_CODES:
        if kind == encoding:
            return kind  # type: ignore[return-value]  # the table's keys are the kinds
    raise ValueError(unknown_encoding(encoding))


def read_value(encoding: str, data: bytes, *, from_file: bool) -> NvsContent:
    """The value that `data` stands for.

    Args:
        encoding: one of ENCODINGS, or a fill.
        data: a cell's text as UTF-8, or a file's content.
        from_file: `data` is a file: white space around a number or digits is its layout.

    Raises:
        ValueError: the rule that is broken.
    """
    kind = kind_of(encoding)
    if kind == "str":
        return _string(data)
    if kind != "blob":
        return _integer(encoding, data.strip() if from_file else data)
    if encoding == "binary":
        value = data
    elif is_fill(encoding):
        value = _filled(encoding, data)
    else:
        packed = b"".join(data.split()) if from_file else data
        value = _hex(packed) if encoding == "hex2bin" else _base64(packed)
    if not value and not is_fill(encoding):
        raise ValueError("empty; leave the row out if the key is to hold nothing")
    if len(value) > BLOB_BYTES:
        raise ValueError(f"{len(value)} bytes; a blob holds at most {BLOB_BYTES}")
    return value


def _string(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        # `from None`: the error carries the bytes
        raise ValueError(f"byte {error.start + 1} is not UTF-8; use binary for bytes") from None
    if "\0" in text:
        raise ValueError("holds a NUL, at which the firmware would end it; use binary for bytes")
    if len(data) > STRING_BYTES:
        raise ValueError(f"{len(data)} bytes of UTF-8; a string holds at most {STRING_BYTES}")
    return text


def _integer(encoding: str, data: bytes) -> int:
    text = data.decode("utf-8", "replace")
    if not text:
        raise ValueError("empty; an integer is needed")
    if not _INTEGER.fullmatch(text):
        hint = ""
        if text.strip() != text:
            hint = " without blanks around it"
        elif re.fullmatch(r"-?[0-9]+[.,eE][0-9.,eE+-]*", text):
            hint = "; this looks like a fraction or a spreadsheet's notation"
        raise ValueError(f"not an integer: decimal or 0x hexadecimal digits{hint}")
    size, signed = INTEGERS[INTEGER_CODES[encoding]]
    low = -(1 << size * 8 - 1) if signed else 0
    high = low + (1 << size * 8) - 1
    value = int(text, 16 if "x" in text.lower() else 10) if len(text) <= _LONGEST_INTEGER else None
    if value is None or not low <= value <= high:
        raise ValueError(f"out of range: {encoding} holds {low} to {high}")
    return value


def _hex(data: bytes) -> bytes:
    if not _HEX.fullmatch(data):
        prefix = " (without 0x)" if data[:2].lower() == b"0x" else ""
        raise ValueError(f"not hexadecimal: only the digits 0-9 and a-f{prefix}")
    if len(data) % 2:
        raise ValueError(f"{len(data)} hexadecimal digits; two are needed for each byte")
    return binascii.a2b_hex(data)


def _base64(data: bytes) -> bytes:
    try:
        value = base64.b64decode(data, validate=True)
    except ValueError:  # binascii.Error, too; its message would do, but is not for people
        raise ValueError("not base64: A-Z a-z 0-9 + / in groups of four, = at the end") from None
    if base64.b64encode(value) != data:
        raise ValueError("its last digit has bits that belong to no byte; was it cut, or mistyped?")
    return value


def _filled(encoding: str, data: bytes) -> bytes:
    found = _FILL.fullmatch(encoding)
    if found is None:
        raise ValueError(unknown_encoding(encoding))
    length = int(found[2])
    if length > BLOB_BYTES:
        raise ValueError(f"{length} bytes; a blob holds at most {BLOB_BYTES}")
    if len(data) > length:
        raise ValueError(f"{len(data)} bytes; {encoding} takes at most {length}")
    head = struct.pack("<I", len(data)) if found[1] == "blob_sz_fill" else b""
    return head + data.ljust(length, bytes((int(found[3], 16),)))
