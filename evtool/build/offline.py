# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment needs, what of it is here, and what to say when it is not.

PlatformIO itself looks for a missing package for a minute and then prints an empty message.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evtool.build.plan import HOST_ENVIRONMENTS
from evtool.errors import ConfigError, ToolError

# What the platform fetches for a board with the plain ESP32; where the platform is installed
# its own platform.json says which version of each.
_TOOLS = {
    "toolchain-xtensa-esp32": "8.4.0+2021r2-patch5",
    "framework-arduinoespressif32": "~3.20017.0",
    "tool-esptoolpy": "~2.40900.0",
}
_TOOL_OWNERS = {"toolchain-xtensa-esp32": "espressif"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that a build needs; `found` is its version or place, None when missing.

    Attributes:
        folder: where a package of PlatformIO's stands.
    """

    kind: str
    name: str
    wanted: str
    found: str | None
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.wanted}".rstrip()


@dataclass(frozen=True, slots=True)
class Storage:
    """The folders that packages are looked for in; `libraries` is that of one environment."""

    platforms: Path
    tools: Path
    libraries: Path


def requirements(
    firmware: Path, environment: str, storage: Storage | None = None
) -> tuple[Requirement, ...]:
    """Everything that building `environment` needs and may not find.

    Args:
        storage: where to look; None for the user's own PlatformIO and the project.

    Raises:
        ConfigError: platformio.ini cannot be read, or has no such environment.
    """
    if environment in HOST_ENVIRONMENTS:
        return _host_requirements()
    return tuple(_esp32_requirements(firmware, environment, storage))


def missing(needed: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Those that are not here."""
    return tuple(requirement for requirement in needed if requirement.found is None)


def registry_hosts() -> tuple[str, ...]:
    """The hosts that PlatformIO would fetch packages from."""
    from platformio import __registry_mirror_hosts__  # noqa: PLC0415 - only asked when missing

    return tuple(__registry_mirror_hosts__)


def missing_error(
    environment: str, lacking: Iterable[Requirement], bundle: Path | None = None
) -> ToolError:
    """What to tell a user whose packages are missing and whose registry is out of reach.

    Args:
        bundle: the bundle that they were looked for in.
    """
    needed = tuple(lacking)
    programs = [requirement for requirement in needed if requirement.kind == "program"]
    if programs:
        names = ", ".join(requirement.name for requirement in programs)
        return ToolError(
            f"{environment} needs {names}, which this computer does not have",
            fix="install a C++ compiler (Debian: apt-get install g++)",
        )
    rows = "".join(f"\n    {requirement}" for requirement in needed)
    if bundle is not None:
        return ToolError(
            f"{environment} needs packages that the bundle in {bundle} does not hold:{rows}",
            fix="make a new bundle where this platformio.ini has been built (`evtool bundle "
            "create`) and install it; or set EVTOOL_BUNDLE_DIR to nothing to build without one",
        )
    return ToolError(
        f"{environment} needs packages that are not installed, and PlatformIO's registry "
        f"cannot be reached:{rows}",
        fix="connect this computer once and build again; or, on a computer that has built this, "
        "`evtool bundle create`, and here `evtool bundle install FILE` (docs/offline.md)",
    )


def _host_requirements() -> tuple[Requirement, ...]:
    def module(name: str) -> str | None:
        spec = importlib.util.find_spec(name)
        return None if spec is None else spec.origin or name

    return (
        Requirement("program", "g++", "", shutil.which("g++")),
        Requirement("Python package", "scons", "", module("SCons")),
        Requirement("Python package", "platformio", "", module("platformio")),
    )


def _esp32_requirements(
    firmware: Path, environment: str, storage: Storage | None
) -> Iterator[Requirement]:
    # PlatformIO's own reading of its files, so that nothing is judged otherwise than by it.
    from platformio import telemetry  # noqa: PLC0415
    from platformio.package.manager.library import LibraryPackageManager  # noqa: PLC0415
    from platformio.package.manager.platform import PlatformPackageManager  # noqa: PLC0415
    from platformio.package.manager.tool import ToolPackageManager  # noqa: PLC0415
    from platformio.package.meta import PackageSpec  # noqa: PLC0415

    # Its farewell would write into the user's PlatformIO folder, and fails on a broken file.
    atexit.unregister(telemetry._finalize)  # noqa: SLF001 - there is no public way
    config = _read_config(firmware, environment)
    section = f"env:{environment}"
    if storage is None:
        libraries = os.environ.get("PLATFORMIO_LIBDEPS_DIR") or firmware / ".pio" / "libdeps"
        storage = Storage(
            Path(config.get("platformio", "platforms_dir")),
            Path(config.get("platformio", "packages_dir")),
            Path(libraries) / environment,
        )
    spec = PackageSpec(config.get(section, "platform"))
    platform = PlatformPackageManager(str(storage.platforms)).get_package(spec)
    yield _requirement("platform", spec, platform)

    tools = ToolPackageManager(str(storage.tools))
    replaced = {PackageSpec(text).name for text in config.get(section, "platform_packages") or []}
    for spec in _tool_specs(platform, environment):
        if platform is not None or spec.name not in replaced:
            yield _requirement("tool", spec, tools.get_package(spec))

    storage_of_libraries = LibraryPackageManager(str(storage.libraries))
    waiting = [PackageSpec(text) for text in config.get(section, "lib_deps")]
    seen: set[str] = set()
    while waiting:
        spec = waiting.pop(0)
        if spec.humanize() in seen or not (spec.owner or spec.external):
            continue  # without an owner it comes with the framework
        seen.add(spec.humanize())
        package = storage_of_libraries.get_package(spec)
        yield _requirement("library", spec, package)
        if package is not None:
            for needed in storage_of_libraries.get_pkg_dependencies(package) or []:
                waiting.append(storage_of_libraries.dependency_to_spec(needed))


def _tool_specs(platform: Any, environment: str) -> Iterator[Any]:
    """What the platform says that it needs for this environment, and SCons."""
    from platformio.dependencies import get_core_dependencies  # noqa: PLC0415
    from platformio.package.meta import PackageSpec  # noqa: PLC0415

    if platform is None:
        for name, version in _TOOLS.items():
            owner = _TOOL_OWNERS.get(name, "platformio")
            yield PackageSpec(owner=owner, name=name, requirements=version)
    else:
        yield from _platforms_own_tools(platform, environment)
    name = "tool-scons"
    yield PackageSpec(owner="platformio", name=name, requirements=get_core_dependencies()[name])


def _platforms_own_tools(platform: Any, environment: str) -> list[Any]:
    from platformio.exception import PlatformioException  # noqa: PLC0415
    from platformio.platform.factory import PlatformFactory  # noqa: PLC0415

    writes = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # looking at a package leaves nothing in it
    try:
        instance = PlatformFactory.new(platform)
        instance.project_env = environment
        instance.configure_project_packages(environment, [])
        return [
            instance.get_package_spec(name)
            for name, options in instance.packages.items()
            if not options.get("optional")
        ]
    except (PlatformioException, OSError, ValueError, LookupError, TypeError) as error:
        # The platform's own code ran; what it stumbles over PlatformIO would stumble over.
        raise ConfigError(
            f"platform {platform.metadata.name} in {platform.path} refuses {environment}: "
            f"{type(error).__name__}: {error}",
            fix="correct platformio.ini, or remove that folder and build again",
        ) from error
    finally:
        sys.dont_write_bytecode = writes


def _read_config(firmware: Path, environment: str) -> Any:
    from platformio import app  # noqa: PLC0415
    from platformio.exception import PlatformioException  # noqa: PLC0415
    from platformio.project.config import ProjectConfig  # noqa: PLC0415

    file = firmware / "platformio.ini"
    try:
        file.read_bytes()  # PlatformIO itself takes a file that it cannot read for an empty one
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror or error}",
            fix="correct [build] firmware, or lay a project out with `evtool init DIR`",
        ) from error
    try:
        # The package managers ask PlatformIO's session for the project that they work for.
        app.set_session_var("custom_project_conf", str(file))
        config = ProjectConfig.get_instance(str(file))
        if environment not in config.envs():
            raise ConfigError(
                f"{file}: there is no environment {environment!r}",
                fix=f"choose one of: {', '.join(config.envs()) or 'none is in the file'}",
            )
        config.get(f"env:{environment}", "platform")
    except PlatformioException as error:
        raise ConfigError(f"{file}: {error}", fix="correct platformio.ini") from error
    return config


def _requirement(kind: str, spec: Any, package: Any) -> Requirement:
    name = f"{spec.owner}/{spec.name}" if spec.owner else spec.name or spec.uri
    found = None if package is None else str(package.metadata.version)
    folder = None if package is None else Path(package.path)
    return Requirement(kind, name, str(spec.requirements or spec.uri or ""), found, folder)
