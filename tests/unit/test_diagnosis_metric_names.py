"""Which way a metric is better, told by its name, and what a diagnosis makes of it."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness.run.metrics import metrics_of
from harness.suite.load import load_suite
from harness.training.diagnosis import Diagnosis, RunFacts, diagnose
from harness.training.diagnosis.metric_names import is_loss, is_probe, name_says_higher
from harness.training.diagnosis.reader import read_training_log

SUITES = sorted((Path(__file__).resolve().parents[2] / "suites").glob("*/suite.yaml"))

HIGHER = """eval_answer_accuracy eval_accuracy eval_acc eval_f1 eval_f1_macro eval_macro_f1 eval_exact eval_exact_match
eval_em eval_bleu4 eval_rouge1 eval_rougeL eval_rouge-2 eval_meteor eval_precision eval_recall eval_pass@1
eval_tool_name_accuracy eval_tool_name_f1 eval_argument_value_accuracy eval_json_validity eval_json_valid_rate
eval_non_empty_rate eval_nonempty_rate eval_no_hallucination_rate eval_error_free_rate eval_not_truncated
eval_error_detection_f1 eval_hallucination_detection_accuracy eval_refusal_accuracy eval_correct_refusal_rate
eval_exactMatch eval_ToolNameAccuracy eval_reward_score eval_win_rate eval_correctness eval_concerned_accuracy eval_total_accuracy eval_persona_score
eval_no_repetition eval_mcc eval_auc eval_wer_accuracy
eval_정확도 eval_도구이름_정확도 eval_정답률 eval_재현율 eval_정밀도 eval_완전일치율 eval_F1점수 eval_성공률
eval_환각_없음_비율 eval_무오류율 eval_형식준수율 eval_비환각률"""
LOWER = """eval_wer eval_cer eval_ter eval_val_wer eval_hallucination_rate eval_error_rate eval_errors eval_no_eos_rate
eval_never_stops eval_repetition_rate eval_repetition_score eval_toxicity_score eval_hallucination_score eval_brier_score
eval_empty_rate eval_prompt_echo eval_over_refusal eval_false_call_rate
eval_invented_tool_rate eval_ungrounded_value_rate eval_phantom_action_rate eval_parser_delta eval_mse eval_rmse eval_mae
eval_perplexity_per_byte eval_inaccuracy eval_incorrect_rate eval_invalid_json_rate eval_failure_rate eval_nll
eval_bits_per_byte eval_toxicity eval_error_at_1
eval_오류율 eval_오답률 eval_환각률 eval_환각_비율 eval_실패율 eval_반복률 eval_부정확도 eval_불일치율 eval_빈응답_비율 eval_환각점수 eval_환각_점수
eval_오류수"""
UNKNOWN = """eval_refusal_rate eval_reply_length eval_foo eval_answer eval_concern eval_flower eval_accuracy_std
eval_f1_stderr eval_num_correct eval_tokens eval_latency_ms eval_train_speed eval_x eval_valid_count eval_wer_x_accuracy_gap eval_응답길이 eval_거절률 eval_질문수
eval_"""


@pytest.mark.parametrize("key", HIGHER.split())
def test_more_is_better(key: str):
    assert name_says_higher(key) is True


@pytest.mark.parametrize("key", LOWER.split())
def test_less_is_better(key: str):
    assert name_says_higher(key) is False


@pytest.mark.parametrize("key", UNKNOWN.split())
def test_a_name_that_says_neither(key: str):
    assert name_says_higher(key) is None


def test_decomposed_hangul_is_the_same_name():
    """A file name or a key from macOS holds letters in pieces."""
    assert name_says_higher(unicodedata.normalize("NFD", "eval_정확도")) is True


LOSSES = [
    ("eval_loss", True),
    ("eval_val_loss", True),
    ("eval_Loss", True),
    ("eval_nll", True),
    ("eval_cross_entropy", True),
    ("eval_손실", True),
    ("eval_검증손실", True),
    ("eval_gloss", False),
    ("eval_loss_ratio", False),
    ("eval_accuracy", False),
]


@pytest.mark.parametrize(("key", "loss"), LOSSES)
def test_what_is_a_loss(key: str, loss: bool):
    assert is_loss(key) is loss


def test_what_is_measured_on_training_rows():
    probes = ["eval_train_probe_loss", "eval_train_accuracy", "eval_training_loss", "eval_학습_loss"]
    probes += ["eval_훈련손실", "eval_학습_정확도"]
    assert [key for key in probes if not is_probe(key)] == []
    assert [key for key in ("eval_loss", "eval_constraint_loss", "eval_trained_f1") if is_probe(key)] == []


RISING = [0.30, 0.42, 0.55, 0.63, 0.70, 0.76, 0.81, 0.85]


def _log(key: str, values: list[float], losses: list[float] | None = None) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = [
        {"step": 10 * i, "loss": 2 * 0.97**i, "learning_rate": 1e-4} for i in range(1, 41)
    ]
    losses = losses or [2 * 0.9**i for i in range(len(values))]
    for i, (value, loss) in enumerate(zip(values, losses, strict=True), 1):
        log.append({"step": 50 * i, "eval_loss": loss, key: value})
    return log


def _codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings}


def test_a_rising_accuracy_of_answers_is_no_overfitting():
    """The name holds the letters "wer"; word error rates fall when things go well, accuracies rise."""
    diagnosis = diagnose(_log("eval_answer_accuracy", RISING), RunFacts(task_samples=200))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.best is not None
    assert diagnosis.best.x == 400


def test_replies_that_are_all_there_are_not_empty():
    assert "empty_replies" not in _codes(diagnose(_log("eval_non_empty_rate", [1.0] * 8)))
    half = diagnose(_log("eval_non_empty_rate", [0.5] * 8))
    finding = next(finding for finding in half.findings if finding.code == "empty_replies")
    assert (finding.severity, finding.evidence["bad_share"]) == ("critical", 0.5), "half of them are empty"


@pytest.mark.parametrize(
    ("key", "codes"),
    [
        ("eval_hallucination_detection_f1", set()),
        ("eval_truncated_accuracy", set()),
        ("eval_emptying_rate", set()),
        ("eval_echocardiogram_rate", set()),
        ("eval_invalid_json_rate", {"broken_json"}),
        ("eval_no_hallucination_rate", {"invented_calls"}),
        ("eval_no_eos_rate", {"never_stops"}),
    ],
)
def test_shares_of_bad_replies_are_told_by_whole_words(key: str, codes: set[str]):
    health = {"never_stops", "repetition", "empty_replies", "prompt_echo", "broken_json", "invented_calls"}
    """0.9 is bad of a share of bad replies, and says 10 % bad ones of a share of good ones."""
    assert _codes(diagnose(_log(key, [0.9] * 8))) & health == codes


@pytest.mark.parametrize("key", ["eval_reply_length", "eval_foo", "eval_응답길이"])
@pytest.mark.parametrize("values", [RISING, RISING[::-1]])
def test_a_metric_of_unknown_direction_decides_nothing(key: str, values: list[float]):
    diagnosis = diagnose(_log(key, values))
    assert diagnosis.verdict == "healthy"
    assert diagnosis.best is not None
    assert diagnosis.best.key == "eval_loss"
    assert [note.evidence["key"] for note in diagnosis.notes if note.code == "direction_unknown"] == [key]


def test_the_task_of_training_rows_is_no_held_out_task():
    """Right answers on rows that were trained on do not clear a rising validation loss."""
    u_turn = [2.0, 1.5, 1.2, 1.1, 1.2, 1.35, 1.5, 1.6]
    diagnosis = diagnose(_log("eval_train_accuracy", RISING, u_turn), RunFacts(task_samples=200))
    assert diagnosis.verdict == "overfit"
    assert diagnosis.best is not None
    assert diagnosis.best.key == "eval_loss"


def _run_folder(folder: Path, metric: str, directions: dict[str, Any], log: list[dict[str, Any]]) -> Path:
    header = {
        "schema": 1,
        "status": "done",
        "recipe": {"evaluation": {"metric": metric}, "eval_suite": {"path": "x", "limit": 200}},
        "metrics": directions,
    }
    (folder / "train.json").write_text(json.dumps(header), encoding="utf-8")
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log), encoding="utf-8")
    return folder


def test_the_recipes_metric_is_the_one_to_go_by(tmp_path: Path):
    """The recipe says `json_validity`, the log `eval_json_validity`; the usual name would be tool_name_accuracy."""
    log = _log("eval_json_validity", [0.5, 0.99, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7])
    for entry in log:
        if "eval_loss" in entry:
            entry["eval_tool_name_accuracy"] = entry["step"] / 500
    read = read_training_log(_run_folder(tmp_path, "json_validity", {}, log))
    assert read.facts.metric == "eval_json_validity"
    best = diagnose(read.entries, read.facts).best
    assert best is not None
    assert (best.key, best.x) == ("eval_json_validity", 100)


@pytest.mark.parametrize(("higher", "at"), [(True, 400), (False, 50)])
def test_the_suite_says_which_way_its_metrics_go(tmp_path: Path, higher: bool, at: float):
    """A metric of the reader's own whose name says nothing, recorded by the run with its direction."""
    log = _log("eval_politeness", [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.99])
    folder = _run_folder(tmp_path, "politeness", {"politeness": higher, "bad": "yes"}, log)
    read = read_training_log(folder)
    best = diagnose(read.entries, read.facts).best
    assert best is not None
    assert (best.key, best.x) == ("eval_politeness", at)


