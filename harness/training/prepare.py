"""Recipe -> rows: the data read, rendered, masked and counted, before any weight is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from harness.data.records import LocatedSample, iter_samples, load_tools
from harness.errors import RecordError, SpecError
from harness.fingerprint import sha256_of, sha256_of_file
from harness.models.resolve import ResolvedModel, resolve_model
from harness.models.stop_tokens import stop_token_ids
from harness.models.tokenizer import load_tokenizer
from harness.parse.choose import dialect_for_template
from harness.persona.card import load_card
from harness.persona.system_prompt import SystemPrompt, system_prompt_of
from harness.prompt.render import Renderer, TemplateRefusal
from harness.registry import Registry
from harness.spread import spread
from harness.training.data_file import DataFile, data_file
from harness.training.data_spec import DataSpec
from harness.training.import_data import ImportedData
from harness.training.recipe import Recipe, load_recipe
from harness.training.rows import TokenRow, token_rows, truncated
from harness.training.start_adapter import start_adapter
from harness.types import Sample
from harness.yaml_spec import place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A row that is not trained on, or not whole: which record, where it stands, and why.

    `tokens` is its length, 0 for a record that the chat template refuses.
    """

    sample_id: str
    where: str
    why: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """The records that one data entry of a recipe names, in file order, those that were dropped included.

    `lines` says where in `path` each stands; `whole` that the entry has no `limit`. Where a split has several sets, the
    ids of its records begin with `name` and a slash.
    """

    name: str
    path: Path
    sha256: str
    samples: tuple[Sample, ...]
    lines: tuple[int, ...]
    whole: bool
    imported: ImportedData | None = None
    """How the records were made, where the recipe names data of another format."""

    @property
    def located(self) -> Iterator[tuple[Sample, str]]:
        """Yield each record with its "file:line"."""
        for sample, line in zip(self.samples, self.lines, strict=True):
            yield sample, f"{self.path}:{line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """One split as rows: the records of `sets` became `rows`; `dropped` and `cut` say what is missing and why."""

    sets: tuple[RecordSet, ...]
    rows: tuple[TokenRow, ...]
    dropped: tuple[Dropped, ...]
    cut: tuple[Dropped, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return the records of all sets."""
        return tuple(sample for part in self.sets for sample in part.samples)

    @property
    def read(self) -> int:
        """Return the number of records."""
        return sum(len(part.samples) for part in self.sets)

    @property
    def sha256(self) -> str:
        """Return the hash of what was read: that of the only set, or of all in their order."""
        hashes = [part.sha256 for part in self.sets]
        return hashes[0] if len(hashes) == 1 else sha256_of(hashes)

    @property
    def tokens(self) -> int:
        """Return the number of tokens of all rows."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def supervised(self) -> int:
        """Return the number of tokens that bear loss."""
        return sum(row.supervised for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that training needs but the weights. `recipe_path` is absolute, so that a run can be gone on with from
    any folder."""

    recipe: Recipe
    recipe_path: Path
    model: ResolvedModel
    tokenizer: Any
    renderer: Renderer
    dialect: str
    stop_ids: frozenset[int]
    train: PreparedData
    validation: PreparedData | None
    start: Path | None = None
    """The adapter that training begins with."""

    @property
    def splits(self) -> dict[str, PreparedData]:
        """Return the splits that there are, by name."""
        splits = {"train": self.train, "validation": self.validation}
        return {name: data for name, data in splits.items() if data is not None}

    @property
    def base_name(self) -> str:
        """Return what the base is called from any folder: its alias or hub id, else the folder's absolute path."""
        return str(self.model.path.resolve()) if self.model.kind == "folder" else self.recipe.base


