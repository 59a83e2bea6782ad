"""Findings of a preflight in the forms that continuous integration reads, and a file of those that are known."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from gradient_clinic.watcher.remarks import Finding

RULES: Final[Mapping[str, str]] = {
    "loss_not_finite": "The loss of the untrained network is not finite",
    "loss_above_chance": "The loss of the untrained network lies far above ln K",
    "loss_below_chance": "The loss of the untrained network lies far below ln K",
    "not_finite": "A value of the first pass is not finite",
    "nothing_measured": "No gradient of the loss reaches a layer of the model",
    "vanishing": "Gradients vanish before the first step",
    "exploding": "Gradients explode before the first step",
    "dead_fraction": "Units are dead before the first step",
    "saturated_fraction": "Units are saturated before the first step",
    "frozen": "Parameters are frozen",
    "not_optimised": "Parameters are in no optimiser",
    "no_gradient": "Parameters have no gradient",
    "shared": "Modules share a weight",
    "unused": "Modules take no part in the pass",
}
"""Every rule of a finding, in the order in which they are told."""
SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

Known = frozenset[tuple[str, str]]
"""By rule and name; the name is empty where a finding is of the whole network."""


def pairs(finding: Finding) -> Known:
    return frozenset((finding.rule, name) for name in finding.names or ("",))


def read_known(path: Path) -> Known:
    """OSError, or ValueError where the file is no such one."""
    found = json.loads(path.read_text(encoding="utf-8"))
    try:
        return frozenset((str(rule), str(name)) for rule, name in found["findings"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} is no baseline: {error!r}"
        raise ValueError(message) from error


def write_known(path: Path, findings: Iterable[Finding]) -> None:
    known = sorted(frozenset[tuple[str, str]]().union(*map(pairs, findings)))
    path.write_text(json.dumps({"findings": known}, indent=1) + "\n", encoding="utf-8")


def is_new(finding: Finding, known: Known) -> bool:
    return not pairs(finding) <= known


def junit(findings: Iterable[Finding], known: Known, name: str) -> str:
    """A test case for each rule, which fails by its new findings."""
    found = list(findings)
    failed = {its.rule for its in found if is_new(its, known)}
    suite = Element("testsuite", name="gradient-clinic", tests=str(len(RULES)), failures=str(len(failed)), errors="0")
    for rule, title in RULES.items():
        case = SubElement(suite, "testcase", classname=name, name=f"{rule}: {title}")
        for its in found:
            if its.rule == rule and is_new(its, known):
                SubElement(case, "failure", message=its.text, type=rule)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suite, encoding="unicode")


def sarif(findings: Iterable[Finding], known: Known, version: str, place: tuple[str, int]) -> str:
    """SARIF 2.1.0. ``place``: the file and the line of what has made the model."""
    uri, line = place
    physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    rules = [{"id": rule, "shortDescription": {"text": title}} for rule, title in RULES.items()]
    results: list[dict[str, Any]] = [
        {
            "ruleId": its.rule,
            "ruleIndex": list(RULES).index(its.rule),
            "level": "warning",
            "message": {"text": its.text},
            "baselineState": "new" if is_new(its, known) else "unchanged",
            "partialFingerprints": {"finding/v1": " ".join([its.rule, *its.names])},
            "locations": [
                {
                    "physicalLocation": physical,
                    "logicalLocations": [{"fullyQualifiedName": name, "kind": "member"} for name in its.names],
                }
            ],
        }
        for its in findings
    ]
    driver = {"name": "gradient-clinic", "version": version, "rules": rules}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, indent=1, ensure_ascii=False)
