"""Which dialect a model is measured in, and the dialect of a name."""

from __future__ import annotations

import re
from typing import Final

from harness.parse.base import Dialect
from harness.parse.scan import OPEN_TAG
from harness.registry import Registry

DIALECTS: Final = Registry("harness.dialects")
_LLAMA_FORM = re.compile(r'\{\s*\\?"name\\?":\s*function name,\s*\\?"parameters\\?"')


def dialect_for_template(chat_template: str | None) -> str:
    """Return the dialect that `auto` means for a model with this chat template.

    Llama 3's templates ask for bare JSON in a sentence of their own. A template that mentions neither form, or none at
    all, gets our own block of tools, which is in Hermes style.
    """
    if chat_template and OPEN_TAG not in chat_template and _LLAMA_FORM.search(chat_template):
        return "bare_json"
    return "hermes"


def get_dialect(name: str) -> Dialect:
    """Return the dialect of that name. Raises UsageError for an unknown one, MissingDependency where it cannot load."""
    dialect: Dialect = DIALECTS.get(name)()
    return dialect
