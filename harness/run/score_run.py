"""Score a run folder: samples and generations -> scores.jsonl and summary.json. No model, no network.

Both files are derived: they are written beside and put in place as a whole, so a reader never sees half of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import RunFolderError
from harness.fingerprint import plan_differences
from harness.log import schema
from harness.log.files import storage_error, write_json_atomically
from harness.log.reader import Generations, RunFolder
from harness.parse.base import Dialect
from harness.registry import Registry
from harness.run.metrics import metrics_of
from harness.run.persona_facts import PersonaFacts
from harness.run.scenario_facts import ScenarioFacts
from harness.run.scored_with import SCORED_WITH, scored_with
from harness.run.summary import Summary
from harness.score.score_sample import score_sample
from harness.suite.load import Suite, load_suite
from harness.suite.select import Selection, select
from harness.types import Generation, ParsedCall, ParsedReply, Sample, SampleScore


def score_run(folder: Path, suite: Suite | None = None) -> dict[str, Any]:
    """Score every generation of a run again, replace scores.jsonl and summary.json, and return the summary.

    The suite is found where the run's header says, unless given. Raises RunFolderError if its data set is no longer
    the one that was run (the gold may have changed, so old answers would be held against new questions).
    """
    header = RunFolder(folder).header()
    suite = suite or suite_of(header)
    _check_same_dataset(folder, header, suite)
    metrics = metrics_of(suite)
    dialect: Dialect = Registry("harness.dialects").get(header["prompt"]["dialect"])()
    persona: PersonaFacts | ScenarioFacts | None = None
    if suite.persona is not None:
        persona = PersonaFacts(suite, metrics)
    elif suite.scenario is not None:
        persona = ScenarioFacts(suite, metrics)
    summary = Summary(metrics, list(suite.spec.slices), persona)
    temporary = folder / f".{schema.SCORES}.tmp"
    try:
        with temporary.open("wb") as file:
            for sample, generation in _answers(folder, header, suite, summary):
                reply = parse_answer(dialect, sample, generation)
                score = score_sample(sample, generation, reply, metrics)
                summary.add(sample, generation, score, reply)
                file.write(schema.json_line(score_record(sample, reply, score)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / schema.SCORES)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(folder / schema.SCORES, error) from error
    finished = {**summary.finish(header), SCORED_WITH: scored_with(suite, metrics)}
    write_json_atomically(folder / schema.SUMMARY, finished)
    return finished


def suite_of(header: Mapping[str, Any], name: str | None = None) -> Suite:
    """Return the suite that a run was made with, on its split and under its system prompt; `name` says where it is now."""
    split, condition = header["dataset"].get("split"), header["prompt"].get("system_prompt")
    return load_suite(
        name or header["suite"]["path"],
        split=split if isinstance(split, str) else None,
        system_prompt=condition if isinstance(condition, str) else None,
        mask_name=header["prompt"].get("names_masked") is True,
    )


def _answers(
    folder: Path, header: dict[str, Any], suite: Suite, summary: Summary
) -> Iterator[tuple[Sample, Generation]]:
    selection = Selection(
        limit=header["selection"]["limit"],
        tags=header["selection"]["tags"],
        strata=header["plan"]["selection"]["strata"],
    )
    # Choosing a subset needs a pass over the data; taking all, or all of a tag, does not.
    pool = suite.samples() if selection.limit is not None else ()
    selected = select((located.sample for located in pool), selection)
    with Generations(folder) as generations:
        for located in suite.samples():
            sample = located.sample
            if not selected.takes(sample, selection):
                continue
            for repeat in range(header["repeats"]):
                summary.planned += 1
                generation = generations.get(sample.id, repeat)
                if generation is not None:
                    yield sample, generation


def parse_answer(dialect: Dialect, sample: Sample, generation: Generation) -> ParsedReply | None:
    """Return the reply taken apart, None where there is no answer to take apart."""
    if generation.status != "ok":
        return None
    return dialect.parse(
        generation.text,
        truncated=generation.finish_reason == "length",
        tool_names=[tool.name for tool in sample.tools],
    )


def _check_same_dataset(folder: Path, header: dict[str, Any], suite: Suite) -> None:
    now = {"split": suite.spec.dataset.split, "sha256": suite.records_sha256}
    then = {key: header["dataset"].get(key) for key in now}
    differences = plan_differences(then, now, "dataset.")
    if differences:
        listed = "\n  ".join(differences)
        raise RunFolderError(
            f"the data set is no longer the one that was run\n  {listed}",
            where=folder,
            remedy="Restore the data set, or run the suite again; --reuse takes over answers to equal prompts.",
        )


def score_record(sample: Sample, reply: ParsedReply | None, score: SampleScore) -> dict[str, Any]:
    """Return one line of scores.jsonl: the score, and of the sample what a report shows."""
    asked = [message.content for message in sample.messages if message.role == "user"]
    return {
        "v": schema.SCHEMA_VERSION,
        "key": score.key,
        "sample_id": score.sample_id,
        "repeat": score.repeat,
        "status": score.status,
        "parse": score.parse,
        "verdict": score.verdict,
        "correct": score.correct,
        "measures": {name: [part.numerator, part.denominator] for name, part in score.measures.items()},
        "findings": [
            {"code": found.code, "detail": found.detail, "call": found.call, "argument": found.argument}
            for found in score.findings
        ],
        "tags": dict(sample.tags),
        "cluster": sample.cluster,
        "question": asked[-1] if asked else "",
        "expect": sample.expect,
        "expected": [
            {
                "name": call.name,
                "arguments": {
                    name: {"accept": list(argument.accept), "optional": argument.optional}
                    for name, argument in call.arguments.items()
                },
            }
            for call in sample.gold
        ],
        "predicted": [_predicted(call) for call in reply.calls] if reply is not None else [],
        "tools": [tool.name for tool in sample.tools],
    }


def _predicted(call: ParsedCall) -> dict[str, Any]:
    arguments = finite_json(call.arguments) if call.arguments is not None else None
    return {"name": call.name, "arguments": arguments, "problems": list(call.problems)}


def finite_json(value: Any) -> Any:
    """Return a JSON value with NaN and infinities, which a model may write, as the strings a reader would see."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if isinstance(value, dict):
        return {key: finite_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite_json(inner) for inner in value]
    return value
