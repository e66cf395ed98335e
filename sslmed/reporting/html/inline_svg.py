"""Matplotlib's figures as SVG inside a page, in the page's colours and font, with tooltips of points.

Figures are drawn in place-holders of colours, for which variables of the page's style sheet are put: it knows whether
the page is dark. What belongs to an arm has the class `arm-<index>`, by which the page hides it.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from xml.etree import ElementTree

from matplotlib.figure import Figure

from sslmed.reporting.styles import ArmStyle

COLOURS = {"ink": "#fd0000", "quiet": "#fd0001", "rule": "#fd0002", "paper": "#ffffff"}
"""Variable of the page -> placeholder colour. White fills open markers."""

ARM = "#fe00"
"""Start of the placeholder of an arm's colour; the index follows in two hexadecimal digits."""

SVG, HREF = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"

Texts = Mapping[str, Sequence[str]]
"""Identifier (`gid`) of a line -> tooltips of its points."""


def with_placeholders(arms: Sequence[ArmStyle]) -> list[ArmStyle]:
    """Replace the colours of arms by placeholders."""
    return [replace(style, colour=f"{ARM}{index:02x}") for index, style in enumerate(arms)]


def inline_svg(figure: Figure, arms: Sequence[ArmStyle], texts: Texts) -> str:
    """Write a figure as an SVG element.

    Args:
        figure: Has one panel, drawn in place-holders. Identifiers in it are unique on the page if `svg.hashsalt` is.
        arms: Those in the figure, as `with_placeholders` gives them.
        texts: What is said of points; of all else that belongs to an arm, its name is.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(re.sub(r"font-family:[^;]*;", "", file.getvalue()))  # noqa: S314 - matplotlib's own
    for name in ("width", "height"):
        del root.attrib[name]  # the page scales it
    for child in [child for child in root if child.tag == f"{{{SVG}}}metadata" or child.find("{*}style") is not None]:
        root.remove(child)  # its style would apply to the whole page
    names = {style.colour: style.arm.name for style in arms}
    for panel in root.iterfind(".//*[@id='axes_1']"):
        for group in panel:
            colour = re.search(rf"{ARM}\w\w", ElementTree.tostring(group, encoding="unicode"))
            if colour is not None:
                group.set("class", f"arm-{int(colour[0][-2:], 16)}")
                _say(group, texts.get(group.get("id", ""), ()) or names[colour[0]])
    for element in root.iter():
        if element.tag == f"{{{SVG}}}g":
            element.attrib.pop("id", None)  # text_1 is in every figure
        if HREF in element.attrib:
            element.set("href", element.attrib.pop(HREF))
        if "d" in element.attrib:
            element.set("d", " ".join(element.attrib["d"].split()))
    ElementTree.register_namespace("", SVG)
    return _in_colours_of_page(ElementTree.tostring(root, encoding="unicode"))


def _say(group: ElementTree.Element, said: str | Sequence[str]) -> None:
    """Add titles, which browsers show as tooltips, to a group or to each of its markers, which may have two parts."""
    if isinstance(said, str):
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = said
        group.insert(0, title)
    else:
        for marker, text in zip(group.iter(f"{{{SVG}}}use"), cycle(said), strict=False):
            _say(marker, text)


def _in_colours_of_page(svg: str) -> str:
    for name, placeholder in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    return re.sub(rf"{ARM}(\w\w)", lambda index: f"var(--arm-{int(index[1], 16)})", svg)
