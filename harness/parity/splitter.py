"""The tokenizer that answers are split with: that of the model the columns ran."""

from __future__ import annotations

from harness.engine.options import switch
from harness.log.reader import RunFolder
from harness.models.resolve import resolve_model
from harness.models.tokenizer import load_tokenizer
from harness.parity.first_difference import Characters, Splitter, Tokens
from harness.parity.folder import Parity, ParityFolder
from harness.run.session import WITHOUT_MODEL, answering_engine


def splitter_of(parity: Parity, folder: ParityFolder) -> Splitter:
    """Return the first answering column's tokenizer, characters where no column has one.

    Raises ModelError if the model is no longer there.
    """
    for column in parity.columns:
        run = folder.run_of(column)
        if run is None or answering_engine(column.engine, column.options) in WITHOUT_MODEL or column.merged:
            continue
        header = RunFolder(run).header()
        if header["prompt"].get("template") is not None and parity.model is None:
            continue
        model = resolve_model(str(header["engine"]["model"]), weights=False)
        trust = switch(column.options, "trust_remote_code", False)
        return Tokens(load_tokenizer(model.path, trust_remote_code=trust))
    return Characters()
