"""`harness chat`: questions by hand, base and adapters side by side."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from harness.cli.options import FiniteRange, with_dtype, with_quantization
from harness.errors import UsageError


@click.command("chat")
@click.option(
    "--model", help="Alias, folder or hub id. Default: the base that the adapters name, or the suite's."
)
@click.option(
    "--adapter", "adapters", multiple=True, type=click.Path(path_type=Path), help="May be given again."
)
@click.option("--side-by-side", is_flag=True, help="Let the bare base answer beside the adapters.")
@click.option(
    "--suite", help="Offer the tools of this suite's data set, under its character's system prompt."
)
@click.option("--tools", type=click.Path(path_type=Path), help="Offer the tools of this tools.json.")
@click.option("--system", help="System text.  [default: that of the suite's character]")
@click.option("--dialect", default="auto", show_default=True, help="How calls are written.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--temperature", type=FiniteRange(min=0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--seed", type=int, default=0, show_default=True)
@with_dtype
@with_quantization
def command(
    model: str | None,
    adapters: tuple[Path, ...],
    side_by_side: bool,
    suite: str | None,
    tools: Path | None,
    system: str | None,
    dialect: str,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    dtype: str,
    quantization: str | None,
) -> None:
    """Ask a base model and its adapters by hand: the raw reply, its calls, and whether they fit the tools' schemas.

    Reads questions line by line from the terminal or a pipe; /help lists what else can be typed.
    """
    if suite and tools:
        raise UsageError("--suite and --tools both say which tools to offer: give one of them")
    from harness.cli.chat_loop import ChatLoop
    from harness.run.chat_session import ChatRequest, open_chat
    from harness.suite.load import load_suite
    from harness.types import Sampling

    request = ChatRequest(
        model=model,
        adapters=tuple(adapter.resolve() for adapter in adapters),
        base_too=side_by_side,
        suite=load_suite(suite) if suite else None,
        tools=tools,
        system=system,
        dialect=dialect,
        sampling=Sampling(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed),
        dtype=dtype,
        quantization=quantization,
    )
    chat, engine = open_chat(request)
    with closing(engine):
        ChatLoop(chat, interactive=sys.stdin.isatty()).run(sys.stdin)