def prepare(recipe_path: Path, *, weights: bool = True) -> Prepared:
    """Return a recipe's rows. Without `weights` those of a base on the hub are not fetched: `with_weights` does that.

    Raises SpecError (recipe), ModelError (base), RecordError (file and line of a bad record, a file that holds no
    records, or a row above `max_length` where the recipe refuses such rows).
    """
    recipe = load_recipe(recipe_path)
    prompt = recipe_prompt(recipe, recipe_path)
    files = [
        [(data, _file_of(recipe_path, data, split, index)) for index, data in enumerate(entries)]
        for split, entries in (("train", recipe.train), ("validation", recipe.validation))
        if entries
    ]
    model = resolve_model(_base(recipe, recipe_path), weights=weights)
    tokenizer = load_tokenizer(model.path)
    if not tokenizer.chat_template:
        raise SpecError(
            f"the tokenizer of {recipe.base} has no chat template, so it is not known how a conversation is written",
            where=recipe_path,
            remedy="Use the instruct version of the model, or put a chat_template.jinja into its folder.",
        )
    template = tokenizer.chat_template
    dialect = recipe.dialect
    if dialect == "auto":
        dialect = dialect_for_template(template if isinstance(template, str) else None)
    renderer = Renderer(tokenizer, Registry("harness.dialects").get(dialect)())
    stop_ids = stop_token_ids(model.path, tokenizer)
    splits = [_split(recipe, entries, renderer, stop_ids, prompt) for entries in files]
    return Prepared(
        recipe=recipe,
        recipe_path=recipe_path.absolute(),
        model=model,
        tokenizer=tokenizer,
        renderer=renderer,
        dialect=dialect,
        stop_ids=stop_ids,
        train=splits[0],
        validation=splits[1] if len(splits) > 1 else None,
        start=start_adapter(recipe, recipe_path, model, renderer, dialect),
    )


def _file_of(recipe_path: Path, data: DataSpec, split: str, index: int) -> DataFile:
    """Return an entry's file. Raises SpecError with the entry's line in the recipe where that is what is wrong."""
    try:
        return data_file(recipe_path, data)
    except SpecError as error:
        if error.where != str(recipe_path):
            raise
        where = place_of(recipe_path, split, index)
        raise SpecError(error.what, where=where, remedy=error.remedy) from None
    except OSError as error:  # a name that the system refuses
        raise SpecError(
            f"{split}.path cannot be read: {error.strerror}", where=place_of(recipe_path, split, index)
        ) from None


def with_weights(prepared: Prepared) -> Prepared:
    """Return a recipe whose base has its weights on this machine. Raises ModelError if they cannot be fetched."""
    if prepared.model.kind != "hub":
        return prepared
    model = resolve_model(prepared.model.name)
    start_adapter(prepared.recipe, prepared.recipe_path, model, prepared.renderer, prepared.dialect)
    return replace(prepared, model=model)


def reasons(dropped: tuple[Dropped, ...]) -> dict[str, int]:
    """Return how many rows stand for each reason, the commonest first."""
    return dict(Counter(entry.why for entry in dropped).most_common())


def _base(recipe: Recipe, recipe_path: Path) -> str:
    """Return the base as resolve_model takes it: a relative folder is relative to the recipe."""
    beside = recipe_path.parent / recipe.base
    return str(beside) if beside.is_dir() else recipe.base


def recipe_prompt(recipe: Recipe, recipe_path: Path) -> SystemPrompt | None:
    """Return what stands before every conversation. Raises SpecError for a card that cannot be read."""
    if recipe.persona is None:
        return None
    card = load_card(recipe_path.parent / recipe.persona)
    return system_prompt_of(card, recipe.system_prompt)


def _split(
    recipe: Recipe,
    entries: Sequence[tuple[DataSpec, DataFile]],
    renderer: Renderer,
    stop_ids: frozenset[int],
    prompt: SystemPrompt | None,
) -> PreparedData:
    names = set_names([file.path for _, file in entries])
    sets, made = [], _RowsOf(recipe, renderer, stop_ids)
    for name, (data, file) in zip(names, entries, strict=True):
        part = _records(name if len(entries) > 1 else None, data, file, prompt)
        rows, dropped = len(made.rows), len(made.dropped)
        for sample, where in part.located:
            made.add(sample, where)
        if len(made.rows) == rows:
            raise _no_row(file.path, made.dropped[dropped:], among=len(entries))
        sets.append(part)
    return PreparedData(
        sets=tuple(sets), rows=tuple(made.rows), dropped=tuple(made.dropped), cut=tuple(made.cut)
    )


