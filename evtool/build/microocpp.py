# SPDX-License-Identifier: GPL-3.0-or-later
"""MicroOcpp and ArduinoJson in a folder that the user names, for the host build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evtool.errors import ConfigError

_OCPP_HEADER = Path("src/MicroOcpp.h")
_JSON_HEADER = Path("src/ArduinoJson.h")


@dataclass(frozen=True, slots=True)
class MicroOcpp:
    """The folders of the two libraries, absolute."""

    library: Path
    arduino_json: Path


def find_microocpp(folder: Path) -> MicroOcpp:
    """Find the libraries in `folder`: a checkout of MicroOcpp, or a folder that holds one.

    ArduinoJson may stand inside of MicroOcpp, in its lib/ or beside it.

    Raises:
        ConfigError: one of them is not there.
    """
    folder = folder.expanduser().absolute()
    places = (folder, folder / "MicroOcpp")
    library = next((place for place in places if (place / _OCPP_HEADER).is_file()), None)
    if library is None:
        raise ConfigError(
            f"no MicroOcpp in {folder}: neither it nor a folder MicroOcpp in it has {_OCPP_HEADER}",
            fix="name a checkout of MicroOcpp with --microocpp DIR or [build] microocpp",
        )
    json_places = (
        library / "ArduinoJson",
        library / "lib" / "ArduinoJson",
        library.parent / "ArduinoJson",
        folder / "ArduinoJson",
    )
    json = next((place for place in json_places if (place / _JSON_HEADER).is_file()), None)
    if json is None:
        raise ConfigError(
            f"no ArduinoJson for the MicroOcpp in {library}; looked for {_JSON_HEADER} in "
            + ", ".join(str(place) for place in dict.fromkeys(json_places)),
            fix="put a checkout of ArduinoJson 6.21 there, in a folder called ArduinoJson",
        )
    return MicroOcpp(library, json)
