"""Factur-X: the page as PDF/A-3 with the CII inside, and the XMP that says so.

typst makes the PDF/A-3b and attaches the file. What it cannot write is the extension schema of
Factur-X in the XMP (Factur-X 1.0, 6.3); that is added as an incremental update (ISO 32000-1,
7.5.6): the metadata object once more at the end of the file, with a cross-reference of its own.
"""

from __future__ import annotations

import re
from datetime import datetime

from api import glyphs, invoice_pdf, typesetting
from api.glyphs import plain
from domain.canonical import Json
from domain.codes import Code
from domain.errors import invariant

FILE_NAME = "factur-x.xml"
"""The name that readers look for; the template attaches it under this name."""
NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"

_METADATA = re.compile(
    rb"(?P<number>[0-9]{1,9}) 0 obj\n<<[^>]*/Type/Metadata[^>]*>>\nstream\n"
    rb"(?P<xmp>.*?)\nendstream\nendobj",
    re.DOTALL,
)
_TRAILER = re.compile(
    rb"trailer\n<<(?P<entries>.*?)>>\nstartxref\n(?P<at>[0-9]{1,12})\n%%EOF\s*$", re.DOTALL
)
_PROPERTIES = (
    ("DocumentFileName", "name of the embedded XML invoice file"),
    ("DocumentType", "INVOICE"),
    ("Version", "The actual version of the Factur-X XML schema"),
    ("ConformanceLevel", "The conformance level of the embedded Factur-X data"),
)
_SCHEMA = (
    '<rdf:li rdf:parseType="Resource">'
    "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
    f"<pdfaSchema:namespaceURI>{NAMESPACE}</pdfaSchema:namespaceURI>"
    "<pdfaSchema:prefix>fx</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>"
    + "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{description}</pdfaProperty:description></rdf:li>"
        for name, description in _PROPERTIES
    )
    + "</rdf:Seq></pdfaSchema:property></rdf:li>"
).encode()
_VALUES = (
    f'<rdf:Description rdf:about="" xmlns:fx="{NAMESPACE}">'
    f"<fx:DocumentFileName>{FILE_NAME}</fx:DocumentFileName>"
    "<fx:DocumentType>INVOICE</fx:DocumentType><fx:Version>1.0</fx:Version>"
    "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel></rdf:Description>"
).encode()
_SCHEMAS_START = b"<pdfaExtension:schemas><rdf:Bag>"
_END = b"</rdf:RDF>"


def render(page: dict[str, Json], xml: str, *, at: datetime) -> bytes:
    """This function will return a document as Factur-X; a known one comes from memory.

    Raises:
        Retryable: overloaded, when too many pages are made or wait.
    """
    name = invoice_pdf.etag(page, attachment=xml)
    return typesetting.remembered(name, lambda: to_hybrid(page, xml, at=at))


def to_hybrid(page: dict[str, Json], xml: str, *, at: datetime) -> bytes:
    """This function will lay a document out as PDF/A-3b and put its CII inside.

    A character that none of our fonts has is shown as U+FFFD, because PDF/A refuses it; the CII
    has the true one.
    """
    shown = {key: _writable(value) for key, value in page.items()}
    made = invoice_pdf.TEMPLATE.typeset(shown, at=at, attachment=xml, is_archival=True)
    return _with_schema(made)


def _writable(value: Json) -> Json:
    if isinstance(value, str):
        return "".join(
            letter if glyphs.can_write(letter) else typesetting.SHOWN_INSTEAD
            for letter in plain(value)
        )
    if isinstance(value, dict):
        return {key: _writable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_writable(item) for item in value]
    return value


def _with_schema(made: bytes) -> bytes:
    """Add the Factur-X schema to the XMP of a PDF by typst."""
    metadata, trailer = _METADATA.search(made), _TRAILER.search(made)
    invariant(
        metadata is not None and trailer is not None and b"/Prev" not in made,
        Code.INTERNAL,
        "typst wrote a PDF of another form",
    )
    assert metadata is not None  # noqa: S101 -- for mypy; invariant has raised
    assert trailer is not None  # noqa: S101 -- likewise
    xmp = metadata["xmp"]
    invariant(
        xmp.count(_SCHEMAS_START) == 1 and xmp.count(_END) == 1,
        Code.INTERNAL,
        "typst wrote an XMP of another form",
    )
    xmp = xmp.replace(_SCHEMAS_START, _SCHEMAS_START + _SCHEMA).replace(_END, _VALUES + _END)
    number = metadata["number"].decode()
    start = len(made) + 1
    head = f"\n{number} 0 obj\n<</Length {len(xmp)}/Type/Metadata/Subtype/XML>>\nstream\n"
    again = head.encode() + xmp + b"\nendstream\nendobj\n"
    table_at = len(made) + len(again)
    rows = f"0 1\n0000000000 65535 f\r\n{number} 1\n{start:010} 00000 n\r\n"
    table = f"xref\n{rows}trailer\n<<".encode()
    previous = trailer["at"].decode()
    tail = f"/Prev {previous}>>\nstartxref\n{table_at}\n%%EOF\n".encode()
    return made + again + table + trailer["entries"] + tail
