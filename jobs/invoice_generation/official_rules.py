"""The official rules of EN 16931 and of Peppol BIS Billing 3, run on a file as it stands.

They are stylesheets that set-up puts beside Delta's jars (scripts/jars.py), run by SaxonC in the process that asks, and compiled there
once. A rule that fails says its id; what it says of amounts is not exact (exact_checks.py is).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from saxonche import PySaxonProcessor

from jobs.runtime.errors import RunBroke

SVRL = "{http://purl.oclc.org/dsdl/svrl}"


@dataclass(frozen=True)
class RuleSet:
    """A release of rules: the jar of the distribution, and where the stylesheet lies in it."""

    jar: str
    stylesheet: str
    release: str


EN16931 = RuleSet(
    "com.helger.phive.rules_phive-rules-en16931-4.3.7.jar",
    "external/schematron/1.3.16/ubl/EN16931-UBL-validation.xslt",
    "EN 16931 validation artefacts 1.3.16",
)
PEPPOL = RuleSet(
    "com.helger.phive.rules_phive-rules-peppol-4.3.7.jar",
    "external/schematron/openpeppol/2026.5/xslt/PEPPOL-EN16931-UBL.xslt",
    "Peppol BIS Billing 3.0 release 2026.5",
)
OF_PROFILE: dict[str, tuple[RuleSet, ...]] = {"en16931": (EN16931,), "peppol": (EN16931, PEPPOL)}


def failed(content: bytes, profile: str, folder: str) -> list[str]:
    """The ids of the rules of a profile that a UBL document breaks, fatal or not, sorted. folder: where the jars are."""
    return sorted({rule for rules in OF_PROFILE[profile] for rule, _ in broken(content, rules, folder)})


def broken(content: bytes, rules: RuleSet, folder: str) -> list[tuple[str, str]]:
    """Every assertion that failed, in the order of the document: id and flag (fatal or warning)."""
    report = etree.fromstring(_report(content, rules, folder).encode())
    return [(found.get("id") or "without an id", found.get("flag") or "") for found in report.iter(f"{SVRL}failed-assert")]


def looked_at(content: bytes, rules: RuleSet, folder: str) -> int:
    """How many contexts of a document some rule looked at; none means that the rules do not know such a document."""
    report = etree.fromstring(_report(content, rules, folder).encode())
    return sum(1 for _ in report.iter(f"{SVRL}fired-rule"))


def _report(content: bytes, rules: RuleSet, folder: str) -> str:
    sheet = _compiled(rules, folder)
    node = _processor().parse_xml(xml_text=content.decode())
    return str(sheet.transform_to_string(xdm_node=node))


@cache
def _processor() -> Any:
    return PySaxonProcessor(license=False)


@cache
def _compiled(rules: RuleSet, folder: str) -> Any:
    jar = Path(folder) / rules.jar
    if not jar.exists():
        raise RunBroke(f"the official rules are missing ({rules.jar}). Nothing was validated. Run `make setup`.")
    with zipfile.ZipFile(jar) as opened:
        text = opened.read(rules.stylesheet).decode()
    return _processor().new_xslt30_processor().compile_stylesheet(stylesheet_text=text)
