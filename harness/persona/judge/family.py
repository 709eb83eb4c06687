"""Which family of models a name belongs to: a judge favours replies that sound like its own."""

from __future__ import annotations

import re

_FAMILIES = {
    "Qwen": r"qwen|qwq|qvq",
    "Llama": r"llama|vicuna|alpaca",
    "GPT": r"gpt|chatgpt|davinci|(?<![a-z0-9])o[134](?![a-z0-9])",
    "Claude": r"claude",
    "Gemini and Gemma": r"gemini|gemma",
    "Mistral": r"mistral|mixtral|ministral|magistral|codestral|pixtral",
    "EXAONE": r"exaone",
    "SOLAR": r"solar",
    "DeepSeek": r"deepseek",
    "Phi": r"(?<![a-z0-9])phi(?![a-z])",
    "Yi": r"(?<![a-z0-9])yi(?![a-z])",
    "HyperCLOVA": r"hyperclova|(?<![a-z])hcx",
    "Kanana": r"kanana",
    "SmolLM": r"smollm",
    "GLM": r"glm",
    "Command": r"command-?[ar]|(?<![a-z])aya(?![a-z])",
    "Grok": r"grok",
    "Falcon": r"falcon",
    "OLMo": r"olmo|tulu",
    "A.X": r"(?<![a-z0-9])a\.x(?![a-z])",
    "Midm": r"midm|mi:dm",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _FAMILIES.items()}


def families_of(model: str) -> frozenset[str]:
    """Return the families that a model's name, path or hub id names; a distilled model may name two.

    Empty where the name says nothing: that is no proof of another family.
    """
    return frozenset(name for name, pattern in _PATTERNS.items() if pattern.search(model[:500]))


def family_note(judge: str, tested: str) -> str | None:
    """Return what to warn of about a judge for a tested model, None where they are known to differ."""
    ours, theirs = families_of(judge), families_of(tested)
    both = sorted(ours & theirs)
    if both:
        return (
            f"the judge {judge} and the tested model {tested} are of one family ({', '.join(both)}): judges favour "
            "replies like their own; use another family, or compare with human labels"
        )
    if not ours or not theirs:
        unknown = judge if not ours else tested
        return f"the family of {unknown} cannot be told from its name; a judge of the tested model's family favours it"
    return None
