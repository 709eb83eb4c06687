"""Is this adapter asked what it was trained on? Base, chat template, dialect and golden prompt against its origin."""

from __future__ import annotations

import datetime
from pathlib import Path

from harness.errors import ModelError, RecordError
from harness.models.adapter_origin import AdapterOrigin, GoldenPrompt, read_origin
from harness.models.fingerprint import model_fingerprint
from harness.models.resolve import ResolvedModel, has_weights
from harness.prompt.golden import golden_prompt
from harness.prompt.render import Renderer


def check_origin(adapter: Path, model: ResolvedModel, renderer: Renderer, dialect: str) -> bool:
    """Return True if the adapter was trained on this base with these prompts, False if it does not say.

    Of a base without weights here (a server holds them) the prompts alone are compared. Raises ModelError naming the
    first difference.
    """
    origin = read_origin(adapter)
    if origin is None:
        return False
    fingerprint = model_fingerprint(model.path) if has_weights(model.path) else None
    if fingerprint is not None and origin.base_fingerprint != fingerprint:
        raise ModelError(
            f"this adapter was trained on another base: {origin.base} ({origin.base_fingerprint[:12]}), "
            f"and {model.name} is {fingerprint[:12]}",
            where=adapter,
            remedy=f"Give its base: --model {origin.base}. If that is the same name, the model's files have changed.",
        )
    if origin.dialect != dialect:
        raise ModelError(
            f"this adapter was trained to write calls in the dialect {origin.dialect}, and here they are read as "
            f"{dialect}",
            where=adapter,
            remedy=f"Set `dialect: {origin.dialect}` (or auto) in the suite.",
        )
    golden = golden_prompt(renderer)
    if origin.template_sha256 != renderer.template_sha256 or not _same(origin, golden, renderer):
        raise ModelError(
            f"this adapter was trained with another chat template: {_difference(origin.golden.text, golden.text)}"
            if origin.tools_by == renderer.tools_by
            else f"this adapter was trained with tools offered by {origin.tools_by}, and they are offered by "
            f"{renderer.tools_by} here",
            where=adapter,
            remedy="Restore the base model's chat template (chat_template.jinja), or train the adapter again.",
        )
    return True


def _same(origin: AdapterOrigin, golden: GoldenPrompt, renderer: Renderer) -> bool:
    """Return True if the golden prompt is the trained one, the day aside where the origin does not fix it."""
    if origin.golden == golden:
        return True
    if origin.golden.date is not None or renderer.date is None:
        return False
    try:
        created = datetime.datetime.fromisoformat(origin.created).date()
        # `created` is in UTC, and the template was told the local day.
        near = [created + datetime.timedelta(days=offset) for offset in (0, -1, 1)]
        told = [golden_prompt(renderer.on(day)) for day in near]
    except (TypeError, ValueError, OverflowError, RecordError):
        return False
    return any(
        (one.text, one.tokens_sha256) == (origin.golden.text, origin.golden.tokens_sha256) for one in told
    )


def _difference(trained: str, now: str) -> str:
    """Return the first line in which two renderings of the golden prompt differ."""
    before, after = trained.splitlines(), now.splitlines()
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        if old != new:
            return f"line {number} of the golden prompt was {old[:80]!r} and is {new[:80]!r}"
    if len(before) != len(after):
        return f"the golden prompt had {len(before)} lines and has {len(after)}"
    if trained == now:
        return "the golden prompt reads the same, so the difference lies in its tokens or elsewhere in the template"
    return f"the golden prompt ended in {trained[-20:]!r} and ends in {now[-20:]!r}"
