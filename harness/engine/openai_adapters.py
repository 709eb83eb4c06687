"""Adapters on a server: a folder here is a name there, and each is proved to change something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from harness.engine.adapter_probe import LEAST_CHANGE
from harness.engine.openai_reply import Answer
from harness.engine.openai_server import ServedModel
from harness.errors import EngineError, UsageError

Ask = Callable[[str, str], Awaitable[Answer]]
"""Asks a model, by its name on the server, one of the probe questions; greedy, with log-probabilities."""

QUESTIONS = (
    "Add a load of 20 kN to node 5 in direction Y, then run the analysis.",
    "5번 절점에 Y방향으로 20kN 하중을 넣고 해석을 실행해 주세요.",
    "Who are you, and what can you do for me?",
    '{"name": "add_nodal_load", "arguments": {"node_id": 5,',
)


def names_of(
    adapters: Sequence[Path], served: ServedModel, given: Mapping[str, str], host: str
) -> dict[Path, str]:
    """Return the name on the server of every adapter folder.

    It is the one given for the folder or its last part, else what the server says it loaded from this folder, else the
    folder's last part. Raises UsageError for one that is not served, for two that would be one there, and for a name given
    for a folder that is not asked for.
    """
    unknown = sorted(given.keys() - {name for path in adapters for name in (path.name, str(path))})
    if unknown:
        raise UsageError(
            f"option adapter:{unknown[0]} names a folder that is none of the adapters",
            remedy=f"Adapters: {', '.join(path.name for path in adapters) or 'none'}.",
        )
    found: dict[Path, str] = {}
    for path in adapters:
        name = given.get(str(path)) or given.get(path.name) or served.adapters.get(str(path)) or path.name
        if served.names and name not in served.names:
            raise UsageError(
                f"the server has no model {name!r} for the adapter {path.name}",
                where=host,
                remedy=f"It serves: {', '.join(served.names[:20])}. Name the right one: "
                f"--engine-option adapter:{path.name}=NAME; or measure the base alone: --adapter base",
            )
        if name == served.name:
            raise UsageError(
                f"the adapter {path.name} and its base would be the same model {name!r} on the server",
                where=host,
                remedy=f"Name the adapter's own: --engine-option adapter:{path.name}=NAME",
            )
        same = next((other for other, there in found.items() if there == name), None)
        if same is not None:
            raise UsageError(
                f"the adapters {same} and {path} would be the same model {name!r} on the server",
                where=host,
                remedy=f"Name each by its whole folder: --engine-option adapter:{path}=NAME",
            )
        found[path] = name
    return found


async def prove(names: Mapping[Path, str], base: str, ask: Ask) -> dict[Path, str]:
    """Return, per adapter, what shows that it is active: the largest change of a log-probability, or changed texts.

    The base is asked twice: what differs then is the server's own rounding, and an adapter must change more. Raises
    EngineError for an adapter that does not: its numbers would be the base's under another name.
    """
    first = [await ask(base, question) for question in QUESTIONS]
    again = [await ask(base, question) for question in QUESTIONS]
    noise = _change(first, again)
    shown: dict[Path, str] = {}
    for path, name in names.items():
        answers = [await ask(name, question) for question in QUESTIONS]
        change = _change(first, answers)
        texts = sum(one.text != other.text for one, other in zip(first, answers, strict=True))
        unsteady = sum(one.text != other.text for one, other in zip(first, again, strict=True))
        active = texts > unsteady
        if change is not None and noise is not None:
            active = active or change > max(LEAST_CHANGE, 2 * noise)
            what = (
                f"largest change of a log-probability: {change:.1e}; {noise:.1e} when the base is asked twice"
            )
        else:
            what = (
                f"{texts} of {len(QUESTIONS)} probe answers changed; {unsteady} when the base is asked twice"
            )
        if not active:
            raise EngineError(
                f"the adapter changes nothing on the server ({what})",
                where=path,
                remedy=f"See whether {name!r} is loaded there with its weights, and not the base under this name.",
            )
        shown[path] = what
    return shown


def _change(one: Sequence[Answer], other: Sequence[Answer]) -> float | None:
    """Return the largest difference of two log-probabilities after the same text, None where there are none.

    Of answers with different texts only the first token's are compared: what stands before the later ones differs.
    """
    largest: float | None = None
    for left, right in zip(one, other, strict=True):
        if not left.logprobs or not right.logprobs:
            return None
        same = left.text == right.text and len(left.logprobs) == len(right.logprobs)
        compared = len(left.logprobs) if same else 1
        for before, after in zip(left.logprobs[:compared], right.logprobs[:compared], strict=True):
            largest = max(largest or 0.0, abs(before - after))
    return largest
