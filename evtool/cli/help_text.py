# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool --help` as click renders it at 80 columns; `make generate` writes this."""

HELP = """\
Usage: evtool [OPTIONS] COMMAND [ARGS]...

  From source to a commissioned unit: ESP32 EV charge points.

  Start with `evtool init DIR`, or see everything at work with `evtool demo`.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  init       Lay out a project: evtool.toml and a firmware to edit.
  doctor     Check this machine and project; say what is missing.
  codegen    Generate secrets.h and the CAN tables.
  build      Build the firmware with PlatformIO.
  size       Show flash and RAM of the last build, by module.
  bundle     Carry a build's packages to a computer without network.
  provision  Give a board its identity, keys and certificates.
  flash      Write the firmware to a board and verify it.
  monitor    Watch the serial console: views 1-5, s, t, 0.
  verify     Compare the firmware with the reference controller.
  sim        Run virtual hardware: board, vehicle, CSMS.
  ocpp       Check a connection to a central system.
  demo       Do the whole main job on virtual hardware.
"""
