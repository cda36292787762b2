# SPDX-License-Identifier: GPL-3.0-or-later
"""`evtool provision labels`: what stands on a unit, in letters and as a QR code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from evtool.cli.label_units import LabelRequest, label_options, open_label_units
from evtool.cli.output import EXIT_CODES, Output, counted, json_option

if TYPE_CHECKING:
    from evtool.provision.labels.drawing import Drawing
    from evtool.provision.labels.fonts import Fonts
    from evtool.provision.labels.template import LabelTemplate

_FORMS = ("pdf", "png", "svg", "zpl")
_ONE_FILE = ("pdf", "zpl")
_SHOWN = 40


def _show_label(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        click.echo(_bundled_label(), nl=False)
        context.exit()


@click.command("labels", epilog=EXIT_CODES)
@label_options
@click.option(
    "--label",
    "label_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TOML",
    help="The label's template; without it 62 x 29 mm (docs/labels.md).",
)
@click.option(
    "--show-label",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_label,
    help="Print the template that evtool brings.",
)
@click.option(
    "--out",
    type=click.Path(allow_dash=True, path_type=Path),
    metavar="PATH",
    help="The file, or the folder for a file each; - is stdout.",
)
@click.option("--format", "form", type=click.Choice(_FORMS), help="Default: as --out ends, or pdf.")
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Places of the first sheet that are used up.",
)
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Allow {wifi}: whoever sees such a label knows the passphrase.",
)
@click.option("--dry-run", is_flag=True, help="Draw all labels, write nothing.")
@json_option
def command(
    label_path: Path | None,
    out: Path | None,
    form: str | None,
    skip: int,
    with_secrets: bool,
    dry_run: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Print labels for the units of a fleet's FILE, or for the project's own unit.

    Everything is drawn before the first file is written. A MAC comes from the ledger: units
    that are not provisioned yet have none. Each label is recorded in the ledger.
    """
    from evtool.errors import ConfigError
    from evtool.provision.labels.drawing import draw

    output = Output(as_json)
    template, fonts = _opened(label_path)
    is_secret = "wifi" in template.variables()
    if is_secret and not with_secrets:
        raise ConfigError(
            "the label has {wifi} on it, and so the passphrase of every unit",
            fix="give --with-secrets, or leave {wifi} out of the template",
        )
    form = form or _form_of(out)
    place = _checked_place(out, dry_run)
    with open_label_units(LabelRequest(**request), with_wifi=is_secret) as source:
        drawings: list[Drawing] = []
        problems: list[str] = []
        for unit in source:
            try:
                drawings.append(draw(template, unit, fonts))
            except ValueError as error:
                problems += [f"{unit.identity}: {line}" for line in str(error).splitlines()]
        if problems:
            more = f"\n... and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
            raise ConfigError(
                "\n".join(problems[:_SHOWN]) + more,
                fix="mend the template or the units; nothing was written",
            )
        if not drawings:
            raise ConfigError("no unit to print a label for", fix="name one that the file has")
        if dry_run:
            output.result(
                f"would write {counted(len(drawings), 'label')} as {form}",
                {"event": "plan", "labels": len(drawings), "format": form},
            )
            return
        files = _rendered(drawings, fonts, template, form, skip)
        _write(files, place, form, mode=0o600 if is_secret else 0o644)
        source.record(form)
    if place is not None:
        output.result(
            f"{place}: {counted(len(drawings), 'label')} as {form}",
            {"event": "labels", "path": str(place), "labels": len(drawings), "format": form},
        )


def _bundled_label() -> str:
    from importlib.resources import files

    return (files("evtool.provision.labels") / "default.toml").read_text(encoding="utf-8")


def _opened(path: Path | None) -> tuple[LabelTemplate, Fonts]:
    """The template with its fonts.

    Raises:
        ConfigError: one of the files cannot be read, or is wrong.
    """
    from evtool.errors import ConfigError
    from evtool.provision.labels.fonts import Font, Fonts, bundled_fonts
    from evtool.provision.labels.template import read_template

    name = "the label" if path is None else str(path)
    try:
        text = _bundled_label() if path is None else path.read_text(encoding="utf-8-sig")
        template = read_template(text)
    except OSError as error:
        raise ConfigError(
            f"cannot read {name}: {error.strerror or error}", fix="name a file that is there"
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: not UTF-8 text", fix="save it as UTF-8") from None
    except ValueError as error:
        rules = "\n".join(f"{name}: {line}" for line in str(error).splitlines())
        raise ConfigError(rules, fix="mend the template; docs/labels.md explains it") from error
    fonts = bundled_fonts()
    folder = Path() if path is None else path.parent

    def font(file: str, bundled: Font, title: str) -> Font:
        if not file:
            return bundled
        try:
            return Font((folder / file).read_bytes(), title)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"{name}: [label], font {folder / file}: {reason}",
                fix="name a TrueType file (.ttf) beside the template",
            ) from error

    text_font = font(template.font, fonts.text, "Label")
    bold = font(template.bold_font or template.font, fonts.bold, "Label-Bold")
    return template, Fonts(text_font, bold)


def _form_of(out: Path | None) -> str:
    ending = "" if out is None else out.suffix.lower().lstrip(".")
    return ending if ending in _FORMS else "pdf"


def _checked_place(out: Path | None, dry_run: bool) -> Path | None:
    """Where to; None for stdout."""
    if out is None:
        if dry_run:
            return None
        raise click.UsageError("where to? give --out FILE, a folder for a file each, or -")
    return None if str(out) == "-" else out


def _rendered(
    drawings: Sequence[Drawing], fonts: Fonts, template: LabelTemplate, form: str, skip: int
) -> dict[str, bytes]:
    """The files by the name that each has in a folder.

    Raises:
        ConfigError: more places are to be skipped than a sheet has.
    """
    from evtool.errors import ConfigError
    from evtool.provision.labels.pdf import render_pdf
    from evtool.provision.labels.png import render_png
    from evtool.provision.labels.svg import render_svg
    from evtool.provision.labels.zpl import render_zpl

    if form == "pdf":
        try:
            return {"labels.pdf": render_pdf(drawings, fonts, template.sheet, skip=skip)}
        except ValueError as error:
            raise ConfigError(f"--skip: {error}", fix="skip fewer") from error
    if form == "zpl":
        return {"labels.zpl": "".join(map(render_zpl, drawings)).encode("ascii")}
    return {
        f"{quote(drawing.name, safe='')}.{form}": (
            render_png(drawing, fonts) if form == "png" else render_svg(drawing).encode()
        )
        for drawing in drawings
    }


def _write(files: dict[str, bytes], place: Path | None, form: str, mode: int) -> None:
    from evtool.errors import ConfigError
    from evtool.link.files import write_atomically

    if place is None:
        if len(files) > 1:
            raise ConfigError(
                f"stdout takes one {form}, not {len(files)}",
                fix="choose one with --unit, or name a folder with --out",
            )
        [data] = files.values()
        click.echo(data, nl=False)
        return
    in_folder = place.is_dir() or (form not in _ONE_FILE and len(files) > 1)
    if in_folder and place.suffix.lower().lstrip(".") in _FORMS and not place.is_dir():
        raise ConfigError(
            f"{place} is one file; {len(files)} labels as {form} are a file each",
            fix="name a folder with --out, choose one with --unit, or print them as pdf",
        )
    for name, data in files.items():
        write_atomically(place / name if in_folder else place, data, mode)
