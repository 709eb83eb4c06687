"""Which options the installed training libraries have, read from their source: importing them takes seconds."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

_TRAINER = (
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/sft_config.py", "SFTConfig"),
)
_LORA = (("peft", "tuners/lora/config.py", "LoraConfig"),)


@cache
def trainer_options() -> frozenset[str]:
    """Return the fields of TRL's SFTConfig, as far as the installed libraries can be read."""
    return frozenset().union(*(_fields(*place) for place in _TRAINER))


@cache
def lora_options() -> frozenset[str]:
    """Return the fields of PEFT's LoraConfig but those of all of PEFT's configs, as far as they can be read."""
    return frozenset().union(*(_fields(*place) for place in _LORA))


def _fields(package: str, file: str, name: str) -> frozenset[str]:
    """Return the annotated fields of one class; none if the library is not installed or keeps them elsewhere."""
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        try:
            tree = ast.parse((Path(folder) / file).read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                lines = (line for line in node.body if isinstance(line, ast.AnnAssign))
                return frozenset(line.target.id for line in lines if isinstance(line.target, ast.Name))
    return frozenset()
