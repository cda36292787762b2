# SPDX-License-Identifier: GPL-3.0-or-later
"""A real unit under test: what of a scenario can be done to it, and a comparison with tolerances.

Nothing here has a clock or opens anything: times, frames and console lines come in as
arguments, and what is to be done goes out as values (docs/verify.md, A board).
"""
