"""Which adapter goes into which base, and where to: every question about a merge that needs no weights."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ModelError, StorageError, UsageError
from harness.models.adapter import AdapterInfo, check_adapter, read_adapter_config
from harness.models.adapter_origin import AdapterOrigin, read_origin
from harness.models.fingerprint import model_fingerprint
from harness.models.resolve import ResolvedModel, read_config, resolve_model
from harness.models.safetensors_header import read_header
from harness.models.tokenizer import load_tokenizer
from harness.parse.choose import dialect_for_template, get_dialect
from harness.prompt.render import Renderer
from harness.run.origin_check import check_origin

MERGE_FILE = "harness_merge.json"
DTYPES = ("bfloat16", "float16", "float32")

_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
_STORED = {"BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePlan:
    """What will be merged, every cheap question answered.

    `tokenizer_from` is the folder whose tokenizer and chat template the merged model gets; `origin` is None for an
    adapter that does not say how it was made, and then its base is not proved to be the right one.
    """

    adapter: AdapterInfo
    base: ResolvedModel
    base_fingerprint: str
    origin: AdapterOrigin | None
    renderer: Renderer
    dialect: str
    tokenizer_from: Path
    out: Path
    dtype: str
    parameters: int
    stored_dtype: str


def plan_merge(adapter: Path, out: Path, *, base: str | None, dtype: str, replace: bool) -> MergePlan:
    """Return the plan of a merge.

    Raises ModelError for a base that is not the recorded one, is quantised or does not fit, UsageError if `out` is
    taken (`replace` gives way only to an earlier merge), StorageError if the disk has too little room.
    """
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}", remedy=f"One of: {', '.join(DTYPES)}.")
    read_adapter_config(adapter)
    _check_out(out, replace)
    origin = read_origin(adapter)
    model = resolve_model(base or _recorded_base(adapter, origin))
    quantised = read_config(model.path).get("quantization_config")
    if isinstance(quantised, dict):
        raise ModelError(
            f"this base is quantised ({quantised.get('quant_method', 'unknown method')}), and merging into rounded "
            "weights rounds twice",
            where=model.path,
            remedy="Give the unquantised base with --base: an adapter of QLoRA fits it too.",
        )
    info = check_adapter(adapter, model.path)
    fingerprint = model_fingerprint(model.path)
    renderer, dialect, tokenizer_from = _renderer(adapter, model, origin)
    parameters, stored = _weights(model.path)
    _check_room(out, parameters * _BYTES[dtype])
    return MergePlan(
        adapter=info,
        base=model,
        base_fingerprint=fingerprint,
        origin=origin,
        renderer=renderer,
        dialect=dialect,
        tokenizer_from=tokenizer_from,
        out=out,
        dtype=dtype,
        parameters=parameters,
        stored_dtype=stored,
    )


def _recorded_base(adapter: Path, origin: AdapterOrigin | None) -> str:
    name = origin.base if origin is not None else read_adapter_config(adapter).get("base_model_name_or_path")
    if not name:
        raise UsageError("the adapter does not name its base", where=adapter, remedy="Give it with --base.")
    return str(name)


def _check_out(out: Path, replace: bool) -> None:
    if not out.exists():
        return
    if out.samefile(Path.cwd()):
        raise UsageError(
            "this is the folder that you are in, and it is replaced as a whole",
            where=out,
            remedy="Name a folder within it with --out.",
        )
    if out.is_dir() and not any(out.iterdir()):
        return
    ours = (out / MERGE_FILE).is_file()
    if replace and ours:
        return
    remedy = "Name another folder, or replace it with --force." if ours else "Name another folder."
    what = "an earlier merge is there" if ours else "exists, and is no earlier merge, so it is not replaced"
    raise UsageError(what, where=out, remedy=remedy)


def _renderer(
    adapter: Path, model: ResolvedModel, origin: AdapterOrigin | None
) -> tuple[Renderer, str, Path]:
    """Return the renderer of the merged model, its dialect, and the folder its tokenizer comes from.

    An adapter with an origin was evaluated with the base's tokenizer and is checked against it; one without brings
    the tokenizer that it was trained with, where it brings any.
    """
    own = (adapter / "tokenizer_config.json").is_file() and (adapter / "tokenizer.json").is_file()
    source = adapter if origin is None and own else model.path
    tokenizer = load_tokenizer(source)
    rows = _embedding_rows(model.path)
    if rows is not None and len(tokenizer) > rows:
        raise ModelError(
            f"its tokenizer has {len(tokenizer)} tokens and the base's embedding {rows} rows",
            where=adapter,
            remedy="Tokens were added in training; give the base with the enlarged embedding by --base.",
        )
    template = tokenizer.chat_template
    name = origin.dialect if origin else dialect_for_template(template if isinstance(template, str) else None)
    renderer = Renderer(tokenizer, get_dialect(name))
    check_origin(adapter, model, renderer, name)
    return renderer, name, source


def _embedding_rows(model_path: Path) -> int | None:
    config = read_config(model_path)
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    rows = (text or {}).get("vocab_size")
    return rows if isinstance(rows, int) else None


def _weights(model_path: Path) -> tuple[int, str]:
    """Return how many parameters the base's files hold, and in which numbers."""
    tensors = [
        info
        for file in sorted(model_path.glob("*.safetensors"))
        if not file.name.startswith("adapter_model")
        for info in read_header(file).values()
    ]
    kinds = {info.dtype for info in tensors if info.dtype.startswith(("F", "BF"))}
    stored = _STORED.get(kinds.pop(), "float32") if len(kinds) == 1 else "float32"
    return sum(math.prod(info.shape) for info in tensors), stored


def _check_room(out: Path, needed: int) -> None:
    place = out.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise StorageError(
            f"the merged model takes about {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free",
            where=out,
        )
