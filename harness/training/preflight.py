"""What must be right before the first step: the check-list that people go through by hand, as findings.

A critical finding stops the run. Codes and thresholds are in docs/training.md.
"""

from __future__ import annotations

import configparser
import importlib.util
import netrc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from harness.errors import ModelError
from harness.models.resolve import read_config
from harness.training.answer_check import answer_findings
from harness.training.batch_shape import assumed_shape, work_of
from harness.training.leak_check import leak_findings
from harness.training.memory_plan import decide_target, gib, plan_memory
from harness.training.prepare import Prepared, PreparedData, reasons
from harness.training.rows import TokenRow
from harness.training.run_budget import plan_disk
from harness.training.turn_check import turn_findings

Severity = Literal["info", "warning", "critical"]

_DROPPED_WARNING, _DROPPED_CRITICAL = 0.01, 0.10
_LEAST_SUPERVISED = 0.02
_FEW_ROWS, _FEW_VALIDATION = 100, 10
_TRACKER_PACKAGES = {"wandb": "wandb", "tensorboard": "tensorboard", "trackio": "trackio"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFinding:
    """One thing that preflight saw. `remedy` is empty where nothing needs to be done."""

    code: str
    severity: Severity
    message: str
    remedy: str = ""


def preflight(prepared: Prepared, out: Path) -> list[PreflightFinding]:
    """Return every finding about data, tokens, disk and trackers, the critical ones first. Loads no weights.

    `out` is where the run will lie: the parent of a new run's folder, or the folder of a run to go on with.
    """
    found = [
        *_sizes(prepared),
        *_imports(prepared),
        *_lost(prepared.train, "train"),
        *(_lost(prepared.validation, "validation") if prepared.validation else ()),
        *_supervision(prepared.train),
        *_ends(prepared),
        *answer_findings(prepared),
        *leak_findings(prepared),
        *turn_findings(prepared),
        *_disk(prepared, out),
        *_trackers(prepared),
    ]
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _sizes(prepared: Prepared) -> Iterator[PreflightFinding]:
    rows = len(prepared.train.rows)
    if rows < _FEW_ROWS:
        yield PreflightFinding(
            code="few_rows",
            severity="warning",
            message=f"{rows} training rows: a model learns such a set by heart within a few epochs",
            remedy=f"Collect {_FEW_ROWS} or more, or keep epochs few and watch the validation loss.",
        )
    if prepared.validation is None:
        yield PreflightFinding(
            code="no_validation",
            severity="warning",
            message="no validation data: nothing will be known about what the model does with new questions",
            remedy="Add `validation: {path, split}`; `harness data import --split` makes one.",
        )
    elif len(prepared.validation.rows) < _FEW_VALIDATION:
        yield PreflightFinding(
            code="few_validation_rows",
            severity="warning",
            message=f"{len(prepared.validation.rows)} validation rows: their loss is mostly noise",
            remedy="Use 50 or more.",
        )
    for split, data in prepared.splits.items():
        if len(data.sets) > 1:
            counts = Counter(row.sample_id for row in data.rows)
            rows_of = [(part.name, sum(counts[one.id] for one in part.samples)) for part in data.sets]
            yield PreflightFinding(
                code="several_sets",
                severity="info",
                message=f"{split}: " + ", ".join(f"{number:,} rows of {name}" for name, number in rows_of),
            )
    if prepared.start is not None:
        yield PreflightFinding(
            code="begins_with", severity="info", message=f"training begins with the adapter {prepared.start}"
        )
    repeats = _epochs(prepared)
    if rows < 1000 and repeats > 4:
        yield PreflightFinding(
            code="many_epochs",
            severity="info",
            message=f"each row is seen {repeats:.1f} times; beyond about four the rows tend to be learnt by heart",
        )


def _imports(prepared: Prepared) -> Iterator[PreflightFinding]:
    for split, part in ((split, part) for split, data in prepared.splits.items() for part in data.sets):
        if part.imported is None:
            continue
        result = part.imported.result
        dropped = f", {result.dropped:,} wrong ones left out" if result.dropped else ""
        yield PreflightFinding(
            code="imported",
            severity="warning" if result.dropped > _DROPPED_WARNING * result.read else "info",
            message=f"{split}: {result.read:,} rows of {result.format} data read from {part.imported.source}{dropped}; "
            f"what was changed: {result.out / 'DATASHEET.md'}",
        )


def _epochs(prepared: Prepared) -> float:
    spec = prepared.recipe.training
    if spec.max_steps is None:
        return spec.num_train_epochs
    batch = spec.per_device_train_batch_size * spec.gradient_accumulation_steps
    return spec.max_steps * batch / len(prepared.train.rows)


def _lost(data: PreparedData, split: str) -> Iterator[PreflightFinding]:
    long = tuple(entry for entry in data.dropped if entry.tokens)  # the others: harness.training.answer_check
    for what, entries in (("dropped", long), ("cut", data.cut)):
        if not entries:
            continue
        share = len(entries) / max(1, data.read)
        longest = max(entry.tokens for entry in entries)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons(entries).items())
        yield PreflightFinding(
            code=f"rows_{what}",
            severity="critical"
            if share > _DROPPED_CRITICAL
            else "warning"
            if share > _DROPPED_WARNING
            else "info",
            message=f"{split}: {len(entries)} of {data.read} records {what} ({why}); first: {entries[0].where} "
            f"({entries[0].sample_id}, {entries[0].tokens} tokens)",
            remedy=f"Set tokens.max_length to {longest} to keep all of them whole.",
        )


