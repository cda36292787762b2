# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels: every form of them is read back by a decoder that knows nothing of evtool."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from headless import browse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evtool.provision.labels.content import LabelUnit, fill, variables_of, wifi_text
from evtool.provision.labels.drawing import Drawing, draw
from evtool.provision.labels.fonts import Font, bundled_fonts
from evtool.provision.labels.pdf import render_pdf
from evtool.provision.labels.png import render_png
from evtool.provision.labels.svg import render_svg
from evtool.provision.labels.template import LabelTemplate, read_template
from evtool.provision.labels.zpl import render_zpl

FONTS = bundled_fonts()
DEFAULT = Path("evtool/provision/labels/default.toml")
CODE = """
[label]
width = 60
height = 30
dpi = 203
[[qr]]
x = 0
y = 0
size = 30
content = "{content}"
[[text]]
x = 31
y = 2
width = 28
height = 5
text = "{identity}"
"""
SHEET = """
[sheet]
page = "a4"
columns = 3
rows = 9
margin_left = 10
margin_top = 5
gap_x = 2
gap_y = 1
"""


def default_template() -> LabelTemplate:
    return read_template(DEFAULT.read_text(encoding="utf-8"))


def unit(**values: str) -> LabelUnit:
    known = {
        "identity": "AC-0001",
        "serial_number": "SN240001",
        "mac": "24:6f:28:aa:bb:cc",
        "vendor": "Contoso",
        "model": "Wallbox 22",
        "csms_url": "wss://csms.example.com/ocpp/AC-0001",
        "ssid": "net",
        "wifi": "",
    }
    return LabelUnit("AC-0001", known | values)


def code_label(content: str) -> Drawing:
    return draw(read_template(CODE), unit(content=content), FONTS)


def codes_in(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


def zpl_picture(zpl: str) -> Image.Image:
    """The graphics of a label, as a printer puts them on paper."""
    width, height = (int(re.search(rf"\^{key}(\d+)", zpl)[1]) for key in ("PW", "LL"))  # type: ignore[index]
    page = Image.new("1", (width, height), 1)
    for x, y, total, row_bytes, data in re.findall(
        r"\^FO(\d+),(\d+)\^GFA,\d+,(\d+),(\d+),([0-9A-F]+)\^FS", zpl
    ):
        raw = bytes.fromhex(data)
        assert len(raw) == int(total)
        rows = len(raw) // int(row_bytes)
        dark = Image.frombytes("1", (int(row_bytes) * 8, rows), bytes(b ^ 0xFF for b in raw))
        page.paste(dark, (int(x), int(y)))
    return page.convert("L")


CONTENTS = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"),
    min_size=1,
    max_size=60,
)


class TestEveryFormIsReadBack:
    @given(CONTENTS)
    @settings(max_examples=40, deadline=None)
    def test_png(self, content: str) -> None:
        png = Image.open(io.BytesIO(render_png(code_label(content), FONTS)))
        assert codes_in(png) == [content]
        assert png.info["dpi"] == pytest.approx((203, 203), abs=0.1)
        assert png.size == (480, 240)  # 60 x 30 mm

    @given(CONTENTS)
    @settings(max_examples=40, deadline=None)
    def test_zpl(self, content: str) -> None:
        zpl = render_zpl(code_label(content))
        assert zpl.isascii()
        assert codes_in(zpl_picture(zpl)) == [content]

    def test_pdf_on_its_own_page(self) -> None:
        drawings = [draw(default_template(), unit(identity=name), FONTS) for name in ("A-1", "B-2")]
        document = pypdfium2.PdfDocument(render_pdf(drawings, FONTS, None))
        assert len(document) == 2
        for page, name in zip(document, ("A-1", "B-2"), strict=True):
            assert page.get_size() == pytest.approx((62 * 72 / 25.4, 29 * 72 / 25.4), abs=0.01)
            assert name in page.get_textpage().get_text_range()
            assert "MAC 24:6f:28:aa:bb:cc" in page.get_textpage().get_text_range()
            image = page.render(scale=4).to_pil()
            assert codes_in(image) == ["wss://csms.example.com/ocpp/AC-0001"]

    def test_pdf_sheets(self) -> None:
        template = read_template(CODE + SHEET)
        drawings = [draw(template, unit(content=f"unit {number}"), FONTS) for number in range(30)]
        document = pypdfium2.PdfDocument(render_pdf(drawings, FONTS, template.sheet, skip=5))
        found = [sorted(codes_in(page.render(scale=4).to_pil())) for page in document]
        assert found == [
            sorted(f"unit {number}" for number in range(22)),
            sorted(f"unit {number}" for number in range(22, 30)),
        ]

    def test_a_sheet_has_only_so_many_places_to_skip(self) -> None:
        template = read_template(CODE + SHEET)
        with pytest.raises(ValueError, match="holds 27 labels; 27 were skipped"):
            render_pdf([], FONTS, template.sheet, skip=27)

    def test_svg_in_a_browser(self, tmp_path: Path) -> None:
        label, picture = tmp_path / "label.svg", tmp_path / "label.png"
        label.write_text(render_svg(draw(default_template(), unit(), FONTS)))
        large = ("--force-device-scale-factor=3", "--window-size=300,160")
        browse(tmp_path, label, *large, f"--screenshot={picture}")
        assert codes_in(Image.open(picture)) == ["wss://csms.example.com/ocpp/AC-0001"]

    def test_equal_labels_are_equal_files(self) -> None:
        drawing = draw(default_template(), unit(), FONTS)
        assert render_pdf([drawing], FONTS, None) == render_pdf([drawing], FONTS, None)
        assert render_png(drawing, FONTS) == render_png(drawing, FONTS)


