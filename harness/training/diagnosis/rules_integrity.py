"""D0 and D1: the data were not what they should be, or the numbers are broken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
from statistics import median

from harness.training.diagnosis.heldout import MIN_EVALS
from harness.training.diagnosis.model import Change, Finding, Series
from harness.training.diagnosis.reading import LEARNT, Reading, finite

LOST_WARNING, LOST_MANY = 0.01, 0.10
SUPERVISED_WARNING = 0.02
FEW_ROWS, SMALL_VALIDATION = 100, 20
ZERO_LOSS, ZERO_LOSS_SHARE, OPENING_ZERO, OPENING = 1e-6, 0.5, 1e-4, 5
UNIFORM_SHARE = 0.8
USUAL_VOCABULARY = 32_000
COLLAPSED_LOGS, COLLAPSED_EVALS, COLLAPSED_FROM, COLLAPSED_FALL = 3, 2, 0.01, 20
"""Hugging Face rounds a training loss to four digits, so that one of a run that learns all by heart may end at 0, but
only from below 0.01, or in a fall that has begun (twentyfold within three logs).
"""
ZERO_GRAD_WARNING, ZERO_GRAD_CRITICAL = 0.2, 0.7
SKIPPED_SHARE = 0.01
SKIPPED_LOGS = 100

_LOOK_AT_ROWS = Change(advice="look_at_labels", setting="loss_on")


def data(reading: Reading) -> Iterator[Finding]:
    """D0: rows lost to the length limit, too little supervised text, leaked rows, too few rows."""
    facts, curves = reading.facts, reading.curves
    lost = (facts.dropped_rows or 0) + (facts.truncated_rows or 0)
    if facts.read_rows and lost / facts.read_rows > LOST_WARNING:
        share = lost / facts.read_rows
        yield Finding(
            code="rows_lost",
            severity="warning",
            evidence={"lost": lost, "rows": facts.read_rows, "lost_share": share},
            changes=(Change(advice="raise", setting="max_length"), Change(advice="shorten_prompts")),
        )
    share_of_tokens = facts.supervised_share
    if share_of_tokens == 0:
        yield Finding(code="no_supervised_tokens", severity="critical", changes=(_LOOK_AT_ROWS,))
    elif share_of_tokens is not None and share_of_tokens < SUPERVISED_WARNING:
        yield Finding(
            code="few_supervised_tokens",
            severity="warning",
            evidence={"supervised_share": share_of_tokens},
            changes=(Change(advice="shorten_prompts"),),
        )
    if facts.end_of_turn_supervised is False:
        yield Finding(
            code="no_end_of_turn", severity="critical", changes=(Change(advice="supervise_end_of_turn"),)
        )
    if facts.leaked_rows:
        yield Finding(
            code="leaked_rows",
            severity="critical",
            evidence={"rows": facts.leaked_rows},
            changes=(Change(advice="split_again"),),
        )
    if curves.train_rows is not None and curves.train_rows < FEW_ROWS:
        yield Finding(
            code="few_rows",
            severity="info",
            evidence={"rows": curves.train_rows, "usual": FEW_ROWS},
            changes=(Change(advice="more_rows", setting="train"),),
        )
    if curves.validation and curves.eval_rows is not None and curves.eval_rows < SMALL_VALIDATION:
        yield Finding(
            code="small_validation",
            severity="info",
            evidence={"rows": curves.eval_rows, "usual": SMALL_VALIDATION},
            changes=(Change(advice="more_validation", setting="validation", value=50),),
        )


def losses(reading: Reading) -> Iterator[Finding]:
    """D1: a loss that is no number, zero from the start, or that of guessing."""
    curves = reading.curves
    bad = [x for x, y in zip(curves.train.x, curves.train.y, strict=True) if not math.isfinite(y)]
    if bad:
        yield _nonfinite_loss(reading, bad)
    for series in curves.losses.values():
        bad = [x for x, y in zip(series.x, series.y, strict=True) if not math.isfinite(y)]
        if bad:
            yield Finding(
                code="nonfinite_eval",
                severity="critical",
                evidence={"key": series.key, "n": len(bad), "of": len(series), "first_at": bad[0]},
                at=bad[0],
                changes=(
                    Change(advice="look_at_validation", setting="validation"),
                    Change(advice="bf16_or_fp32", setting="dtype"),
                ),
            )
    yield from _zeros(reading)
    yield from _near_uniform(reading)


def _near_uniform(reading: Reading) -> Iterator[Finding]:
    """A loss that starts like guessing. On held-out rows it may be the base model's, and is sure where it stays so."""
    vocabulary = reading.facts.vocab_size or USUAL_VOCABULARY
    limit = UNIFORM_SHARE * math.log(max(2, vocabulary))
    held_out = reading.held_out
    starts: list[tuple[str, float, float, bool]] = []
    if held_out is not None and held_out.y[0] > limit:
        stays = held_out.lowest > limit and held_out.gain <= max(held_out.band, LEARNT * held_out.y[0])
        sure = stays and len(held_out) >= MIN_EVALS and reading.far_enough
        starts.append((held_out.key, held_out.y[0], held_out.x[0], sure))
    if reading.n and reading.head > limit:
        starts.append(("loss", reading.head, reading.x[0], reading.facts.vocab_size is not None))
    if starts:
        key, head, at, sure = max(starts, key=lambda start: start[3])
        yield Finding(
            code="near_uniform",
            severity="critical" if sure else "warning",
            evidence={"key": key, "head": head, "vocabulary": vocabulary, "guessing": math.log(vocabulary)},
            at=at,
            changes=(Change(advice="check_base"),),
        )


