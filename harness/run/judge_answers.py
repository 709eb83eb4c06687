"""Judge answers in a JSONL file, one an answer, so that an interrupted judging goes on from them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import RunFolderError
from harness.log.files import LineAppender, set_torn_tail_aside
from harness.log.reader import iter_lines
from harness.log.schema import SCHEMA_VERSION
from harness.persona.judge.answers import JudgeAnswer

_KINDS = {
    "key": str,
    "text": str,
    "cut": bool,
    "prompt_tokens": int,
    "answer_tokens": int,
    "served_model": str,
}


class JsonlAnswers:
    """An AnswerStore over a file; a context manager. The file is made at the first answer that is kept.

    Raises RunFolderError with file and line for a damaged line; a torn last line is set aside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, JudgeAnswer] = {}
        self._appender: LineAppender | None = None
        for line in iter_lines(path):
            record: dict[str, Any] = {name: line.record.get(name) for name in _KINDS}
            if any(type(record[name]) is not kind for name, kind in _KINDS.items()):
                raise RunFolderError(
                    "not a judge's answer",
                    where=f"{path}:{line.number}",
                    remedy="Delete the line; its answer is asked for again.",
                )
            host = line.record.get("host")
            answer = JudgeAnswer(**record, host=host if isinstance(host, str) else "")
            self._answers[answer.key] = answer

    def __enter__(self) -> JsonlAnswers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def get(self, key: str) -> JudgeAnswer | None:
        """Return the answer to the request with this key, or None."""
        return self._answers.get(key)

    def put(self, answer: JudgeAnswer) -> None:
        """Append an answer. Raises StorageError."""
        if self._appender is None:
            set_torn_tail_aside(self.path)
            self._appender = LineAppender(self.path)
        self._appender.append({"v": SCHEMA_VERSION, **asdict(answer)})
        self._answers[answer.key] = answer
