# SPDX-License-Identifier: GPL-3.0-or-later
"""The vehicle and the power module of a scenario: how they are set up, and what moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evtool.protocol.can_frame import CanFrame
from evtool.virtual.bench import Bench
from evtool.virtual.power_module import PowerModule, PowerModuleSettings, Shown
from evtool.virtual.vehicle import Pack, Vehicle, VehicleSettings


def make_bench(config: Mapping[str, str], now_ms: int) -> Bench:
    """Both models as the controller's configuration wants them: its pack, its scales, its buses."""
    vehicle = VehicleSettings(pack=Pack(config.get("capacity_source", "remaining")))
    module = PowerModuleSettings(
        current_scale="1/10" if config.get("module_current_scale") == "1/10" else "1/1024",
        temperature_scale="deci" if config.get("module_temperature_scale") == "deci" else "milli",
    )
    bms_bus = int(config.get("buses", "1")) - 1
    return Bench(Vehicle(vehicle), PowerModule(module), bms_bus, now_ms)


def move_bench(bench: Bench, action: str, parameters: Mapping[str, Any]) -> None:
    """Do what an event says to the vehicle or the module; any other action does nothing."""
    match action:
        case "request":
            bench.vehicle.settings = replace(
                bench.vehicle.settings,
                request_mv=parameters["voltage_mv"],
                request_ma=parameters["current_ma"],
            )
        case "heating":
            bench.vehicle.heating = parameters["on"]
        case "measure":
            bench.module.shows = Shown(**parameters)
        case "switch":
            bench.command("switch on" if parameters["on"] else "switch off")
        case "bms" | "module":
            bench.command(f"{action} {parameters['mode']}")
        case "plug_in" | "plug_out":
            bench.command(action)


def frame_of_event(parameters: Mapping[str, Any]) -> tuple[int, CanFrame]:
    """The bus and the frame of an event `frame`."""
    remote = parameters.get("remote", False)
    frame = CanFrame(
        parameters["can_id"],
        b"" if remote else bytes.fromhex(parameters.get("data", "")),
        extended=parameters.get("extended", True),
        remote=remote,
    )
    return parameters.get("bus", 0), frame
