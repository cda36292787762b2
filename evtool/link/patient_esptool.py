# SPDX-License-Identifier: GPL-3.0-or-later
"""esptool, or espefuse, as a program that has patience with the start of the stub.

A file to be run, by `evtool.link.esptool`: `python -P patient_esptool.py PROGRAM [ARGUMENT]...`.

esptool gives the answer to MEM_END 0.2 s, and behind a late one hears nothing any more, the
stub's own word neither: on a busy computer the whole call is lost. A configuration file could say
so too, and would hide the user's own.
"""

from __future__ import annotations

import runpy
import sys

import esptool.loader

PATIENCE_S = 3.0

if __name__ == "__main__":
    esptool.loader.MEM_END_ROM_TIMEOUT = max(PATIENCE_S, esptool.loader.MEM_END_ROM_TIMEOUT)
    program = sys.argv.pop(1)
    runpy.run_module(program, run_name="__main__", alter_sys=True)
