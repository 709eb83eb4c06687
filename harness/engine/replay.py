"""An engine that repeats what another run answered: re-parse and re-score real text on any machine."""

from __future__ import annotations

from harness.engine.scripted import ScriptedEngine


class ReplayEngine(ScriptedEngine):
    """Yields recorded answers, looked up by sample id and repeat; a sample that was not recorded is an error.

    Option: `from`, on the command line the recorded run folder; the engine itself receives the recording's hash.
    """

    NAME = "replay"
    CONTENT = "from"
    OPTIONS = (CONTENT,)
    BATCH_OPTION = None
    PROMISE = "The same texts on any machine: they are those of the recording."
