# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scenarios can be done to a board, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evtool.verify.scenario import Event, Scenario

DEFAULT_MAX_DURATION_MS = 120_000

# What no bench can make a board's own parts do or say.
_IMPOSSIBLE = {
    "jump": "a board's clock cannot be moved",
    "bus": "a board's CAN controller cannot be made to change its state",
    "word": "OCPP's word comes from the board's own OCPP client",
    "power_cut": "evtool does not cut a board's power",
}
_NEEDS_CSMS = ("remote_start", "remote_stop", "limit", "ocpp")
# The CSMS's orders that a board without connection never gets.
_ORDERS = ("remote_stop", "limit")


@dataclass(frozen=True, slots=True)
class Means:
    """What this bench has.

    Attributes:
        config: the controller's whole configuration, by the project.
        no_csms: why evtool is not the board's CSMS; empty where it is.
        remote_frames: whether the CAN interface carries them.
    """

    config: Mapping[str, str]
    no_csms: str
    remote_frames: bool
    max_duration_ms: int = DEFAULT_MAX_DURATION_MS


def why_not(scenario: Scenario, means: Means) -> str:
    """Why `scenario` cannot be done to a board on this bench; empty where it can."""
    if scenario.lines:
        return "raw lines: a board takes no lines of the host program"
    for name, value in scenario.config.items():
        own = means.config.get(name, "(no such field)")
        if value != own:
            return f"needs {name} = {value}; the board's is {own}"
    if scenario.duration_ms > means.max_duration_ms:
        longest = means.max_duration_ms // 1000
        return f"takes {scenario.duration_ms // 1000} s; --max-duration is {longest} s"
    offline = False
    for event in scenario.events:
        reason = _why_not_event(event, means)
        if not reason and offline and event.action in _ORDERS:
            reason = f"{event.action} while offline: the CSMS cannot reach the board then"
        if reason:
            return f"{reason} (line {event.line})"
        if event.action == "ocpp":
            offline = event.parameters["mode"] == "offline"
    return ""


def _why_not_event(event: Event, means: Means) -> str:
    action, parameters = event.action or "", event.parameters
    reason = _IMPOSSIBLE.get(action, "")
    if action == "ocpp" and parameters["mode"] == "silent":
        reason = "a board's OCPP client cannot be made to keep quiet"
    elif means.no_csms and (
        action in _NEEDS_CSMS or (action == "key" and "s" in parameters["text"].lower())
    ):
        reason = f"needs evtool as the board's CSMS: {means.no_csms}"
    elif action == "limit" and max(parameters["current_ma"], 0) % 100:
        reason = "OCPP carries a limit in steps of 0.1 A"
    elif action == "frame" and parameters.get("bus", 0) >= int(means.config["buses"]):
        reason = "the board has one bus"
    elif action == "frame" and parameters.get("remote", False) and not means.remote_frames:
        reason = "this CAN interface carries no remote frames"
    if not reason:
        return ""
    named = " ".join((action, *(str(parameters[key]) for key in ("mode",) if key in parameters)))
    return f"{named}: {reason}"
