"""The contents of a run folder, made up: every kind of outcome, two languages, and everything a hostile model writes."""

from __future__ import annotations

from collections import Counter
from typing import Any

Pair = tuple[dict[str, Any], dict[str, Any]]

HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "comment": "<!--<script>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "image": "<img src=x onerror=alert(1)>",
    "link": '<a href="javascript:alert(1)">here</a> javascript:alert(1)',
    "remote": '<link rel="stylesheet" href="https://example.org/x.css"><img src="//example.org/x.png">',
    "template": "{{ 7 * 7 }} {% raw %} ${x}",
    "controls": "a\x00b\x07c\x1b[31mred\x1b[0m\x9bd\r\nnext line\x7f",
    "bidi": "safe\u202egnp.exe\u202c \u2066isolated\u2069",
    "invisible": "ad\u200bmin\ufeff \U000e0041\U000e0042 \u2028 \u2029",
    "surrogate": "half \ud83d and other half \udc80",
    "zalgo": "z" + "\u0301\u0302\u0303" * 4,
}

TOOLS = ["add_nodal_load", "add_support", "add_member", "run_analysis", "get_reactions"]

VERDICTS = {
    "right_call": "The calls are the expected ones, name and arguments.",
    "right_silence": "No tool fits and none was called.",
    "wrong_value": "The right tool, with a wrong value in an argument.",
    "wrong_tool": "Another tool than the expected one was called.",
    "missing_argument": "A required argument is missing.",
    "extra_call": "More calls than expected.",
    "silent": "A call was expected and none was attempted.",
    "malformed": "The reply tries to call a tool, but cannot be read as a call.",
    "truncated": "The answer budget ended in the middle of a call.",
    "called_when_none_fits": "No tool fits, and one was called all the same.",
    "guessed_required": "A required value was not given; the model made one up instead of asking.",
    "too_long": "The prompt and the answer budget do not fit the model's context.",
    "engine_error": "The engine failed on this sample; it is retried on resume.",
}
FINDINGS = {
    "H1": "Invented tool: the name is none of the offered tools.",
    "H2": "Invented parameter: the tool has no such argument.",
    "H4": "A call when no offered tool fits.",
    "H5": "A required value that the user never gave.",
    "arg:value": "The value is none of the accepted ones.",
    "arg:missing": "An expected argument is missing.",
    "json:syntax": "The payload is not JSON.",
}
PLAN = ["right_call"] * 13 + ["right_silence"] * 4 + ["wrong_value"] * 8 + ["wrong_tool"] * 3 + [
    "missing_argument", "extra_call", "silent", "silent", "malformed", "malformed", "truncated",
    "called_when_none_fits", "called_when_none_fits", "guessed_required", "too_long", "engine_error",
]  # fmt: skip


def _load(node: int, value: float, direction: str = "Y") -> dict[str, Any]:
    return {"node_id": node, "direction": direction, "value": value, "unit": "kN"}


def _gold(arguments: dict[str, Any]) -> dict[str, Any]:
    accept = {key: {"accept": [value], "optional": key == "unit"} for key, value in arguments.items()}
    if "value" in accept:
        accept["value"]["accept"].append(str(arguments["value"]))
    return accept


