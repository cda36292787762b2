# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build will run, where, with which environment, and which files it makes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evtool.build.fingerprint import build_id
from evtool.build.microocpp import MicroOcpp
from evtool.build.scons_package import scons_package
from evtool.errors import ConfigError
from evtool.project import Project

HOST_ENVIRONMENTS = ("host", "host_asan")
_HOST_TIMEOUT_S = 1800.0
# The first build for the ESP32 fetches half a gigabyte of tools.
_ESP32_TIMEOUT_S = 7200.0
# Nothing listens there: a mistaken look into the registry fails at once, not after a minute.
_NOWHERE = "http://127.0.0.1:1"
_SHOWN = (
    "EVTOOL_BUILD_ID",
    "EVTOOL_VERSION",
    "EVTOOL_MICROOCPP",
    "EVTOOL_ARDUINOJSON",
    "PLATFORMIO_CORE_DIR",
    "PLATFORMIO_PLATFORMS_DIR",
    "PLATFORMIO_PACKAGES_DIR",
    "PLATFORMIO_LIBDEPS_DIR",
    "PLATFORMIO_BUILD_DIR",
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# Followed by the bundle's id: a bundle's libraries, copied beside the objects.
BUNDLED_LIBRARIES = "libraries-"
_SHARED_FOLDERS = (".cache/downloads", ".cache/tmp", "platforms")


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """One run of PlatformIO and what comes out of it; every path is absolute.

    Attributes:
        variables: the whole environment of the process.
        packages: files that must stand before it starts.
        folders: folders that must stand before it starts, and what each is a copy of.
        work_folder: where PlatformIO keeps this environment's objects and results.
        output: the folder that `evtool flash` reads.
        lock: held while it runs, so that two builds of one project take turns.
        unfinished: stands while it runs; found by the next one, the objects are not trusted.
        bundle: the installed bundle that the packages come from.
        log: every line that PlatformIO prints.
        steps: what the next build knows of this one's order.
    """

    environment: str
    version: str
    build_id: str
    argv: tuple[str, ...]
    firmware: Path
    variables: Mapping[str, str]
    packages: Mapping[Path, bytes]
    work_folder: Path
    output: Path
    lock: Path
    unfinished: Path
    log: Path
    steps: Path
    timeout_s: float
    folders: Mapping[Path, Path] = field(default_factory=dict)
    bundle: Path | None = None

    @property
    def for_host(self) -> bool:
        """Whether the program runs on this computer."""
        return self.environment in HOST_ENVIRONMENTS

    def describe(self) -> dict[str, object]:
        """The plan for people and programs; of the environment, what the plan put into it."""
        names = [name for name in _SHOWN if name in self.variables]
        return {
            "environment": self.environment,
            "build_id": self.build_id,
            "version": self.version,
            "command": list(self.argv),
            "folder": str(self.firmware),
            "variables": {name: self.variables[name] for name in names},
            "output": str(self.output),
        }


@dataclass(frozen=True, slots=True)
class Supplies:
    """What a build takes from this computer.

    Attributes:
        core: PlatformIO's own folder where the user's has no part in the build.
        microocpp: the libraries that the user named for a host build.
        bundle: the installed bundle that a build for the ESP32 takes its packages from; None
            for the user's own PlatformIO.
    """

    core: Path
    microocpp: MicroOcpp | None = None
    bundle: Path | None = None


def plan_build(
    project: Project,
    environment: str,
    *,
    version: str,
    supplies: Supplies,
    variables: Mapping[str, str],
    verbose: bool = False,
) -> BuildPlan:
    """Plan a build of `environment`.

    Args:
        version: evtool's.
        variables: our process's environment; the project's secrets are not passed on.

    Raises:
        ConfigError: the firmware folder is not a PlatformIO project.
    """
    firmware = project.build.firmware
    if not (firmware / "platformio.ini").is_file():
        raise ConfigError(
            f"{firmware} holds no firmware: there is no platformio.ini in it",
            fix="correct [build] firmware, or lay a project out with `evtool init DIR`",
        )
    for_host = environment in HOST_ENVIRONMENTS
    microocpp = supplies.microocpp
    bundle = None if for_host else supplies.bundle
    work = firmware / ".pio"
    libraries = (microocpp.library / "src", microocpp.arduino_json / "src") if microocpp else ()
    identifier = build_id(firmware, environment, version, libraries)
    environ = _without_secrets(project, variables)
    packages: dict[Path, bytes] = {}
    folders: dict[Path, Path] = {}
    core = supplies.core
    if for_host or bundle:
        core /= _platformio_version()
    if bundle:
        environ = _closed_variables(environ, core)
        # PlatformIO writes into the folder of the libraries, and the bundle is everybody's.
        copies = work / f"{BUNDLED_LIBRARIES}{bundle.name}"
        if (bundle / "libraries").is_dir():
            folders = {copies / environment: bundle / "libraries"}
        environ |= {
            "PLATFORMIO_PLATFORMS_DIR": str(bundle / "platforms"),
            "PLATFORMIO_PACKAGES_DIR": str(bundle / "tools"),
            "PLATFORMIO_LIBDEPS_DIR": str(copies),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    if for_host or bundle:
        # PlatformIO makes these folders in two steps (is it there? make it): two first builds
        # at once would trip over each other.
        packages = {core / name / ".keep": b"" for name in _SHARED_FOLDERS}
    if for_host:
        environ = _host_variables(environ, core, firmware, microocpp)
        packages |= scons_package(core / "packages")
    environ |= {
        "EVTOOL_BUILD_ID": identifier,
        "EVTOOL_VERSION": version,
        "PLATFORMIO_NO_ANSI": "true",
        "PLATFORMIO_BUILD_DIR": str(work / "build"),
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
    }
    argv = [sys.executable, "-P", "-m", "platformio", "run", "-e", environment, "-d", str(firmware)]
    if for_host:
        # SCons itself knows what to build again; the wipe would take other environments along.
        argv.append("--disable-auto-clean")
    if verbose:
        argv.append("--verbose")
    return BuildPlan(
        environment=environment,
        version=version,
        build_id=identifier,
        argv=tuple(argv),
        firmware=firmware,
        variables=environ,
        packages=packages,
        work_folder=work / "build" / environment,
        output=project.root / "build" / environment,
        lock=work / "evtool.lock",
        unfinished=work / f"{environment}.unfinished",
        log=work / f"{environment}.log",
        steps=work / f"{environment}.steps",
        timeout_s=_HOST_TIMEOUT_S if for_host else _ESP32_TIMEOUT_S,
        folders=folders,
        bundle=bundle,
    )


def _without_secrets(project: Project, variables: Mapping[str, str]) -> dict[str, str]:
    references = (project.wifi.passphrase, project.csms.authorization_key)
    names = {reference.name for reference in references if reference.kind == "env"}
    return {name: value for name, value in variables.items() if name not in names}


def _closed_variables(variables: Mapping[str, str], core: Path) -> dict[str, str]:
    """Nothing of the user's PlatformIO reaches the build, and nothing leaves the computer."""
    environ = {
        name: value
        for name, value in variables.items()
        if not name.startswith(("PLATFORMIO_", "EVTOOL_")) and name.lower() not in _PROXIES
    }
    return environ | {
        "PLATFORMIO_CORE_DIR": str(core),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "36500",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
    }


def _host_variables(
    variables: Mapping[str, str], core: Path, firmware: Path, microocpp: MicroOcpp | None
) -> dict[str, str]:
    # PlatformIO notes by name where a platform's folder is; two projects have one each.
    own = hashlib.sha256(str(firmware).encode()).hexdigest()[:16]
    environ = _closed_variables(variables, core)
    environ["PLATFORMIO_PLATFORMS_DIR"] = str(core / "platforms" / own)
    if microocpp is not None:
        environ |= {
            "EVTOOL_MICROOCPP": str(microocpp.library),
            "EVTOOL_ARDUINOJSON": str(microocpp.arduino_json),
        }
    return environ


def _platformio_version() -> str:
    """One folder for each version of PlatformIO: none ever upgrades what another one uses."""
    from platformio import __version__  # noqa: PLC0415 - only a host build needs it

    return str(__version__)
