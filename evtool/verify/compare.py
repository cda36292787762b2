# SPDX-License-Identifier: GPL-3.0-or-later
"""Two answers to the same input, compared field by field.

Answers are the lines of docs/host-program.md: `can`, `console`, `ocpp`, `store`, `recover`
and one `state` line. The first difference is named by its field, with both values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evtool.protocol.can_tables import MESSAGE_NAMES

Answer = tuple[str, ...]

_NOTHING = "(nothing)"
_NAMES = {f"{can_id:08X}": name for can_id, name in MESSAGE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field with the value that each side gave it."""

    field: str
    reference: str
    device: str

    def __str__(self) -> str:
        return f"{self.field}: reference {self.reference}, device {self.device}"


def differences(reference: Answer, device: Answer) -> list[FieldDifference]:
    """Every field in which two answers differ, the state's fields first; empty if equal."""
    if reference == device:
        return []
    found = _state_differences(state_of(reference), state_of(device))
    for kind in ("can", "console", "ocpp", "store", "recover"):
        ours = [line for line in reference if line.split(" ", 1)[0] == kind]
        theirs = [line for line in device if line.split(" ", 1)[0] == kind]
        found += _line_differences(ours, theirs)
    if not found:
        # The same lines in another order, or a kind of line that nobody knows.
        found = _line_differences(reference, device)
    return found


def state_of(answer: Answer) -> dict[str, str]:
    """The fields of an answer's `state` line, in its order."""
    for line in answer:
        if line.startswith("state "):
            return dict(word.split("=", 1) for word in line[6:].split(" ") if "=" in word)
    return {}


def _state_differences(reference: dict[str, str], device: dict[str, str]) -> list[FieldDifference]:
    names = [*reference, *(name for name in device if name not in reference)]
    return [
        FieldDifference(name, reference.get(name, _NOTHING), device.get(name, _NOTHING))
        for name in names
        if reference.get(name) != device.get(name)
    ]


def _line_differences(reference: Sequence[str], device: Sequence[str]) -> list[FieldDifference]:
    found = []
    for index in range(max(len(reference), len(device))):
        ours = reference[index] if index < len(reference) else _NOTHING
        theirs = device[index] if index < len(device) else _NOTHING
        if ours != theirs:
            known = ours if ours != _NOTHING else theirs
            found.append(FieldDifference(_field(known), _body(ours), _body(theirs)))
    return found


def _field(line: str) -> str:
    words = line.split(" ")
    if words[0] == "can" and len(words) > 2:
        return f"CAN frame {message_name(words[2])} on bus {words[1]}"
    if words[0] == "console":
        return "console line" if len(words) < 2 else f"console {words[1]}"
    return words[0]


def _body(line: str) -> str:
    return line if line == _NOTHING or " " not in line else line.split(" ", 1)[1]


def message_name(can_id: str) -> str:
    """`0x1806E5F4 charge_request` for the hex text of an identifier."""
    name = _NAMES.get(can_id)  # looked up as text: a device may say anything
    return f"0x{can_id}" if name is None else f"0x{can_id} {name}"
