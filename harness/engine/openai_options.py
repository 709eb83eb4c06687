"""What `--engine openai` may be told, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from harness.engine.options import check_options, switch, whole_number
from harness.errors import UsageError, nearest_hint
from harness.http.address import checked_address

KEY_VARIABLE = "HARNESS_OPENAI_KEY"
ADAPTER = "adapter:"
"""What stands before an adapter folder's name in the option that says how the server calls it."""

Mode = Literal["auto", "completions", "chat"]
MODES: tuple[Mode, ...] = get_args(Mode)

_KNOWN = (
    *("base_url", "served_model", "mode", "parallel", "context_length", "key_env", "verify"),
    *("timeout_s", "attempts", "deadline_s", "trust_remote_code"),
)
_LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiOptions:
    """The engine's options. `served_names` maps adapter folders' names to names on the server.

    `timeout_s` is for one attempt, `deadline_s` how long after its first attempt a prompt may have another.
    """

    base_url: str
    served_model: str | None = None
    mode: Mode = "auto"
    parallel: int = 32
    timeout_s: float = 300.0
    attempts: int = 6
    deadline_s: float = 1800.0
    key_env: str | None = None
    context_length: int | None = None
    verify: bool = True
    trust_remote_code: bool = False
    served_names: Mapping[str, str] = field(default_factory=dict)


def read_options(options: Mapping[str, str]) -> OpenAiOptions:
    """Return the engine's options. Raises UsageError for an unknown one, a bad value, and where no address is given."""
    served = {
        name.removeprefix(ADAPTER): value for name, value in options.items() if name.startswith(ADAPTER)
    }
    check_options("openai", {name: "" for name in options if not name.startswith(ADAPTER)}, _KNOWN)
    if not options.get("base_url"):
        raise UsageError(
            "--engine openai needs the address of a server",
            remedy="For example: --base-url http://127.0.0.1:8000/v1, or --engine-option base_url=... where a command has no "
            "--base-url.",
        )
    for folder, name in served.items():
        if not folder or not name:
            raise UsageError(
                f"option {ADAPTER}{folder} names nothing",
                remedy=f"For example: --engine-option {ADAPTER}my-adapter=name-on-the-server",
            )
    return OpenAiOptions(
        base_url=checked_address(options["base_url"], whose="the server's", key_variable=KEY_VARIABLE),
        served_model=options.get("served_model") or None,
        mode=_mode(options.get("mode", "auto")),
        parallel=whole_number(options, "parallel") or 32,
        timeout_s=_seconds(options, "timeout_s", 300.0),
        attempts=min(whole_number(options, "attempts") or 6, 1000),
        deadline_s=_seconds(options, "deadline_s", 1800.0),
        key_env=options.get("key_env") or None,
        context_length=whole_number(options, "context_length"),
        verify=switch(options, "verify", True),
        trust_remote_code=switch(options, "trust_remote_code", False),
        served_names=served,
    )


def _mode(text: str) -> Mode:
    for mode in MODES:
        if text == mode:
            return mode
    raise UsageError(
        f"option mode must be one of {', '.join(MODES)}, not {text!r}",
        remedy=nearest_hint(text, MODES) or None,
    )


def _seconds(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _LONGEST_S:
        raise UsageError(
            f"option {name} must be seconds, more than 0 and at most {_LONGEST_S:.0f}, not {text!r}"
        )
    return value
