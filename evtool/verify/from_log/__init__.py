# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded console becomes a scenario: what the unit saw, and what it did about it.

    stretches   the parts of a log in which the console showed everything, each by itself
    senses      what the unit saw in one of them, as the controller's input lines
    claims      what it said that it did, as expectations with a time on either side
    figures     what it measured and counted, against the reference's own figures
    case        all of it as one scenario, played and judged

A view prints once a second what a bus carries ten times a second. So a time is known to
`TOLERANCE_MS`, and what came and went between two prints is not known at all. What cannot be judged
is said in the verdict, and docs/verify.md says why.
"""

TOLERANCE_MS = 1500
"""A print of the view (1000), the module's round of questions (300), the way to the host (200)."""

RECKONED_MS = 1000
"""So much more in a log without times, whose clock is the view itself."""
