"""Logs that these rules do not fit: reinforcement learning and preference training measure rewards, not likelihood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

_REINFORCEMENT = re.compile(
    r"^(eval_)?(reward(_std)?$|rewards/(?!chosen|rejected|margins|accuracies)|completions?/|completion_length|objective/"
    r"|policy/|frac_reward_zero_std|kl$|clip_ratio|val/clipfrac|num_terminated|sampling/)"
)
_PREFERENCE = re.compile(
    r"^(eval_)?(rewards/(chosen|rejected|margins|accuracies)|logps/|logits/(chosen|rejected))"
)


def other_objective(log: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what a log trained for if not next-token likelihood: "reinforcement learning", "preferences", else None."""
    for entry in islice(log, 200):
        for key in entry:
            if not isinstance(key, str):
                continue
            if _REINFORCEMENT.search(key):
                return "reinforcement learning (GRPO, PPO)"
            if _PREFERENCE.search(key):
                return "preferences (DPO and the like)"
    return None
