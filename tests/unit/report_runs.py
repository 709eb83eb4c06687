"""Made-up runs for tests of reports: two runs of the same samples with planted changes between them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.log.schema import json_line
from harness.report.model import Against, Scorecard, build_scorecard
from harness.run.paired_answers import Difference
from harness.run.paired_runs import PairedDifference

GOLDEN = Path(__file__).parents[1] / "golden" / "scorecard"
_spec = importlib.util.spec_from_file_location("example_run", GOLDEN / "example_run.py")
assert _spec is not None
assert _spec.loader is not None
run: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(run)

HOSTILE = " ".join(run.HOSTILE.values())

Pair = tuple[dict[str, Any], dict[str, Any]]


class Earlier:
    """A baseline in memory."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = {
            (score["sample_id"], score["repeat"]): (score, generation) for score, generation in pairs
        }

    def score(self, sample_id: Any, repeat: Any) -> Mapping[str, Any] | None:
        found = self.pair(sample_id, repeat)
        return found[0] if found else None

    def pair(self, sample_id: Any, repeat: Any) -> Pair | None:
        return self.pairs.get((sample_id, repeat))


def difference(
    metric: str,
    value: float,
    low: float | None,
    high: float | None,
    p: float | None,
    *,
    higher: bool = True,
    headline: bool = True,
) -> PairedDifference:
    """Return one metric's difference, after minus before."""
    return PairedDifference(
        metric=metric,
        label=metric,
        headline=headline,
        higher_is_better=higher,
        before=0.5,
        after=0.5 + value,
        difference=Difference(value=value, low=low, high=high, error=None, p=p, samples=100),
        n=100,
        changed=12,
        clusters=80,
    )


def two_runs(before: Sequence[str], after: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Return the samples of two runs, with these verdicts."""
    first = [run.sample(index, verdict) for index, verdict in enumerate(before)]
    second = [run.sample(index, verdict) for index, verdict in enumerate(after)]
    return first, second


def against_of(
    pairs: Sequence[Pair], differences: Sequence[PairedDifference], noise: Mapping[str, float] | None = None
) -> Against:
    """Return a baseline with these samples, measured as these differences say."""
    header = run.header()
    header["run_id"] = "20260101T000000Z-tool_calling-smollm2-135m-000000"
    header["engine"] = {**header["engine"], "adapter": None, "adapter_fingerprint": None}
    return Against(
        header=header,
        summary=run.summary(list(pairs)),
        differences=differences,
        earlier=Earlier(pairs),
        noise=noise or {},
    )


def compared(
    before: Sequence[str],
    after: Sequence[str],
    differences: Sequence[PairedDifference] = (),
    **more: Any,
) -> Scorecard:
    """Return the scorecard of the second of two runs, held against the first."""
    first, second = two_runs(before, after)
    return build_scorecard(
        run.header(), run.summary(second), second, against=against_of(first, differences), **more
    )


def write_run(
    folder: Path, *, day: int, name: str = "smollm2-135m", status: str = "complete", **suite: Any
) -> Path:
    """Write a made-up run folder."""
    header, total, pairs = run.example()
    header |= {"status": status, "run_id": folder.name, "started_at": f"2026-01-{day:02d}T09:30:00Z"}
    header["plan"] = {"selection": {"strata": []}}
    header["suite"] |= {"path": "suites/tool_calling", **suite}
    header["engine"] |= {"model": name, "adapter": None, "adapter_fingerprint": f"{day:064d}"}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(header), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(total), encoding="utf-8")
    scores, generations = b"", b""
    for number, (score, generation) in enumerate(pairs):
        names = {"sample_id": score["sample_id"], "repeat": 0, "key": f"{number:032x}"}
        scores += json_line({**score, **names, "cluster": ""})
        generations += json_line({**generation, **names})
    (folder / "scores.jsonl").write_bytes(scores)
    (folder / "generations.jsonl").write_bytes(generations)
    return folder
