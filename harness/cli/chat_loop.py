"""The lines of a chat: what is typed, and what is shown. Everything that a model wrote is made visible first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.data.strict_json import StrictJsonError, decode
from harness.errors import HarnessError, UsageError, did_you_mean
from harness.report.text import json_text, visible
from harness.run.chat import Answer, Branch, Chat, save_record
from harness.types import Expect, ToolCall

HELP = """\
/tools [NAME]            the tools that are offered, or one with its schema
/offer NAME ... | all    offer only these (starts over)
/result NAME JSON        the result of a call, handed back to the model
/system [TEXT]           show or change the system text (a change starts over)
/reset                   start over
/save FILE               append the conversation as a record, with the answer as what is right
/save FILE no_call|ask   ... or with what you say is right
/save FILE call NAME {}  ... or with the right call
/quit                    leave (so does the end of the input)
A line that ends in \\ goes on in the next one."""
_NARROW = 100


class ChatLoop:
    """Reads lines until the end and shows what comes back."""

    def __init__(self, chat: Chat, *, interactive: bool) -> None:
        self._chat = chat
        self._all_tools = chat.tools
        self._interactive = interactive
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._commands: dict[str, Callable[[str], None]] = {
            "/tools": self._tools,
            "/offer": self._offer,
            "/result": self._result,
            "/system": self._system,
            "/reset": self._reset,
            "/save": self._save,
            "/help": lambda rest: self._show(HELP),
        }

    def run(self, lines: IO[str]) -> None:
        """Chat until /quit or the end of the input."""
        names = ", ".join(branch.name for branch in self._chat.branches)
        self._show(f"{names}; {len(self._chat.tools)} tools offered. /help lists the commands.")
        self._prepare(lines)
        while (line := self._read(lines)) is not None:
            if line.strip() in ("/quit", "/exit"):
                return
            try:
                self._handle(line)
            except HarnessError as error:
                self._show(f"error: {error.one_message()}")
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
                self._show("(interrupted)")

    def _prepare(self, lines: IO[str]) -> None:
        reconfigure = getattr(lines, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
        if self._interactive:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  line editing and history for input()

    def _read(self, lines: IO[str]) -> str | None:
        """Return the next entry, None at the end."""
        read: list[str] = []
        while True:
            try:
                line = input("... " if read else "> ") if self._interactive else lines.readline()
            except (EOFError, KeyboardInterrupt):
                click.echo()
                return None
            if not self._interactive and not line:
                return "\n".join(read) if read else None
            line = line.rstrip("\r\n")
            if not line.endswith("\\"):
                return "\n".join([*read, line])
            read.append(line[:-1])

    def _handle(self, line: str) -> None:
        text = line.strip()
        if not text:
            return
        if not self._interactive:
            self._show(f"> {line}")
        if not text.startswith("/"):
            self._answers(self._chat.ask(line))
            return
        name, _, rest = text.partition(" ")
        known = self._commands.get(name)
        if known is None:
            raise UsageError(f"no command {name!r}", remedy=did_you_mean(name, [*self._commands, "/quit"]))
        known(rest.strip())

    def _tools(self, rest: str) -> None:
        if not rest:
            for tool in self._chat.tools:
                required = ", ".join(map(str, tool.parameters.get("required", ()))) or "nothing"
                self._show(f"{tool.name}: {tool.description} (requires {required})")
            if not self._chat.tools:
                self._show("no tools are offered; start with --suite or --tools")
            return
        names = {tool.name: tool for tool in self._chat.tools}
        if rest not in names:
            raise UsageError(f"no tool {rest!r}", remedy=did_you_mean(rest, names))
        self._show(json.dumps(dict(names[rest].parameters), ensure_ascii=False, indent=1))

    def _offer(self, rest: str) -> None:
        known = {tool.name: tool for tool in self._all_tools}
        names = list(known) if rest == "all" else rest.split()
        if not names:
            raise UsageError(
                "/offer needs names of tools, or all", remedy=f"There are: {', '.join(known) or 'none'}."
            )
        for name in names:
            if name not in known:
                raise UsageError(f"no tool {name!r}", remedy=did_you_mean(name, known))
        self._chat.tools = tuple(known[name] for name in dict.fromkeys(names))
        self._chat.reset()
        self._show(f"{len(self._chat.tools)} tools offered; the conversation starts over")

    def _system(self, rest: str) -> None:
        if not rest:
            self._show(self._chat.system or "there is no system text")
            return
        self._chat.system = rest
        self._chat.reset()
        self._show("system text set; the conversation starts over")

    def _reset(self, rest: str) -> None:
        self._chat.reset()
        self._show("the conversation starts over")

    def _result(self, rest: str) -> None:
        name, _, content = rest.partition(" ")
        if not name or not content.strip():
            raise UsageError(
                "/result needs the tool's name and its result", remedy='/result run_analysis {"ok": true}'
            )
        _json(content, "the result")
        answers = self._chat.result(name, content.strip())
        if not answers:
            waiting = sorted({call for branch in self._chat.branches for call in branch.waiting})
            self._show(f"still waiting for: {', '.join(waiting)}")
        self._answers(answers)

    def _save(self, rest: str) -> None:
        name, _, said = rest.partition(" ")
        if not name:
            raise UsageError("/save needs a file", remedy="/save questions.jsonl")
        expect, calls = _expectation(said.strip())
        branch = self._saved_branch()
        record = self._chat.record(branch, expect, calls)
        path = Path(name).expanduser()
        if save_record(path, record):
            self._show(f"saved as {record['id']} in {path} (expect: {record['expect']})")
        else:
            self._show(f"{record['id']} stands in {path} already")

    def _saved_branch(self) -> Branch:
        """Return the last target: the adapter, where base and adapter both answer."""
        return self._chat.branches[-1]

    def _answers(self, answers: list[Answer]) -> None:
        if len(answers) > 1 and self._console.is_terminal and self._console.width >= _NARROW:
            table = Table(show_lines=True, expand=True)
            for answer in answers:
                table.add_column(Text(visible(answer.target)), ratio=1)
            table.add_row(*(Text("\n".join(_lines(answer))) for answer in answers))
            self._console.print(table)
            return
        for answer in answers:
            self._show("\n".join([f"[{answer.target}]", *(f"  {line}" for line in _lines(answer))]))

    def _show(self, text: str) -> None:
        click.echo(visible(text))


def _lines(answer: Answer) -> list[str]:
    """Return what is shown of one answer, safe to print."""
    generation, reply = answer.generation, answer.reply
    if generation.status == "too_long":
        return [f"no answer: {visible(generation.error or '')}. /reset starts over."]
    if reply is None:
        return [f"no answer: {visible(generation.error or 'the engine failed')}"]
    # The bar marks what the model wrote, which may look like anything, our own lines included.
    lines = [f"| {line}" for line in visible(generation.text).split("\n")]
    if generation.finish_reason == "length":
        lines.append(f"(cut off after {generation.new_tokens} tokens)")
    if reply.status == "none":
        return [*lines, "- no call"]
    for call, problems in zip(reply.calls, answer.problems, strict=True):
        shown = f"- call {visible(str(call.name))} {visible(json_text(call.arguments))}"
        lines.append(f"{shown}: " + (visible("; ".join(problems)) if problems else "valid"))
    lines += [f"- does not parse ({error.code}): {visible(error.message)}" for error in reply.errors]
    return lines


def _expectation(said: str) -> tuple[Expect | None, list[ToolCall]]:
    """Return what the user says is right; None for the answer itself. Raises UsageError."""
    if not said:
        return None, []
    if said in ("no_call", "ask"):
        return cast(Expect, said), []
    word, _, rest = said.partition(" ")
    name, _, arguments = rest.strip().partition(" ")
    if word != "call" or not name:
        raise UsageError(
            f"{said!r} does not say what is right", remedy="no_call, ask, or: call NAME {ARGUMENTS}"
        )
    values = _json(arguments or "{}", "the arguments")
    if not isinstance(values, dict):
        raise UsageError("the arguments of a call must be a JSON object")
    return "call", [ToolCall(name=name, arguments=values)]


def _json(text: str, what: str) -> Any:
    try:
        return decode(text)
    except StrictJsonError as error:
        raise UsageError(f"{what}: {error.what}", remedy=error.remedy) from None
