# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m evtool`: the same as the `evtool` command."""

from evtool.cli import main

if __name__ == "__main__":
    main()
