"""Run folders -> the replies and pairs that a judge is asked about."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import NothingCollected, RunFolderError, UsageError
from harness.fingerprint import sha256_of_file
from harness.log import schema
from harness.log.reader import RunFolder
from harness.parse.base import Dialect
from harness.parse.choose import get_dialect
from harness.persona.judge.pairwise import Pair
from harness.persona.judge.subject import JudgedReply
from harness.run.comparable import check_comparable, is_complete


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReplies:
    """One run's replies in its order; `left_out` counts samples without an answer (failed, or too long)."""

    folder: Path
    run_id: str
    tested: str
    generations_sha256: str
    """Of the file that the replies are from."""
    replies: tuple[JudgedReply, ...]
    left_out: int
    complete: bool


def read_replies(folder: Path, persona: str, *, limit: int | None = None) -> RunReplies:
    """Return the replies of a scored run, at most `limit` of them, drawn by a hash of their id.

    Raises RunFolderError for a folder that is no scored run, UsageError for a run of another persona or of a scenario, NothingCollected
    for one without any answer.
    """
    run = RunFolder(folder)
    header = run.header()
    _check_persona(folder, header, persona)
    dialect = get_dialect(header["prompt"]["dialect"])
    # Before the replies are read: what is added to the file meanwhile makes the judging stale.
    stored = folder / schema.GENERATIONS
    judged_file = sha256_of_file(stored) if stored.is_file() else ""
    found: list[JudgedReply] = []
    left_out = 0
    for score, generation in run.scored_samples():
        if score.get("status") != "scored" or generation.get("status") != "ok":
            left_out += 1
            continue
        found.append(_judged(folder, dialect, score, generation))
    if not found:
        raise NothingCollected("this run has no answer to judge", where=folder)
    return RunReplies(
        folder=folder,
        run_id=str(header["run_id"]),
        tested=str(header["engine"]["model"]),
        generations_sha256=judged_file,
        replies=tuple(_drawn(found, limit)),
        left_out=left_out,
        complete=is_complete(run, header),
    )


def pairs_of(base: RunReplies, other: RunReplies) -> tuple[Pair, ...]:
    """Return the replies of two runs to the same samples. Raises NothingCollected if there are none."""
    by_id = {one.id: one for one in base.replies}
    found = tuple(
        Pair(
            id=one.id,
            question=one.question,
            base=by_id[one.id].reply,
            other=one.reply,
            cluster=one.cluster,
        )
        for one in other.replies
        if one.id in by_id
    )
    if not found:
        raise NothingCollected(
            "the two runs answered no sample in common",
            where=other.folder,
            remedy=f"Run both on the same samples; the base is {base.folder}.",
        )
    return found


def check_pair_of_runs(base: Path, other: Path, *, allow_incomplete: bool, across_prompts: bool) -> None:
    """Raise what `check_comparable` raises for runs that did not measure the same thing."""
    check_comparable(
        [RunFolder(base), RunFolder(other)], allow_incomplete=allow_incomplete, across_prompts=across_prompts
    )


_INSTEAD = {
    "persona_drift": "Judge a run of the character's own suite; docs/persona_drift.md says how drift is measured.",
    "persona_tools": "Judge a run of the character's own suite; for tools: harness persona tools BASE_RUN RUN",
}


def _check_persona(folder: Path, header: dict[str, Any], persona: str) -> None:
    scenario = header.get("scenario")
    if scenario is not None:
        kind = str(scenario.get("kind")) if isinstance(scenario, dict) else "unknown"
        raise UsageError(
            f"this run is a scenario ({kind}) with replies of several characters or turns, not of {persona!r} alone",
            where=folder,
            remedy=_INSTEAD.get(kind, "Judge a run of the character's own suite."),
        )
    stored = header.get("persona")
    name = stored.get("name") if isinstance(stored, dict) else None
    if isinstance(name, str) and name != persona:
        raise UsageError(
            f"this run is of the persona {name!r}, the card is of {persona!r}",
            where=folder,
            remedy="Name the card that the suite was run with.",
        )


def _judged(folder: Path, dialect: Dialect, score: dict[str, Any], generation: dict[str, Any]) -> JudgedReply:
    name, repeat = score["sample_id"], score["repeat"]
    question, cluster, text = score.get("question"), score.get("cluster"), generation.get("text")
    if not isinstance(question, str) or not isinstance(text, str):
        raise RunFolderError(
            f"the score or the answer of {name} is damaged",
            where=folder / schema.SCORES,
            remedy=f"Score again: harness score {folder}",
        )
    return JudgedReply(
        id=f"{name}#{repeat}" if repeat else name,
        question=question,
        reply=_prose(dialect, text, score, generation),
        cluster=cluster if isinstance(cluster, str) and cluster else name,
    )


def _prose(dialect: Dialect, text: str, score: dict[str, Any], generation: dict[str, Any]) -> str:
    """Return a reply without its tool calls, as scoring reads it."""
    tools = score.get("tools")
    names = [name for name in tools if isinstance(name, str)] if isinstance(tools, list) else []
    truncated = generation.get("finish_reason") == "length"
    return dialect.parse(text, truncated=truncated, tool_names=names).content


def _drawn(found: Sequence[JudgedReply], limit: int | None) -> list[JudgedReply]:
    """Return `limit` of the replies in their order: those with the smallest hashes, so that two runs draw the same."""
    if limit is None or limit >= len(found):
        return list(found)
    ranked = sorted(found, key=lambda one: hashlib.sha256(one.id.encode("utf-8", "replace")).digest())
    chosen = {one.id for one in ranked[:limit]}
    return [one for one in found if one.id in chosen]