def _predicted(
    verdict: str, node: int, value: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Return (predicted calls, findings, reply text) for a verdict."""
    right = {"name": "add_nodal_load", "arguments": _load(node, value)}
    text = f'<tool_call>\n{{"name": "add_nodal_load", "arguments": {{"node_id": {node}}}}}\n</tool_call>'
    table: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        "right_call": ([right], []),
        "wrong_value": (
            [{"name": "add_nodal_load", "arguments": _load(1, 10, "X")}],
            [
                {
                    "code": "arg:value",
                    "detail": f"node_id is 1, accepted: {node}",
                    "call": 0,
                    "argument": "node_id",
                }
            ],
        ),
        "wrong_tool": (
            [{"name": "add_point_load", "arguments": {**_load(node, value), "colour": "빨강"}}],
            [
                {"code": "H1", "detail": "nearest: add_nodal_load", "call": 0, "argument": None},
                {"code": "H2", "detail": "colour", "call": 0, "argument": "colour"},
            ],
        ),
        "missing_argument": (
            [{"name": "add_nodal_load", "arguments": {"node_id": node, "direction": "Y"}}],
            [{"code": "arg:missing", "detail": "", "call": 0, "argument": "value"}],
        ),
        "extra_call": ([right, {"name": "run_analysis", "arguments": {}}], []),
        "malformed": (
            [],
            [{"code": "json:syntax", "detail": "at character 14", "call": None, "argument": None}],
        ),
        "called_when_none_fits": (
            [{"name": "run_analysis", "arguments": {}}],
            [{"code": "H4", "detail": "", "call": 0, "argument": None}],
        ),
        "guessed_required": (
            [right],
            [{"code": "H5", "detail": f"value {value}", "call": 0, "argument": "value"}],
        ),
    }
    predicted, findings = table.get(verdict, ([], []))
    silent = {
        "right_silence": "도구가 필요 없는 질문이네요. 안녕하세요!",
        "silent": "I have added the load for you.",
    }
    broken = {"malformed": text.replace('"node_id"', "'node_id'"), "truncated": text[:40]}
    return predicted, findings, silent.get(verdict) or broken.get(verdict) or text


def sample(index: int, verdict: str) -> Pair:
    """Return one sample as scored and as generated."""
    korean, node, value = index % 2 == 0, index % 17 + 2, 10 + index % 7 * 5
    expect = {"right_silence": "no_call", "called_when_none_fits": "no_call", "guessed_required": "ask"}.get(
        verdict, "call"
    )
    status = {"too_long": "unscored", "engine_error": "error"}.get(verdict, "scored")
    predicted, findings, text = _predicted(verdict, node, value)
    if status != "scored":
        predicted, findings, text = [], [], ""
    question = {
        "call": (
            f"절점 {node}번에 Y방향 {value}kN 하중을 넣어줘",
            f"Add a {value} kN load in Y at node {node}",
        ),
        "no_call": ("오늘 점심 뭐 먹을까?", "What is a good place for lunch?"),
        "ask": (f"절점 {node}번에 Y방향 하중을 넣어줘", f"Put a load in Y on node {node}"),
    }[expect][0 if korean else 1]
    category = {"no_call": "no_call", "ask": "ask"}.get(expect, ("single", "several", "parallel")[index % 3])
    score = {
        "key": f"{index:064x}", "sample_id": f"structural-test-{index:04d}", "repeat": 0, "status": status,
        "parse": {"malformed": "malformed", "truncated": "truncated"}.get(verdict, "ok" if predicted else "none"),
        "verdict": verdict, "correct": verdict.startswith("right") if status == "scored" else None,
        "measures": {"tool_name_accuracy": [1, 1]}, "findings": findings,
        "tags": {"language": "ko" if korean else "en", "category": category}, "question": question, "expect": expect,
        "expected": [{"name": "add_nodal_load", "arguments": _gold(_load(node, value))}] if expect == "call" else [],
        "predicted": predicted, "tools": TOOLS,
    }  # fmt: skip
    generation = {
        "status": {"too_long": "too_long", "engine_error": "error"}.get(verdict, "ok"), "text": text,
        "finish_reason": "length" if verdict == "truncated" else "stop" if status == "scored" else None,
        "prompt_tokens": 900 + index, "new_tokens": 128 if verdict == "truncated" else len(text) // 3,
        "latency_s": 0.4 + index * 0.01 if status == "scored" else None,
        "error": "RuntimeError: device-side assert triggered" if status == "error" else None,
    }  # fmt: skip
    return score, generation


def hostile_samples() -> list[Pair]:
    """Return samples with hostile text in every place that holds text of a model, a data set or a user."""
    pairs = []
    for number, (name, text) in enumerate(HOSTILE.items()):
        score, generation = sample(100 + number, "wrong_value")
        score.update(
            sample_id=f"hostile-{name}-{text}" if name != "controls" else "hostile-controls", question=text,
            predicted=[{"name": text, "arguments": {text: text, "value": [text]}}, {"name": None, "arguments": None}],
            findings=[{"code": "arg:value", "detail": text, "call": 0, "argument": text}],
            tags={"language": "en", "category": text}, tools=[text], verdict="wrong_value",
        )  # fmt: skip
        generation.update(text=text)
        pairs.append((score, generation))
    score, generation = sample(130, "malformed")
    score["sample_id"] = "hostile-megabyte"
    score["predicted"] = [
        {"name": "deep", "arguments": {"big": 10**5000, "nan": float("nan"), "deep": _deep(3000)}}
    ]
    generation["text"] = "가<&\x00" * 250_000
    return [*pairs, (score, generation)]


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def _aggregate(metric: str, group: str, right: float, n: int) -> dict[str, Any]:
    value = right / n if n else None
    half = (value * (1 - value) / n) ** 0.5 * 1.96 if value is not None else 0.0
    return {
        "metric": metric, "group": group, "value": value, "numerator": right, "denominator": n, "n": n,
        "ci_low": max(0.0, value - half) if value is not None else None,
        "ci_high": min(1.0, value + half) if value is not None else None, "clusters": max(0, n - n // 6),
    }  # fmt: skip


MEASURES = {
    "tool_name_accuracy": ("Tool name accuracy", "Samples that expect a call, called by exactly the right names.", True, True, 0.78),
    "parameter_accuracy": ("Parameter accuracy", "Samples that expect a call, with every argument right (strict).", True, True, 0.45),
    "json_validity": ("JSON validity", "Attempted calls whose payload is strict JSON.", True, True, 0.91),
    "hallucination_rate": ("Hallucination rate", "Samples with an invented tool, parameter, call or value.", False, True, 0.18),
    "over_refusal": ("Over-refusal", "Samples that expect a call, with none attempted.", False, False, 0.07),
    "argument_f1": ("Argument F1", "Balanced precision and recall over arguments, optimally paired.", True, False, 0.71),
    "schema_valid": ("Schema-valid calls", "Calls that their tool's schema accepts.", True, False, 0.83),
    "ungrounded_values": ("Ungrounded values (H3)", "Values that stand nowhere in the conversation; a suspicion.", False, False, 0.04),
}  # fmt: skip


def summary(pairs: list[Pair], status: str = "complete", planned: int | None = None) -> dict[str, Any]:
    """Return summary.json for these samples."""
    scored = [score for score, _ in pairs if score["status"] == "scored"]
    found: dict[str, list[str]] = {}
    for score in scored:
        for code in dict.fromkeys(finding["code"] for finding in score["findings"]):
            found.setdefault(code, []).append(score["sample_id"])
    groups = Counter(f"{key}={score['tags'][key]}" for score in scored for key in ("category", "language"))
    sizes = {"all": len(scored), **dict(sorted(groups.items()))}
    aggregates = [
        _aggregate(metric, group, round(n * max(0.0, rate - 0.09 * (place % 3))), n)
        for metric, (*_, rate) in MEASURES.items()
        for place, (group, n) in enumerate(sizes.items())
    ]
    return {
        "v": 1, "run_id": "20260105T093000Z-tool_calling-smollm2-135m-3f9a1c", "status": status,
        "counts": {
            "planned": planned or len(pairs), "generated": len(pairs), "scored": len(scored),
            "unscored": sum(s["status"] == "unscored" for s, _ in pairs),
            "errors": sum(s["status"] == "error" for s, _ in pairs),
            "truncated": sum(g["finish_reason"] == "length" for _, g in pairs),
            "too_long": sum(g["status"] == "too_long" for _, g in pairs),
        },
        "tokens": {"prompt": 37_640, "new": 1_912, "generation_s": 48.25, "tokens_per_s": 39.626},
        "measures": {
            name: {"label": label, "definition": text, "higher_is_better": up, "headline": head}
            for name, (label, text, up, head, _) in MEASURES.items()
        },
        "aggregates": aggregates,
        "verdicts": dict(Counter(score["verdict"] for score, _ in pairs)), "verdict_texts": VERDICTS,
        "findings": {code: {"samples": len(ids), "examples": ids[:3]} for code, ids in found.items()},
        "finding_texts": FINDINGS,
    }  # fmt: skip


def header(status: str = "complete") -> dict[str, Any]:
    """Return run.json."""
    return {
        "schema_version": 1, "run_id": "20260105T093000Z-tool_calling-smollm2-135m-3f9a1c", "status": status,
        "plan_sha256": "3f9a1c" + "0" * 58,
        "suite": {
            "name": "tool_calling", "version": "1.0.0", "sha256": "ab12" * 16,
            "description": "Does the model call the right tool with the right arguments, and stay silent when it should?",
            "metrics": ["tool_name_accuracy", "parameter_accuracy", "json_validity", "hallucination_rate"],
            "slices": ["category", "language"],
            "limits": "Single turns with one follow-up at most; longer dialogues are not measured.\n\n"
                      "The data set is synthetic: real users make other mistakes.",
        },
        "dataset": {"path": "datasets/structural", "split": "test", "sha256": "9c41" * 16, "n_records": 250},
        "selection": {"limit": 40, "tags": {}, "n": 40},
        "engine": {
            "engine": "hf", "model": "smollm2-135m", "model_fingerprint": "5f0e" * 16,
            "adapter": "structural-smollm2-135m", "adapter_fingerprint": "77d1" * 16, "dtype": "float32",
            "quantization": None, "device": "cpu", "context_length": 2048,
            "versions": {"torch": "2.9.0", "transformers": "5.20.1"},
        },
        "prompt": {"tools_by": "tool_block", "template_sha256": "e3b0" * 16, "dialect": "hermes"},
        "sampling": {"temperature": 0, "top_p": 1, "top_k": 0, "max_new_tokens": 128, "seed": 0}, "repeats": 1,
        "env": {"python": "3.11.7", "platform": "Linux-6.1-x86_64", "cpu": "example", "cores": 2,
                "packages": {"jinja2": "3.1.6", "numpy": "2.3.5"}},
        "git": {"commit": "0d1c" * 10, "dirty": False},
        "argv": ["harness", "run", "suites/tool_calling", "--limit", "40", "--tag", "note=two words"],
        "started_at": "2026-01-05T09:30:00Z", "finished_at": "2026-01-05T09:31:02Z", "duration_s": 62.4,
    }  # fmt: skip


def example(*, hostile: bool = False) -> tuple[dict[str, Any], dict[str, Any], list[Pair]]:
    """Return (header, summary, samples) of a run of 40, or of one with hostile text in every field."""
    pairs = [sample(index, verdict) for index, verdict in enumerate(PLAN)]
    if not hostile:
        return header(), summary(pairs), pairs
    pairs += hostile_samples()
    head, total = header(), summary(pairs)
    nasty = " ".join(HOSTILE.values())
    head["suite"].update(description=nasty, limits=nasty, name=nasty)
    head["engine"]["adapter"] = nasty
    head["argv"].append(nasty)
    head["env"]["packages"][nasty] = nasty
    total["measures"]["json_validity"].update(label=nasty, definition=nasty)
    total["verdict_texts"] = {**VERDICTS, "wrong_value": nasty}
    total["finding_texts"] = {**FINDINGS, "arg:value": nasty}
    return head, total, pairs
