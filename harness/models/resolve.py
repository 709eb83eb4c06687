"""A model's name on the command line -> a folder on disk: an alias, a folder, or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import MissingDependency, ModelError, first_line, nearest_hint
from harness.models.aliases import ALIASES
from harness.models.cache import models_dir
from harness.models.json_file import read_json_object
from harness.models.pull import is_pulled

ModelKind = Literal["alias", "folder", "hub"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_HUB_WEIGHTS = "*.safetensors"
_HUB_FILES = [_HUB_WEIGHTS, "*.json", "*.jinja", "tokenizer*", "*.model", "merges.txt", "vocab.*"]
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model that can be loaded: the name as given, its folder, the alias if it is one, and how it was found."""

    name: str
    path: Path
    alias: str | None
    kind: ModelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """One line of `harness models list`. `size` is in bytes, 0 where nothing is on disk."""

    name: str
    title: str
    pulled: bool
    path: Path
    size: int


def resolve_model(
    name: str, *, allow_pickle: bool = False, trust_remote_code: bool = False, weights: bool = True
) -> ResolvedModel:
    """Return the folder of an alias, a folder, or a hub id; a hub id is fetched, or taken from the hub's cache.

    Without `weights` those of a hub id are not fetched, and none are asked for: config and tokenizer are all there may be.
    Only safetensors count as weights unless `allow_pickle` (loading a pickle runs whatever its author put into it);
    Python files of a hub model are fetched only with `trust_remote_code`. Raises ModelError naming what is missing
    and what to do, MissingDependency for a hub id without huggingface_hub.
    """
    if name in ALIASES:
        folder = models_dir() / name
        if not is_pulled(ALIASES[name], folder):
            raise ModelError(
                f"the model {name!r} is not on this machine yet", remedy=f"Run: harness models pull {name}"
            )
        return ResolvedModel(name=name, path=folder, alias=name, kind="alias")
    path = _local_path(name)
    if path is not None and path.is_dir():
        if weights:
            check_model_folder(path, allow_pickle=allow_pickle)
        else:
            read_config(path)
        return ResolvedModel(name=name, path=path.absolute(), alias=None, kind="folder")
    if path is not None:
        raise ModelError("this is a file; a model is a folder", where=path, remedy=_file_remedy(path))
    looks_local = name.startswith((".", "/", "~", "\\")) or "\\" in name
    if looks_local or not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"no model {name!r}: there is no such folder, and it is no alias and no hub id (owner/name)",
            remedy=f"{nearest_hint(name, ALIASES)}`harness models list` shows the aliases.",
        )
    patterns = _HUB_FILES if weights else [pattern for pattern in _HUB_FILES if pattern != _HUB_WEIGHTS]
    patterns = patterns + ["*.bin"] * (allow_pickle and weights) + ["*.py"] * trust_remote_code
    folder = _from_hub(name, patterns)
    if weights:
        check_model_folder(folder, allow_pickle=allow_pickle)
    else:
        read_config(folder)
    return ResolvedModel(name=name, path=folder, alias=None, kind="hub")


def _local_path(name: str) -> Path | None:
    """Return the name as a path that exists, None where nothing can be there."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # longer than a name may be, ~ of an unknown user, a NUL
        return None


def list_models() -> list[ListedModel]:
    """Return every alias, pulled or not."""
    listed = []
    for alias, model in sorted(ALIASES.items()):
        folder = models_dir() / alias
        pulled = is_pulled(model, folder)
        size = sum(file.stat().st_size for file in folder.iterdir()) if pulled else 0
        listed.append(ListedModel(name=alias, title=model.title, pulled=pulled, path=folder, size=size))
    return listed


def check_model_folder(path: Path, *, allow_pickle: bool = False) -> None:
    """Raise ModelError unless the folder holds config.json and all of its weights as safetensors."""
    try:
        names = {file.name for file in path.iterdir()}
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=path) from None
    if "config.json" not in names:
        if "adapter_config.json" in names:
            raise ModelError(
                "this is an adapter, not a model",
                where=path,
                remedy="Give its base model with --model and this folder with --adapter.",
            )
        raise ModelError("no config.json here, so this is not a model folder", where=path)
    read_config(path)
    if any(name.endswith(".safetensors") and not name.startswith("adapter_model") for name in names):
        _check_shards(path, names)
        return
    pickles = sorted(name for name in names if name.endswith(_PICKLES) and name != "training_args.bin")
    if pickles and allow_pickle:
        return
    if pickles:
        raise ModelError(
            f"only pickled weights here ({pickles[0]}), and loading a pickle runs code",
            where=path,
            remedy="Convert them to safetensors (model.save_pretrained(folder)), or, where you trust their author, "
            "add --engine-option allow_pickle=true.",
        )
    ggufs = sorted(name for name in names if name.endswith(".gguf"))
    found = f" (only {ggufs[0]}, which must be converted first)" if ggufs else ""
    raise ModelError(f"a model folder without weights: no *.safetensors{found}", where=path)


def has_weights(path: Path) -> bool:
    """Return True if a model folder holds weights, in whatever form."""
    return any(file.name.endswith((".safetensors", *_PICKLES)) for file in path.iterdir())


def read_config(path: Path) -> dict[str, Any]:
    """Return a model folder's config.json. Raises ModelError."""
    return read_json_object(path / "config.json")


def declared_quantization(path: Path) -> str | None:
    """Return the quantisation that a model folder's config declares, None for plain weights. Raises ModelError."""
    declared = read_config(path).get("quantization_config")
    return str(declared.get("quant_method", "yes")) if isinstance(declared, dict) else None


def _check_shards(path: Path, names: set[str]) -> None:
    for index in sorted(name for name in names if name.endswith(".safetensors.index.json")):
        shards = read_json_object(path / index).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
            raise ModelError("not a weight index: it has no weight_map of file names", where=path / index)
        missing = sorted(set(shards.values()) - names)
        if missing:
            raise ModelError(
                f"{len(missing)} of {len(set(shards.values()))} weight files are missing, first {missing[0]}",
                where=path,
                remedy="Copy or fetch the folder again.",
            )


def _file_remedy(path: Path) -> str | None:
    if path.suffix == ".gguf":
        return "GGUF files are for other runtimes; give the folder of the original model (safetensors)."
    return f"Give the folder: {path.parent}" if path.suffix in (".safetensors", ".json") else None


def _from_hub(name: str, patterns: list[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingDependency(
            f"{name!r} looks like a hub id, and huggingface_hub is not installed",
            remedy='Install it: pip install "persona-harness[hf]"',
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (
        Exception
    ) as error:  # the hub client raises HTTP, connection, validation and file errors of many classes
        raise _hub_error(name, error) from error


def _hub_error(name: str, error: Exception) -> ModelError:
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return ModelError(
            f"{name!r} is a gated model", remedy="Accept its terms on the hub, then log in: hf auth login"
        )
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError"):
        return ModelError(
            f"the hub has no model {name!r}, or you may not see it",
            remedy="Check the name; a folder must exist where the command runs.",
        )
    return ModelError(
        f"{name!r} is no folder here, and fetching it from the hub failed: {first_line(error)}",
        remedy="Check the network (HTTPS_PROXY, HF_ENDPOINT, HF_HUB_OFFLINE), or give a folder.",
    )
