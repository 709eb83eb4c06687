"""Every code that scoring may attach to a sample, with the sentence that explains it. docs/metrics.md has the details."""

from __future__ import annotations

FINDINGS: dict[str, str] = {
    "H1": "Invented tool: the called name is not among the offered tools.",
    "H2": "Invented parameter: the tool's schema has no such argument.",
    "H3": "Ungrounded value: nothing in the conversation or the schema gives this value (a suspicion, not a proof).",
    "H4": "False call: a tool was called although none fits.",
    "H5": "Invented value: a call was completed although the user never gave a required value.",
    "H6": "Phantom action: the text claims that something was done, but no tool was called.",
    "V1": "Required argument missing.",
    "V2": "Argument of the wrong type.",
    "V3": "Argument outside its enum, range, pattern or other constraint.",
    "M": "An expected call is missing.",
    "X": "A call too many: extra or repeated.",
    "W": "Wrong tool: an offered tool, but not the expected one.",
    "O": "The right calls in the wrong order.",
    "arg:missing": "An expected argument is missing.",
    "arg:extra": "An argument that is not expected.",
    "arg:value": "An argument has another value than the accepted ones.",
    "arg:level": "The value is right in meaning but not as it is written (strict says no, semantic says yes).",
    "json:malformed": "An attempted call that cannot be read.",
    "json:truncated": "The call was cut off by the answer budget.",
    "json:not_strict": "The call was read, but its payload is not strict JSON.",
    "json:shape": "The payload is JSON, but not a call.",
    "json:not_served": "The serving parser of this dialect would not deliver every attempted call.",
    "schema:unusable": "The tool's schema is broken, so validity against it was not judged.",
}
