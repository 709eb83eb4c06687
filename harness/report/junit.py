"""The gates of a run as JUnit XML, the form that every CI server shows: one test case a gate.

A run without gates has one case, that it is complete; so an unfinished run is red everywhere.
"""

from __future__ import annotations

from xml.etree import ElementTree

from harness.report import wording
from harness.report.gates import Gate, worse_text
from harness.report.model import Scorecard
from harness.report.text import count, visible
from harness.run.persona_facts import UNVALIDATED

COMPLETE = "run_is_complete"


def render_junit(card: Scorecard) -> str:
    """Return the XML. Control characters, which XML cannot hold, appear as escapes."""
    rows = card.gates.rows if card.gates else ()
    failures = sum(_fails(row) for row in rows)
    errors = sum(row.verdict == "unknown" for row in rows) + (not card.complete)
    numbers = {
        "tests": str(len(rows) + 1),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(sum(row.verdict == "cannot_tell" and not row.stops for row in rows)),
    }
    root = ElementTree.Element("testsuites", {"name": "harness", **numbers})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(card.title), **numbers})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(card):
        ElementTree.SubElement(properties, "property", {"name": _text(name), "value": _text(value)})
    case = _case(suite, card, COMPLETE)
    if not card.complete:
        _say(case, "error", "INCOMPLETE", card.verdict.banner)
    for row in rows:
        _gate(_case(suite, card, row.name), row)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _fails(row: Gate) -> bool:
    return row.stops and row.verdict in ("fail", "cannot_tell")


def _properties(card: Scorecard) -> list[tuple[str, str]]:
    found = [("verdict", f"{card.verdict.word}: {card.verdict.sentence}"), ("run", card.run_id)]
    found += [
        (
            metric.name,
            f"{wording.estimate_value(metric.overall)} ({wording.estimate_interval(metric.overall)})"
            # The name is what a CI server keeps a series by, so the mark stands with the value.
            + (UNVALIDATED if metric.validated is False else ""),
        )
        for metric in card.headline
    ]
    return found


def _case(suite: ElementTree.Element, card: Scorecard, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": _text(card.title), "name": _text(name)})


def _gate(case: ElementTree.Element, row: Gate) -> None:
    rule = f"{row.rule}:" if row.rule else ""
    what = " ".join(part for part in (rule, row.sentence, worse_text(row), _numbers(row)) if part)
    if _fails(row):
        _say(case, "failure", "cannot tell" if row.verdict == "cannot_tell" else "fail", what)
    elif row.verdict == "unknown":
        _say(case, "error", "not decided", what)
    elif row.verdict == "cannot_tell":
        _say(case, "skipped", "cannot tell, and this gate lets that pass", what)
    else:
        ElementTree.SubElement(case, "system-out").text = _text(what)


def _numbers(row: Gate) -> str:
    known = [
        f"{name} {wording.value_text(value, row.share)}"
        for name, value in (("observed", row.observed), ("bound", row.bound), ("baseline", row.baseline))
        if value is not None
    ]
    known += [f"n = {count(row.n)}"] if row.n is not None else []
    return f"({', '.join(known)})" if known else ""


def _say(case: ElementTree.Element, kind: str, message: str, text: str) -> None:
    ElementTree.SubElement(case, kind, {"message": _text(message)}).text = _text(text)


def _text(value: str) -> str:
    return visible(value[:4000])