def _supervision(data: PreparedData) -> Iterator[PreflightFinding]:
    share = data.supervised / max(1, data.tokens)
    empty = [row for row in data.rows if row.supervised == 0]
    if empty or data.supervised == 0:
        yield PreflightFinding(
            code="no_supervised_tokens",
            severity="critical",
            message=f"{len(empty)} rows have no token that bears loss (first: {empty[0].sample_id})"
            if empty
            else "no token bears loss",
            remedy="`harness train --show 3` shows which tokens are learnt.",
        )
    elif share < _LEAST_SUPERVISED:
        yield PreflightFinding(
            code="few_supervised_tokens",
            severity="warning",
            message=f"{share:.1%} of the tokens bear loss; the rest is prompt that is computed and not learnt",
            remedy="Offer fewer tools a record, or set tokens.share_prefix: true, which computes a tool block once.",
        )
    else:
        yield PreflightFinding(
            code="supervised_tokens",
            severity="info",
            message=f"{data.supervised:,} of {data.tokens:,} tokens bear loss ({share:.1%})",
        )


def _ends(prepared: Prepared) -> Iterator[PreflightFinding]:
    open_rows = [row for row in prepared.train.rows if not row.ends]
    if not prepared.stop_ids:
        yield PreflightFinding(
            code="no_stop_token",
            severity="critical",
            message="the base model names no token that ends an answer, so generation would never stop",
            remedy="Set eos_token_id in its generation_config.json.",
        )
    elif len(open_rows) == len(prepared.train.rows):
        yield PreflightFinding(
            code="end_of_turn_not_learnt",
            severity="critical",
            message="the chat template ends no assistant turn with a token that stops generation "
            f"(stop tokens: {_names(prepared)}); the model would learn never to stop",
            remedy="Add the template's end-of-turn token to eos_token_id in generation_config.json.",
        )
    elif open_rows:
        yield PreflightFinding(
            code="end_of_turn_cut",
            severity="warning",
            message=f"{len(open_rows)} rows end without the end-of-turn token (first: {open_rows[0].sample_id})",
            remedy="Raise tokens.max_length.",
        )


def _names(prepared: Prepared) -> str:
    return ", ".join(repr(prepared.tokenizer.decode([token])) for token in sorted(prepared.stop_ids))


def _disk(prepared: Prepared, out: Path) -> Iterator[PreflightFinding]:
    """Yield a finding if the checkpoints will not fit."""
    recipe, path = prepared.recipe, prepared.model.path
    target = decide_target(recipe, "cpu")  # what lies on the disk does not depend on the device
    try:
        memory = plan_memory(
            read_config(path), recipe, assumed_shape(recipe), target, where=path / "config.json"
        )
    except ModelError as error:
        yield PreflightFinding(
            code="disk_unknown",
            severity="warning",
            message=f"the size of a checkpoint is not known: {error.what}",
            remedy="Watch the disk after the first checkpoint.",
        )
        return
    disk = plan_disk(recipe, memory, work_of(recipe, prepared.train.rows), out, path)
    if not disk.fits:
        yield PreflightFinding(
            code="disk",
            severity="critical",
            message=f"{disk.missing} {'more ' if disk.written else ''}checkpoints take about {gib(disk.needed)} and "
            f"{disk.where} has {gib(disk.free_bytes)} free",
            remedy="Make room, set evaluation.keep, or evaluate less often.",
        )


def _trackers(prepared: Prepared) -> Iterator[PreflightFinding]:
    for tracker in prepared.recipe.reports:
        package = _TRACKER_PACKAGES[tracker]
        if importlib.util.find_spec(package) is None:
            yield PreflightFinding(
                code="tracker_missing",
                severity="critical",
                message=f"report_to: {tracker} needs the package {package}, which is not installed",
                remedy=f"pip install {package}, or set report_to: none.",
            )
        elif tracker == "wandb" and not wandb_can_log_in():
            yield PreflightFinding(
                code="wandb_offline",
                severity="info",
                message="no login for Weights & Biases was found, so the run is recorded offline",
                remedy="`wandb sync` uploads it later; `wandb login` or WANDB_API_KEY logs in.",
            )


def wandb_can_log_in() -> bool:
    """Return True if Weights & Biases has a login for the server it will use, or was told to be offline or disabled."""
    told = os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    if told or os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return True
    try:
        host = urlsplit(_wandb_server()).hostname
        file = os.environ.get("NETRC")
        logins = netrc.netrc(Path(file).expanduser() if file else None)
    except (OSError, ValueError, RuntimeError, configparser.Error, netrc.NetrcParseError):
        return False
    return host is not None and host in logins.hosts


def _wandb_server() -> str:
    """Return the address of the server that wandb will use: the environment's, else what `wandb login --host` wrote."""
    told = os.environ.get("WANDB_BASE_URL")
    if told:
        return told
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    written = configparser.ConfigParser(interpolation=None)
    written.read([folder / "settings", "wandb/settings"], encoding="utf-8")
    return written.get("default", "base_url", fallback="https://api.wandb.ai")


def shown_spans(row: TokenRow, decode: Callable[[list[int]], str]) -> list[tuple[str, bool]]:
    """Return a row as (text, bears loss) pieces that together are the whole row."""
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, end in row.spans:
        if start > position:
            pieces.append((decode(list(row.ids[position:start])), False))
        pieces.append((decode(list(row.ids[start:end])), True))
        position = end
    if position < len(row.ids):
        pieces.append((decode(list(row.ids[position:])), False))
    return pieces
