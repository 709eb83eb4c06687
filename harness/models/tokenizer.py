"""The tokenizer of a model folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, ModelError, first_line


def load_tokenizer(path: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the transformers tokenizer of a model folder, without touching the network.

    It has `apply_chat_template`, `chat_template`, `encode` and `decode`. Code that the folder brings along runs only
    with `trust_remote_code`. Raises MissingDependency or ModelError.
    """
    # Set before the first use: the Rust tokenizers warn, and may dead-lock, when the process forks afterwards.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingDependency(
            "transformers is not installed", remedy='Install it: pip install "persona-harness[hf]"'
        ) from None
    try:
        return AutoTokenizer.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # transformers raises anything from KeyError to a Rust panic for broken files
        raise ModelError(
            f"the tokenizer cannot be loaded: {first_line(error)}",
            where=path,
            remedy="The folder needs tokenizer.json (or tokenizer.model) and tokenizer_config.json.",
        ) from error