def _nonfinite_loss(reading: Reading, bad: list[float]) -> Finding:
    train = reading.curves.train
    at_once = train.x.index(bad[0]) < 2
    overflow = (
        reading.lower_lr(),
        Change(advice="set", setting="max_grad_norm", value=1.0),
        Change(advice="bf16_or_fp32", setting="dtype"),
    )
    rows = (_LOOK_AT_ROWS, Change(advice="bf16_or_fp32", setting="dtype"))
    return Finding(
        code="nonfinite_loss",
        severity="critical",
        evidence={
            "n": len(bad),
            "of": len(train),
            "first_at": bad[0],
            "onset": "start" if at_once else "later",
        },
        at=bad[0],
        changes=rows if at_once else overflow,
    )


def _zeros(reading: Reading) -> Iterator[Finding]:
    """Losses of zero, on the training rows or in an evaluation: from the start, or all of a sudden."""
    curves = [("loss", reading.x, reading.y, COLLAPSED_LOGS, 3)]
    curves += [(key, *finite(series), COLLAPSED_EVALS, 2) for key, series in reading.curves.losses.items()]
    for key, x, y, lasting, enough in curves:
        found = _collapsed(key, x, y, lasting) or (_masked(key, x, y) if len(y) >= enough else None)
        if found is not None:
            yield found
            return


def _masked(key: str, x: Sequence[float], y: Sequence[float]) -> Finding | None:
    zeros = sum(abs(value) < ZERO_LOSS for value in y)
    opening = median(y[:OPENING])
    if zeros < ZERO_LOSS_SHARE * len(y) and opening >= OPENING_ZERO:
        return None
    return Finding(
        code="masked_labels",
        severity="critical",
        evidence={"key": key, "n": zeros, "of": len(y), "opening": opening},
        at=x[0],
        changes=(_LOOK_AT_ROWS, Change(advice="raise", setting="max_length")),
    )


def _collapsed(key: str, x: Sequence[float], y: Sequence[float], lasting: int) -> Finding | None:
    """Return the finding of a loss that is exactly 0 to the end, straight after values that were far from it."""
    zeros = sum(1 for _ in takewhile(lambda value: value == 0, reversed(y)))
    before = y[: len(y) - zeros][-3:]
    if zeros < lasting or not before or before[-1] < max(COLLAPSED_FROM, before[0] / COLLAPSED_FALL):
        return None
    return Finding(
        code="zero_collapse",
        severity="critical",
        evidence={"key": key, "n": zeros, "before": before[-1], "from_at": x[-zeros]},
        at=x[-zeros],
        changes=(Change(advice="bf16_or_fp32", setting="dtype"), _LOOK_AT_ROWS),
    )


def gradients(reading: Reading) -> Iterator[Finding]:
    """D1: gradients that are no numbers, or exactly zero."""
    grads = reading.curves.grad_norm
    if not len(grads):
        return
    bad = [x for x, y in zip(grads.x, grads.y, strict=True) if not math.isfinite(y)]
    if bad:
        yield from _nonfinite_gradients(reading, grads, bad)
    zero = [x for x, y in zip(grads.x, grads.y, strict=True) if y == 0]
    share = len(zero) / len(grads)
    if share >= ZERO_GRAD_WARNING and len(zero) >= 3:
        yield Finding(
            code="zero_gradients",
            severity="critical" if share >= ZERO_GRAD_CRITICAL else "warning",
            evidence={"n": len(zero), "of": len(grads), "zero_share": share},
            at=zero[0],
            changes=(Change(advice="check_frozen"), _LOOK_AT_ROWS),
        )


def _nonfinite_gradients(reading: Reading, grads: Series, bad: list[float]) -> Iterator[Finding]:
    finite_losses = all(math.isfinite(y) and y != 0 for y in reading.curves.train.y)
    few = len(bad) < max(2, SKIPPED_SHARE * len(grads)) and len(grads) >= SKIPPED_LOGS
    evidence = {"n": len(bad), "of": len(grads), "first_at": bad[0]}
    if few and finite_losses:
        yield Finding(code="skipped_steps", severity="info", evidence=evidence, at=bad[0])
    else:
        yield Finding(
            code="nonfinite_grad",
            severity="critical",
            evidence=evidence,
            at=bad[0],
            changes=(
                Change(advice="bf16_or_fp32", setting="dtype"),
                reading.lower_lr(),
                Change(advice="set", setting="max_grad_norm", value=1.0),
            ),
        )
