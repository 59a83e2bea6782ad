"""A comparison in the forms that continuous integration reads: Markdown, JUnit's XML, SARIF 2.1.0."""

import json
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from gradient_clinic.rendering import rendered

Json = dict[str, Any]
SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
NONE: Final = "–"


def trains(variant: Json) -> bool:
    """Whether some run of it has trained."""
    return bool(variant["outcomes"]["success"]["count"])


def markdown(comparison: Json) -> str:
    """The answer, and a row for each variant."""
    rows = [f"| variant | verdict | trains | {comparison['metric']} |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(variant['name'])} | {_kind(variant)} | {_trained(variant)} | {_metric(variant)} |"
        for variant in comparison["variants"]
    ]
    return "\n".join([comparison["answer"], "", *rows, ""])


def junit(comparison: Json) -> str:
    """A test case for each variant, which fails where none of its runs trains."""
    variants = comparison["variants"]
    failed = [variant for variant in variants if not trains(variant)]
    suite = Element("testsuite", name="gradient-clinic", errors="0")
    suite.set("tests", str(len(variants)))
    suite.set("failures", str(len(failed)))
    for variant in variants:
        case = SubElement(suite, "testcase", classname=str(comparison["experiment_id"]), name=variant["name"])
        if variant in failed:
            SubElement(case, "failure", message=variant["sentence"], type=_kind(variant))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suite, encoding="unicode")


def sarif(comparison: Json) -> str:
    """A result for each cause that the baseline's verdict names, with the answer as its text."""
    verdict = comparison["variants"][0]["verdict"] or {"causes": [], "kind": NONE}
    results = [
        {"ruleId": cause, "level": "warning", "message": {"text": comparison["answer"]}} for cause in verdict["causes"]
    ]
    driver = {"name": "gradient-clinic", "rules": [{"id": cause} for cause in verdict["causes"]]}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _kind(variant: Json) -> str:
    return str((variant["verdict"] or {}).get("kind", NONE))


def _trained(variant: Json) -> str:
    success = variant["outcomes"]["success"]
    return NONE if success["of"] is None else f"{success['count']} of {success['of']}"


def _metric(variant: Json) -> str:
    its = variant["outcomes"]["metric"]
    if its is None or its["mean"] is None:
        return NONE
    shown = rendered(its["mean"], its["low"], its["high"], its["method"], ".3f")
    return " ".join(part for part in (shown.mean, shown.half, shown.ends, shown.method) if part)


def _cell(text: str) -> str:
    """Names are their users': none ends a cell or makes markup of its own."""
    return "".join(f"\\{its}" if its in "\\|`*_[]<>" else its for its in text)
