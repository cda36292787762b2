# SPDX-License-Identifier: GPL-3.0-or-later
"""The one Jinja environment: an undefined name is an error, and text becomes C++ by filter."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evtool.codegen.cpp_text import cpp_comment, cpp_integer, cpp_string
from evtool.resources import templates_dir


def render(template: str, **values: Any) -> str:
    """The text of `template` (a file name in `templates/`) filled with `values`."""
    environment = Environment(  # noqa: S701  (the output is C++ or Python, not HTML)
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cpp_string"] = cpp_string
    environment.filters["cpp_integer"] = cpp_integer
    environment.filters["cpp_comment"] = cpp_comment
    return environment.get_template(template).render(values)
