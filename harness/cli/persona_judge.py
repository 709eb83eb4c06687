"""`harness persona judge CARD [RUN]`: an optional judge model, tried on replies of known truth first."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import FiniteRange
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.persona.judge.cost import CostEstimate, Prices
    from harness.persona.judge.endpoint import Endpoint
    from harness.run.judging_plan import JudgingPlan


def _parameters(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    """Return repeated NAME=JSON as a dict; what is no JSON is text. Raises click.BadParameter."""
    from harness.cli.options import pairs
    from harness.data.strict_json import StrictJsonError, decode

    found: dict[str, Any] = {}
    for name, text in pairs(context, parameter, values).items():
        try:
            found[name] = decode(text)
        except StrictJsonError:
            found[name] = text
    return found


@click.command("judge")
@click.argument("card", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--base", type=click.Path(path_type=Path), help="Run folder to compare RUN with, pair by pair.")
@click.option("--base-url", metavar="URL", help="What stands before /chat/completions.")
@click.option("--model", metavar="NAME", help="The judge's name at that address.")
@click.option(
    "--key-env", metavar="NAME", help="Environment variable with the key.  [default: HARNESS_JUDGE_KEY]"
)
@click.option(
    "--json-mode",
    type=click.Choice(["object", "schema", "none"]),
    default="object",
    show_default=True,
    help="How JSON is asked for: response_format json_object, json_schema, or by the prompt alone.",
)
@click.option("--max-tokens", type=click.IntRange(64, 200_000), default=2048, show_default=True)
@click.option(
    "--param",
    "params",
    multiple=True,
    callback=_parameters,
    metavar="NAME=JSON",
    help="Field of the request's body; null takes one out.",
)
@click.option(
    "--timeout",
    type=FiniteRange(0.1, 3600),
    default=120,
    show_default=True,
    help="Seconds, one attempt.",
)
@click.option("--attempts", type=click.IntRange(1, 20), default=5, show_default=True)
@click.option(
    "--max-wait",
    type=FiniteRange(0, 3600),
    default=120,
    show_default=True,
    help="Longest pause in seconds that the server may ask for.",
)
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option(
    "--max-missing",
    type=FiniteRange(0, 1),
    default=0.05,
    show_default=True,
    help="Give up if a larger share of verdicts is missing.",
)
@click.option("--limit", type=click.IntRange(min=1), help="That many samples of RUN.")
@click.option(
    "--mask-name", is_flag=True, help="Replace the persona's names by neutral ones in what the judge reads."
)
@click.option("--no-qualification", is_flag=True, help="Do not try the judge first; its numbers are marked.")
@click.option(
    "--tuning-split", default="validation", show_default=True, help="Where the threshold is chosen."
)
@click.option("--held-out-split", default="test", show_default=True, help="Where the judge is measured.")
@click.option("--labels", type=click.Path(path_type=Path), help="What people answered, JSONL.")
@click.option(
    "--label-form", type=click.Path(path_type=Path), help="Write a form for people to fill in, and stop."
)
@click.option("--price-prompt", type=FiniteRange(min=0), help="Money for a million tokens in.")
@click.option("--price-answer", type=FiniteRange(min=0), help="Money for a million tokens out.")
@click.option(
    "--max-calls",
    type=click.IntRange(min=0),
    help="Refuse to start if more calls are needed, and stop at it, failed attempts included.",
)
@click.option("--max-cost", type=FiniteRange(min=0), help="Refuse to start if it would cost more.")
@click.option("--yes", is_flag=True, help="Do not ask before the first call.")
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and stop.")
@click.option("--allow-incomplete", is_flag=True, help="Compare runs with missing or failed samples.")
@click.option("--across-prompts", is_flag=True, help="Compare one model asked with different prompts.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the runs, for judge/.  [default: RUN's parent, or reports]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def judge(card: Path, run: Path | None, base: Path | None, **given: Any) -> None:
    """Ask a judge model about the replies in RUN, and about RUN against --base. docs/persona_judge.md explains it.

    CARD is a persona.yaml or its folder. The judge is tried on replies of known truth first; without RUN it is only
    tried. The key is read from an environment variable and never written. Answers are kept: repeating the command goes
    on from them.
    """
    if base is not None and run is None:
        raise UsageError(
            "--base needs a run to compare with it", remedy="harness persona judge CARD RUN --base BASE"
        )
    if given["label_form"] is not None:
        _write_form(card, run, given)
        return
    from harness.http.secret import key_from
    from harness.persona.judge.endpoint import KEY_VARIABLE
    from harness.run.judging_plan import cost_of
    from harness.run.persona_judging import judge as judge_runs

    plan = _plan(card, run, base, given)
    labels = _labels(plan, given)
    cost = cost_of(plan, _prices(given))
    if given["dry_run"]:
        _say_cost(cost)
        return
    key = key_from(given["key_env"], KEY_VARIABLE)
    _agree(cost, given)
    outcome = judge_runs(
        plan,
        key,
        max_missing=given["max_missing"],
        max_calls=given["max_calls"],
        labels=labels,
        say=_Progress(),
        tell=lambda text: click.echo(_visible(text), err=True),
    )
    if given["as_json"]:
        from dataclasses import asdict

        click.echo(json.dumps(asdict(outcome.summary), indent=1, allow_nan=False))
        return
    from harness.cli.present import PipeConsole
    from harness.report.judge_terminal import render_judge

    render_judge(outcome.summary, PipeConsole(highlight=False))
    click.echo(f"judge: {outcome.path}")


command = judge


def _plan(card: Path, run: Path | None, base: Path | None, given: dict[str, Any]) -> JudgingPlan:
    from harness.persona.card import load_card
    from harness.persona.judge.subject import judged_persona
    from harness.persona.judge.trial import make_trial
    from harness.run.judged_replies import check_pair_of_runs, read_replies
    from harness.run.judging_plan import plan_judging

    endpoint = _endpoint(given)
    loaded = load_card(card)
    persona = judged_persona(loaded, masked=given["mask_name"])
    trial = None
    if not given["no_qualification"]:
        trial = make_trial(loaded, tuning=given["tuning_split"], held_out=given["held_out_split"])
    if run is not None and base is not None:
        check_pair_of_runs(
            base,
            run,
            allow_incomplete=given["allow_incomplete"],
            across_prompts=given["across_prompts"],
        )
    return plan_judging(
        loaded,
        persona,
        endpoint,
        reports=given["out"] or (run.resolve().parent if run is not None else Path("reports")),
        trial=trial,
        run=read_replies(run, loaded.name, limit=given["limit"]) if run is not None else None,
        base=read_replies(base, loaded.name) if base is not None else None,
    )


def _endpoint(given: dict[str, Any]) -> Endpoint:
    from harness.persona.judge.endpoint import Endpoint, checked_endpoint

    for name in ("base_url", "model"):
        if not given[name]:
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is missing",
                remedy="For example: --base-url http://127.0.0.1:8000/v1 --model qwen2.5-72b-instruct",
            )
    return checked_endpoint(
        Endpoint(
            base_url=given["base_url"],
            model=given["model"],
            json_mode=given["json_mode"],
            max_tokens=given["max_tokens"],
            params=given["params"],
            timeout_s=given["timeout"],
            attempts=given["attempts"],
            longest_wait_s=given["max_wait"],
            parallel=given["parallel"],
        )
    )


def _labels(plan: JudgingPlan, given: dict[str, Any]) -> Any:
    """Return the labels of a file, () without one. Raises UsageError if none can be used."""
    if given["labels"] is None:
        return ()
    from harness.persona.judge.labels import read_labels

    if plan.trial is None:
        raise UsageError("labels are a part of the qualification", remedy="Leave out --no-qualification.")
    judged = {one.id for one in plan.trial.replies()} | {
        one.id for one in (plan.run.replies if plan.run is not None else ())
    }
    found = read_labels(given["labels"], plan.persona, judged)
    if not any(label.reply in judged for label in found.answered):
        raise UsageError(
            f"no label is about a reply that is judged here ({len(found.answered)} answered, {found.open} open)",
            where=given["labels"],
            remedy="Make a form for this card and run: harness persona judge CARD RUN --label-form FILE",
        )
    return found.answered


def _write_form(card: Path, run: Path | None, given: dict[str, Any]) -> None:
    from harness.log.files import write_atomically
    from harness.log.schema import json_line
    from harness.persona.card import load_card
    from harness.persona.judge.labels import form
    from harness.persona.judge.subject import judged_persona
    from harness.persona.judge.trial import make_trial
    from harness.run.judged_replies import read_replies

    path: Path = given["label_form"]
    if path.exists():
        raise UsageError("this file exists already, and may hold answers", where=path, remedy="Name another.")
    loaded = load_card(card)
    persona = judged_persona(loaded)
    if run is not None:
        replies = read_replies(run, loaded.name, limit=given["limit"]).replies
    else:
        trial = make_trial(loaded, tuning=given["tuning_split"], held_out=given["held_out_split"])
        replies = tuple(one for one, _ in trial.held_out)
    lines = form(persona, replies)
    write_atomically(path, b"".join(map(json_line, lines)))
    click.echo(
        f'{len(lines)} items to answer: {path}\nWrite "yes" or "no" into label and a name into rater, then: --labels {path}'
    )


def _prices(given: dict[str, Any]) -> Prices | None:
    from harness.persona.judge.cost import Prices

    prompt, answer = given["price_prompt"], given["price_answer"]
    if prompt is None and answer is None:
        if given["max_cost"] is not None:
            raise UsageError("--max-cost needs prices", remedy="Add --price-prompt and --price-answer.")
        return None
    if prompt is None or answer is None:
        raise UsageError("both prices are needed", remedy="Add --price-prompt and --price-answer.")
    return Prices(prompt=prompt, answer=answer)


def _agree(cost: CostEstimate, given: dict[str, Any]) -> None:
    """Say what it costs and ask, unless told otherwise. Raises UsageError beyond a limit, click.Abort for a no."""
    _say_cost(cost)
    if given["max_calls"] is not None and cost.calls > given["max_calls"]:
        raise UsageError(
            f"{cost.calls} calls are needed, --max-calls allows {given['max_calls']}",
            remedy="Judge fewer samples with --limit, or allow more.",
        )
    if given["max_cost"] is not None and cost.money is not None and cost.money > given["max_cost"]:
        raise UsageError(
            f"it would cost about {cost.money:.2f}, --max-cost allows {given['max_cost']:g}",
            remedy="Judge fewer samples with --limit, or allow more.",
        )
    limited = given["max_calls"] is not None or given["max_cost"] is not None
    if given["yes"] or limited or not cost.calls:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody is there to agree to the calls",
            remedy="Add --yes, or a limit: --max-calls or --max-cost.",
        )
    click.confirm("Ask?", abort=True, err=True)


def _say_cost(cost: CostEstimate) -> None:
    from harness.report.judge_terminal import cost_line

    click.echo(cost_line(cost), err=True)


def _visible(text: str) -> str:
    from harness.report.text import visible

    return visible(text)


class _Progress:
    """One line a part on standard error: at its end, and every tenth of it."""

    def __init__(self) -> None:
        self._shown = ("", -1)

    def __call__(self, part: str, done: int, planned: int) -> None:
        tenth = 10 * done // planned if planned else 10
        if (part, tenth) != self._shown:
            self._shown = (part, tenth)
            click.echo(f"{part}: {done} of {planned}", err=True)