class TestText:
    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17E), max_size=30))
    def test_no_text_becomes_a_command_of_the_printer(self, text: str) -> None:
        known = "".join(sign for sign in text if not FONTS.text.missing(sign))
        zpl = render_zpl(draw(read_template(CODE), unit(identity=known or "x", content="y"), FONTS))
        field = re.search(r"\^FH\^FD(.*?)\^FS", zpl)
        assert field is not None
        assert set(re.findall(r"\^([A-Z][A-Z0-9])", zpl)) <= {
            "XA", "CI", "PW", "LL", "LH", "FO", "A0", "FH", "FD", "FS", "GF", "XZ"
        }  # fmt: skip
        assert "~" not in zpl
        raw = re.sub(
            rb"_([0-9A-F]{2})",
            lambda found: bytes([int(found[1], 16)]),
            field[1].encode("ascii"),
        )
        assert raw.decode() == (known or "x")

    def test_a_long_text_is_set_smaller_and_stays_in_its_room(self) -> None:
        [short] = draw(read_template(CODE), unit(content="x"), FONTS).lines
        [long] = draw(read_template(CODE), unit(content="x", identity="W" * 20), FONTS).lines
        assert long.size < short.size
        assert long.x + long.width <= 31 + 28 + 1e-6
        assert 2 <= long.top
        assert long.baseline + FONTS.text.descent * long.size <= 7 + 1e-6

    def test_what_would_be_too_small_to_read_is_refused(self) -> None:
        with pytest.raises(ValueError, match="nobody can read"):
            draw(read_template(CODE), unit(content="x", identity="W" * 200), FONTS)

    def test_markup_in_a_text_stays_text(self) -> None:
        svg = render_svg(draw(read_template(CODE), unit(content="x", identity="<b>&amp;"), FONTS))
        assert "&lt;b&gt;&amp;amp;" in svg

    def test_a_sign_that_the_font_lacks_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"\[\[text\]\] 1: the font has no U\+5145"):
            draw(read_template(CODE), unit(content="x", identity="充"), FONTS)

    def test_a_code_too_dense_to_read_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"\[\[qr\]\] 1: 900 characters need .* modules"):
            code_label("x" * 900)

    def test_more_than_a_code_holds_is_refused(self) -> None:
        with pytest.raises(ValueError, match="more than a QR code holds"):
            code_label("x" * 5000)

    def test_what_is_no_font_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not a TrueType font"):
            Font(b"OTTO nothing", "x")


class TestVariables:
    def test_forms(self) -> None:
        text = fill("{{{identity:url}}} {mac:compact}", unit(identity="RDAM 1/2"))
        assert text == "{RDAM%201%2F2} 246f28aabbcc"

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("{identity", "stands alone"),
            ("a}b", "stands alone"),
            ("{mac:hex}", "the form is none of"),
        ],
    )
    def test_a_bad_template_text(self, text: str, rule: str) -> None:
        with pytest.raises(ValueError, match=rule):
            variables_of(text)

    def test_an_unknown_variable_names_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match=r"\{colour\} is none of its variables: csms_url"):
            fill("{colour}", unit())

    def test_a_value_not_known_yet_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"\{mac\} has no value"):
            fill("{mac}", unit(mac=""))

    def test_wifi_with_every_special_sign(self) -> None:
        assert wifi_text('a;b"c', "\\,:x", hidden=True) == (
            'WIFI:T:WPA;S:a\\;b\\"c;P:\\\\\\,\\:x;H:true;;'
        )
        assert wifi_text("open", "") == "WIFI:T:nopass;S:open;;"

    def test_a_secret_is_in_no_message_and_no_representation(self) -> None:
        secret = wifi_text("net", "hunter2hunter2" * 200)
        labelled = unit(wifi=secret)
        template = read_template(CODE.replace("{content}", "{wifi}"))
        with pytest.raises(ValueError, match=r"\[\[qr\]\] 1") as caught:
            draw(template, labelled, FONTS)
        assert "hunter2" not in str(caught.value) + repr(labelled)


class TestTemplate:
    def test_every_problem_is_named_at_once(self) -> None:
        with pytest.raises(ValueError, match="width") as caught:
            read_template(
                "[label]\nheight = 30\nwidht = 5\n[[text]]\nx = 1\ny = 1\nwidth = 99\nheight = 4\n"
                'text = "{a"\nalign = "middle"\n[qr]\n[[boxes]]\nx = 1\n'
            )
        assert str(caught.value).splitlines() == [
            "[boxes]: unknown; did you mean box?",
            "[label], key width: missing; this key is required",
            "[[text]] 1, key width: ends at 100 mm, beyond the label's 5 mm",
            "[[text]] 1, key text: `{` stands alone; a brace itself is written twice",
            '[[text]] 1, key align: "middle" is none of: left, center, right',
            "[qr]: must be written [[qr]]; there may be several",
            "[label], key widht: unknown; did you mean width?",
        ]

    def test_a_sheet_that_is_too_small(self) -> None:
        with pytest.raises(ValueError, match=r"\[sheet\], key columns: end at 256 mm"):
            read_template(CODE + SHEET.replace("columns = 3", "columns = 4"))

    @pytest.mark.parametrize("text", ["[label", "", "label = 3", "[label]\nwidth=50\nheight=20"])
    def test_bad_texts(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"not valid TOML|missing|nothing is on it"):
            read_template(text)

    def test_the_one_that_comes_with_evtool(self) -> None:
        template = default_template()
        assert template.variables() == {
            "identity", "vendor", "model", "serial_number", "mac", "csms_url"
        }  # fmt: skip