SELECTED = [
    ("eval_품질", RISING, 400, 0.85, True, 400),
    ("eval_distance", RISING[::-1], 400, 0.30, False, 400),
    ("eval_distance", [0.9, 0.5, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9], 150, 0.2, False, 150),
]


@pytest.mark.parametrize(("key", "values", "step", "best", "higher", "at"), SELECTED)
def test_the_trainers_own_choice_tells_metric_and_direction(
    key: str, values: list[float], step: int, best: float, higher: bool, at: float, tmp_path: Path
):
    """`best_metric` of a trainer_state.json is the value of one key at one step: the metric that the run selects by."""
    state = {
        "log_history": _log(key, values),
        "best_metric": best,
        "best_global_step": step,
        "best_model_checkpoint": f"out/checkpoint-{step}",
        "max_steps": 400,
    }
    (tmp_path / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    read = read_training_log(tmp_path)
    assert read.facts.metric == key
    assert (key in read.facts.higher_is_better, key in read.facts.lower_is_better) == (higher, not higher)
    found = diagnose(read.entries, read.facts).best
    assert found is not None
    assert (found.key, found.x) == (key, at)


@pytest.mark.parametrize("best", [math.inf, math.nan, "0.5", [1], None])
def test_a_strange_best_metric_selects_nothing(best: Any, tmp_path: Path):
    state = {
        "log_history": [{"step": 50, "eval_foo": best}, {"step": 60, "loss": 1.0}],
        "best_metric": best,
        "best_global_step": 50,
    }
    (tmp_path / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    facts = read_training_log(tmp_path).facts
    assert facts.higher_is_better == facts.lower_is_better == ()


def test_no_name_contradicts_the_metrics_of_the_suites():
    """Every shipped measure says its own direction; a name may say nothing, but never the opposite."""
    metrics = [metric for suite in SUITES for metric in metrics_of(load_suite(str(suite.parent)))]
    directions = {
        measure.name: measure.higher_is_better for metric in metrics for measure in metric.info.measures
    }
    assert set(directions.values()) == {True, False}
    said = {name: name_says_higher(f"eval_{name}") for name in directions}
    assert {name for name in said if said[name] is (not directions[name])} == set()


def test_what_is_measured_under_drift_is_not_drift_itself():
    assert [name_says_higher(f"eval_{name}") for name in ("drift_rate", "style_drift", "drift")] == [
        False
    ] * 3
    assert name_says_higher("eval_drift_turn_accuracy") is True
    assert name_says_higher("eval_drift_turn_style") is None
