"""Whether a reply makes a claim that its card forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.persona.check import CheckResult, evidence_at, first_evidence
from harness.persona.regions import NOT_OWN_WORDS
from harness.persona.reply_text import mask

if TYPE_CHECKING:
    from harness.persona.card import PersonaCard

_WINDOW = 2000
_OVERLAP = 200
_MAX_HITS = 100


def check_forbidden(reply: str, card: PersonaCard) -> CheckResult:
    """Return whether none of the card's forbidden patterns stands in the reply's own words (not in quotations or code).

    A card's pattern may take time that grows with the square of the text, so longer replies are searched in windows of
    2,000 characters that overlap by 200. values: `forbidden` hits, and `forbidden_<id>` for each pattern that is found.
    """
    from harness.persona.card import compiled

    if not card.forbidden:
        return CheckResult(check="forbidden", passed=None, why_not="the card forbids nothing")
    text = mask(reply, NOT_OWN_WORDS)
    found: dict[str, set[tuple[int, int]]] = {}
    for claim in card.forbidden:
        pattern = compiled(claim.pattern)
        spans = found.setdefault(claim.id, set())
        for start in range(0, max(1, len(text) - _OVERLAP), _WINDOW - _OVERLAP):
            for match in pattern.finditer(text[start : start + _WINDOW]):
                if match.group().strip() and len(spans) < _MAX_HITS:
                    spans.add((start + match.start(), start + match.end()))
    says = {claim.id: claim.says for claim in card.forbidden}
    hits = sum(len(spans) for spans in found.values())
    return CheckResult(
        check="forbidden",
        passed=not hits,
        values={
            "forbidden": float(hits),
            **{f"forbidden_{name}": float(len(spans)) for name, spans in found.items() if spans},
        },
        evidence=first_evidence(
            evidence_at(reply, span, says[name]) for name, spans in found.items() for span in sorted(spans)
        ),
    )