def set_names(paths: Sequence[Path]) -> list[str]:
    """Return what the sets of a split are called: folder and file (`tools/train`), a number behind what stands twice."""
    names: list[str] = []
    plain = [f"{path.parent.name}/{path.stem}" for path in paths]
    for name in plain:
        numbered = (f"{name}-{number}" for number in count(2))
        free = (one for one in numbered if one not in names and one not in plain)
        names.append(next(free) if name in names else name)
    return names


def _records(name: str | None, data: DataSpec, file: DataFile, prompt: SystemPrompt | None) -> RecordSet:
    """Return the records of one entry, under the recipe's system prompt; with a `name`, their ids begin with it."""
    path = file.path
    samples, lines = [], []
    for located in read_records(path, data.limit):
        sample = located.sample if prompt is None else prompt.before(located.sample)
        samples.append(sample if name is None else replace(sample, id=f"{name}/{sample.id}"))
        lines.append(located.line)
    tools = path.parent / "tools.json"
    told = [] if prompt is None or prompt.text is None else [prompt.text]
    return RecordSet(
        name=name or path.stem,
        path=path,
        sha256=sha256_of([sha256_of_file(path), sha256_of_file(tools) if tools.is_file() else "", *told]),
        samples=tuple(samples),
        lines=tuple(lines),
        whole=data.limit is None,
        imported=file.imported,
    )


class _RowsOf:
    """The rows that records become, as the recipe's `tokens` says."""

    def __init__(self, recipe: Recipe, renderer: Renderer, stop_ids: frozenset[int]) -> None:
        self._spec = recipe.tokens
        self._renderer = renderer
        self._stop_ids = stop_ids
        self.rows: list[TokenRow] = []
        self.dropped: list[Dropped] = []
        self.cut: list[Dropped] = []

    def add(self, sample: Sample, where: str) -> None:
        """Add a record's rows. Raises RecordError for a record of which none can be made, or a row too long to take."""
        spec = self._spec
        optional = spec.optional_arguments == "write"
        try:
            made = list(token_rows(sample, self._renderer, self._stop_ids, spec.loss_on, optional=optional))
        except TemplateRefusal as error:
            self.dropped.append(Dropped(sample_id=sample.id, where=where, why=error.what[:160], tokens=0))
            return
        except RecordError as error:
            raise RecordError(error.what, where=f"{where} ({sample.id})", remedy=error.remedy) from None
        for row in made:
            length = len(row.ids)
            if length <= spec.max_length:
                self.rows.append(row)
                continue
            over = Dropped(sample_id=sample.id, where=where, why="longer than max_length", tokens=length)
            if spec.too_long == "refuse":
                raise RecordError(
                    f"{length} tokens, and tokens.max_length is {spec.max_length}",
                    where=f"{where} ({sample.id})",
                    remedy=f"Set tokens.max_length to {length} or more, or tokens.too_long to drop or truncate.",
                )
            shorter = truncated(row, spec.max_length) if spec.too_long == "truncate" else None
            if shorter is None:
                self.dropped.append(over)
            else:
                self.rows.append(shorter)
                self.cut.append(over)


def _no_row(path: Path, dropped: Sequence[Dropped], among: int) -> SpecError:
    why = "; ".join(f"{count} {reason}" for reason, count in reasons(tuple(dropped)).items())
    return SpecError(
        ("no row is left to train on" if among == 1 else "no row of this data set is left")
        + (f" ({why})" if why else ": the file is empty"),
        where=path,
        remedy="Give a data set that holds records."
        if not dropped
        else "Raise tokens.max_length, or give another data set."
        if any(entry.tokens for entry in dropped)
        else "Give a data set that this base's chat template can write.",
    )


def read_records(path: Path, limit: int | None) -> Iterator[LocatedSample]:
    """Yield the records, or `limit` of them spread evenly over the file. Raises RecordError at the first bad one."""
    tools_path = path.parent / "tools.json"
    tools = load_tools(tools_path) if tools_path.is_file() else {}
    if limit is None:
        yield from iter_samples(path, tools)
        return
    yield from spread(list(iter_samples(path, tools)), limit)
