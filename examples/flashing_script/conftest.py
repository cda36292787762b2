# SPDX-License-Identifier: Apache-2.0
"""Virtual boards for the tests in this folder."""

pytest_plugins = ["evtool.pytest_plugin"]
