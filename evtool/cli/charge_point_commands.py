# SPDX-License-Identifier: GPL-3.0-or-later
"""What the charge point in Python obeys on stdin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from evtool.cli.charge_point_reference import ReferenceHost
from evtool.cli.connector_models import ConnectorModel

COMMANDS = (
    "plug_in [N]",
    "plug_out [N]",
    "swipe ID_TAG [N]",
    "ws_off",
    "ws_on",
    "error N CODE",
    "clear [N]",
    "pause [N]",
    "resume [N]",
    "lock_fail [N]",
    "unlock_fail [N]",
    "meter N WH",
    "power_loss",
    "status",
    "quit",
)
_UNKNOWN = "the commands are: " + ", ".join(COMMANDS)
_MAX_ID_TAG = 20


def obey(host: ReferenceHost, name: str, words: list[str]) -> str | None:
    """Carry out one command but `status` and `quit`; what is wrong with it, or None."""
    match name, words:
        case "swipe", [id_tag, *at] if len(at) <= 1:
            return _swipe(host, id_tag, at)
        case "ws_off" | "ws_on", []:
            host.set_network(name == "ws_on")
        case "power_loss", []:
            host.lose_power()
        case "error", [number, code]:
            return _at(host, [number], lambda model: model.fail(code))
        case "meter", [number, value] if value.isascii() and value.isdigit() and len(value) < 12:
            return _at(host, [number], lambda model: model.set_meter(int(value)))
        case _, at if name in _MOVES and len(at) <= 1:
            return _at(host, at, _MOVES[name])
        case _:
            return _UNKNOWN
    return None


def _swipe(host: ReferenceHost, id_tag: str, at: list[str]) -> str | None:
    if not 1 <= len(id_tag) <= _MAX_ID_TAG or not all("!" <= each <= "~" for each in id_tag):
        return f"{id_tag!r} is no id_tag: 1 to 20 characters ! to ~"
    if at and _number(host, at) is None:
        return _no_connector(host, at)
    host.swipe(id_tag, _number(host, at) if at else None)
    return None


def _at(
    host: ReferenceHost, at: list[str], act: Callable[[ConnectorModel], str | None]
) -> str | None:
    number = _number(host, at or ["1"])
    if number is None:
        return _no_connector(host, at)
    problem = act(host.models[number])
    host.step()
    return problem


def _number(host: ReferenceHost, at: list[str]) -> int | None:
    text = at[0]
    known = {str(number): number for number in host.models}
    return known.get(text)


def _no_connector(host: ReferenceHost, at: list[str]) -> str:
    last = len(host.models)
    return f"connector {at[0]}: there is {'1' if last == 1 else f'1 to {last}'}"


def _move(move: Callable[[ConnectorModel], None]) -> Callable[[ConnectorModel], str | None]:
    def act(model: ConnectorModel) -> str | None:
        move(model)
        return None

    return act


_MOVES: Mapping[str, Callable[[ConnectorModel], str | None]] = MappingProxyType(
    {
        "plug_in": _move(lambda model: model.plug(is_in=True)),
        "plug_out": _move(lambda model: model.plug(is_in=False)),
        "pause": _move(lambda model: model.pause(is_paused=True)),
        "resume": _move(lambda model: model.pause(is_paused=False)),
        "clear": _move(lambda model: model.clear()),
        "lock_fail": _move(lambda model: model.fail_lock(unlocking=False)),
        "unlock_fail": _move(lambda model: model.fail_lock(unlocking=True)),
    }
)
