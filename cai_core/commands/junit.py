"""A gate as JUnit XML, which continuous integration shows: a test for each metric. Pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from cai_core.evaluation.drift import Drift

# What XML 1.0 cannot hold.
_UNHELD = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def build_junit(drift: Drift) -> bytes:
    """The document. A metric that fails is a failure; one that warns says so in its output."""
    verdicts = drift.gate.verdicts
    failures = sum(one.status == "fail" for one in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failures), "errors": "0"}
    name = _clean(f"drift {drift.baseline} → {drift.candidate}")
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    properties = ElementTree.SubElement(suite, "properties")
    told = {
        "status": drift.gate.status,
        "baseline": drift.sides[0],
        "candidate": drift.sides[1],
        "cases": str(drift.cases),
    }
    for key, value in told.items():
        ElementTree.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    for one in verdicts:
        attributes = {"classname": "drift", "name": _clean(one.threshold.metric)}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        reason = _clean(one.reason)
        if one.status == "fail":
            ElementTree.SubElement(case, "failure", {"message": reason}).text = reason
        else:
            output = ElementTree.SubElement(case, "system-out")
            output.text = f"warning: {reason}" if one.status == "warn" else reason
    if drift.warnings:
        ElementTree.SubElement(suite, "system-err").text = _clean("\n".join(drift.warnings))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _clean(text: str) -> str:
    return _UNHELD.sub("?", text)
