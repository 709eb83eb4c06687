"""Is the manner laid on too thick? Rates of the card's markers against their bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.persona.card import Marker, PersonaCard, compiled
from harness.persona.check import CheckResult, Evidence, evidence_at, first_evidence
from harness.persona.length import count_words
from harness.persona.quantile import MIN_FITTED, quantile
from harness.persona.reply_text import mask
from harness.types import Span

SLACK = 1.5
"""A reply fails at this multiple of a band's upper end; one true reply in twenty lies beyond the end itself."""
MIN_HITS = 3
"""A rate made of fewer hits is chance."""
LONGEST = 10_000
"""Characters that are searched: a card's pattern may take quadratic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerLimit:
    """One marker with the rate per 100 eojeols from which a reply is a caricature."""

    marker: Marker
    limit: float
    beyond_band: float
    """Share of the persona's own replies above the band, to see whether card and references agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerLimits:
    """Every marker's limit, and that of all markers together."""

    markers: tuple[MarkerLimit, ...]
    total: float


def fit_caricature(card: PersonaCard, replies: Sequence[str]) -> MarkerLimits:
    """Return the limits: 1.5 times the band's end, or the highest rate of the persona's own replies if that is more.

    Fewer than 20 replies teach nothing: the card's bands alone then, as without any, and not those of all markers together.
    """
    rates = [marker_rates(reply, card) for reply in replies] if len(replies) >= MIN_FITTED else []
    limits = []
    for place, marker in enumerate(card.markers):
        own = [rate[place] for rate in rates]
        limits.append(
            MarkerLimit(
                marker=marker,
                limit=max(SLACK * marker.band[1], *own, 0.0),
                beyond_band=sum(rate > marker.band[1] for rate in own) / len(own) if own else 0.0,
            )
        )
    totals = [sum(rate) for rate in rates]
    bands = sum(marker.band[1] for marker in card.markers)
    total = max(SLACK * quantile(totals, 0.95), *totals) if totals else SLACK * bands
    return MarkerLimits(markers=tuple(limits), total=total)


def check_caricature(reply: str, limits: MarkerLimits) -> CheckResult:
    """Fail a reply with a marker, or all markers together, denser than in any true reply.

    values: `<marker>` and `all`, hits per 100 eojeols; `in_band` 1 if no marker lies above its band.
    """
    if not limits.markers:
        return CheckResult(check="caricature", passed=None, why_not="the card names no markers")
    words = count_words(reply[:LONGEST])
    if not words:
        return CheckResult(check="caricature", passed=None, why_not="the reply has no words")
    text = mask(reply[:LONGEST])
    values: dict[str, float] = {}
    evidence: list[Evidence] = []
    in_band = True
    total = 0
    for one in limits.markers:
        hits = _hits(text, one.marker)
        total += len(hits)
        values[one.marker.id] = rate = 100 * len(hits) / words
        in_band &= rate <= one.marker.band[1]
        if rate > one.limit and len(hits) >= MIN_HITS:
            why = f"{one.marker.id}: {rate:.1f} per 100 words, at most {one.limit:.1f} in true replies"
            evidence += [evidence_at(reply, span, why) for span in hits]
    values["all"] = 100 * total / words
    if values["all"] > limits.total and total >= MIN_HITS and not evidence:
        why = f"all markers: {values['all']:.1f} per 100 words, at most {limits.total:.1f} in true replies"
        evidence.append(Evidence(text="", why=why))
    values["in_band"] = float(in_band)
    return CheckResult(
        check="caricature", passed=not evidence, values=values, evidence=first_evidence(evidence)
    )


def marker_rates(reply: str, card: PersonaCard) -> list[float]:
    """Return the hits per 100 eojeols (words) of every marker, in the card's order."""
    text, words = mask(reply[:LONGEST]), count_words(reply[:LONGEST])
    return [100 * len(_hits(text, marker)) / words if words else 0.0 for marker in card.markers]


def _hits(text: str, marker: Marker) -> list[Span]:
    return [match.span() for match in compiled(marker.pattern).finditer(text) if match.group()]
