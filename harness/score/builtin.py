"""The metrics that come with the harness: name in a suite's `metrics:` to "module:attribute", imported on use."""

from __future__ import annotations

BUILTIN_METRICS: dict[str, str] = {
    "tool_name_accuracy": "harness.score.tool_name_accuracy:ToolNameAccuracy",
    "parameter_accuracy": "harness.score.parameter_accuracy:ParameterAccuracy",
    "json_validity": "harness.score.json_validity:JsonValidity",
    "hallucination_rate": "harness.score.hallucination:HallucinationRate",
    "persona_gates": "harness.score.persona_gates:PersonaGates",
    "persona_drift": "harness.score.persona_drift:PersonaDrift",
    "persona_tools": "harness.score.persona_tools:PersonaTools",
    "persona_style": "harness.score.persona_style:PersonaStyle",
}
