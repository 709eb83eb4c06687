"""What would be published, what the card says, and that no secret leaves: not the token, and none from the files."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

hub = pytest.importorskip("huggingface_hub")

from harness.training.publish_files import (  # noqa: E402
    PublishFile,
    find_secrets,
    publish_files,
    without_local_paths,
)
from tests.unit.publishable import LOCAL, REPO, TOKEN, make_adapter, make_run  # noqa: E402


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "adapter")


def card_of(out: str) -> Any:
    return hub.ModelCard(out.split("--- README.md\n", 1)[1])


def test_a_dry_run_shows_every_file_and_touches_no_network(in_process, adapter: Path):
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run")
    assert done.exit_code == 0, done.err
    for name in (
        "adapter_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ):
        data = (adapter / name).read_bytes()
        assert f"  {hashlib.sha256(data).hexdigest()}  {len(data):>12,}  {name}" in done.out
    shown = {line.split()[-1] for line in done.out.split("left behind")[0].splitlines()[1:]}
    assert shown == {
        *("README.md", "adapter_model.safetensors", "adapter_config.json", "harness_adapter.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
    assert (
        "left behind: .env, optimizer.pt, rng_state.pth, scheduler.pt, trainer_state.json, training_args.bin"
        in done.out
    )
    assert "the card has no numbers" in done.err
    assert TOKEN not in done.out + done.err


def test_the_card_holds_the_numbers_of_the_run(in_process, adapter: Path, tmp_path: Path):
    run = make_run(in_process, tmp_path / "reports", adapter)
    base = make_run(in_process, tmp_path / "reports", None, {"silence": 1.0})
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--run", run, "--run", base)
    assert done.exit_code == 0, done.err
    card = card_of(done.out)
    data = card.data
    assert (data.library_name, data.license, data.language) == ("peft", "apache-2.0", ["en", "ko"])
    assert data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    said = {one["metric"]: one for one in summary["aggregates"] if one["group"] == "all"}
    published = {result.metric_type: result for result in data.eval_results}
    assert {"tool_name_accuracy", "hallucination_rate", "over_refusal"} <= set(published)
    for metric, result in published.items():
        assert result.metric_value == round(said[metric]["value"], 4)
        assert result.metric_args["n"] == said[metric]["n"]
        assert (result.dataset_type, result.dataset_split) == ("smoke", "test")
    _, front, _ = done.out.split("--- README.md\n", 1)[1].split("---\n", 2)
    (index,) = yaml.safe_load(front)["model-index"]
    assert index["name"] == REPO.rpartition("/")[2]
    measured = {one["type"]: one["value"] for result in index["results"] for one in result["metrics"]}
    assert measured == {metric: result.metric_value for metric, result in published.items()}
    # The base was planted to call nothing, the adapter is right.
    (row,) = [line for line in card.text.splitlines() if line.startswith("| Tool names exact (")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert (cells[1], cells[4], cells[5][:6]) == ("1.000", "0.000", "+1.000")
    assert "Eight samples show that the pieces fit together" in card.text
    assert "harness train recipe.yaml" in card.text
    assert "c" * 64 in card.text
    assert "d" * 64 in card.text


def test_an_adapter_is_written_into_a_folder(in_process, adapter: Path, tmp_path: Path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    weights = adapter / "adapter_model.safetensors"
    torch.manual_seed(1)
    save_file({name: torch.randn_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    shipped = tmp_path / "shipped"
    done = in_process("publish", adapter, "--to", shipped, "--dtype", "bfloat16", "--no-tokenizer")
    assert done.exit_code == 0, done.err
    assert {file.name for file in shipped.iterdir()} == {
        *("README.md", "adapter_model.safetensors", "adapter_config.json", "harness_adapter.json")
    }
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, shipped))
    assert {name: tensor.to(torch.bfloat16).tolist() for name, tensor in before.items()} == {
        name: tensor.tolist() for name, tensor in after.items()
    }
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert LOCAL not in (shipped / "adapter_config.json").read_text(encoding="utf-8")
    # Once it was measured, its card is written anew, and nothing else.
    stood = {file.name: file.stat().st_mtime_ns for file in shipped.iterdir()}
    run = make_run(in_process, tmp_path / "reports", shipped)
    done = in_process("publish", shipped, "--to", shipped, "--run", run)
    assert done.exit_code == 0, done.err
    changed = {file.name for file in shipped.iterdir() if file.stat().st_mtime_ns != stood.get(file.name)}
    assert changed == {"README.md"}
    assert "tool_name_accuracy" in (shipped / "README.md").read_text(encoding="utf-8")


def test_another_adapter_in_the_folder_gives_way_only_when_told(in_process, adapter: Path, tmp_path: Path):
    there = tmp_path / "there"
    there.mkdir()
    for name in ("adapter_config.json", "tokenizer_config.json"):
        (there / name).write_text("{}", encoding="utf-8")
    (there / "adapter_model.safetensors").write_bytes(b"another")
    before = {file.name: file.read_bytes() for file in there.iterdir()}
    done = in_process("publish", adapter, "--to", there, "--no-tokenizer")
    assert done.exit_code == 4
    assert "holds another adapter" in done.err
    assert {file.name: file.read_bytes() for file in there.iterdir()} == before

    done = in_process("publish", adapter, "--to", there, "--no-tokenizer", "--yes")
    assert done.exit_code == 0, done.err
    weights = "adapter_model.safetensors"
    assert (there / weights).read_bytes() == (adapter / weights).read_bytes()
    assert not (there / "tokenizer_config.json").exists(), "the other adapter's tokenizer goes with it"


def test_a_folder_with_something_else_is_left_alone(in_process, adapter: Path, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    done = in_process("publish", adapter, "--to", tmp_path)
    assert done.exit_code == 4
    assert "thesis.txt" in done.err or "adapter" in done.err
    assert not (tmp_path / "README.md").exists()
    for both in ([], ["--repo", REPO, "--to", tmp_path / "x"]):
        done = in_process("publish", adapter, *both)
        assert done.exit_code == 4
        assert "either --repo OWNER/NAME or --to FOLDER" in done.err


def test_no_path_of_this_machine_is_published(in_process, adapter: Path, tmp_path: Path):
    run = make_run(in_process, tmp_path / "reports", adapter)
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--run", run)
    files = {file.name: file for file in publish_files(adapter, "card", "the/base")}
    assert json.loads(files["adapter_config.json"].data or b"")["base_model_name_or_path"] == "the/base"
    assert json.loads(files["harness_adapter.json"].data or b"")["recipe"]["base"] == "base"
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == LOCAL
    card = done.out.split("--- README.md\n", 1)[1]
    assert "/home/kim" not in card
    assert str(tmp_path) not in card


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/kim/models/base", "base"),
        ("~/models/base/", "base"),
        (r"C:\Users\kim\base", "base"),
        ("owner/name", "owner/name"),
        ("structural/train.jsonl", "structural/train.jsonl"),
        ("../datasets/structural", "../datasets/structural"),
        ("and/or, a /slash in text", "and/or, a /slash in text"),
        ("<|im_start|>user\n/a/b", "<|im_start|>user\n/a/b"),
    ],
)
def test_which_strings_are_local_paths(text: str, kept: str):
    assert without_local_paths({"a": [text, 1, None]}) == {"a": [kept, 1, None]}


def test_local_paths_of_one_list_stay_apart():
    sets = [{"path": f"/home/kim/{name}/x/"} for name in ("a", "b")] + [{"path": r"C:\data\y"}]
    assert without_local_paths({"train": sets, "base": "/home/kim/x"}) == {
        "train": [{"path": "a/x"}, {"path": "b/x"}, {"path": "y"}],
        "base": "x",
    }
    assert without_local_paths(["/a/b", "/a/b", "/c/a/b"]) == ["/a/b", "/a/b", "c/a/b"]


def test_the_card_names_each_of_several_data_sets(in_process, adapter: Path):
    path = adapter / "harness_adapter.json"
    origin = json.loads(path.read_text(encoding="utf-8"))
    sets = [{"file": f"{name}/train.jsonl", "sha256": name * 64, "records": 24} for name in "ef"]
    origin["data"]["train"] |= {"file": "e/train.jsonl, f/train.jsonl", "sets": sets}
    path.write_text(json.dumps(origin), encoding="utf-8")
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run")
    assert done.exit_code == 0, done.err
    assert f"| data: train | 2 data sets, 480 rows, sha256 {'d' * 64} |" in done.out
    assert f"| data: train, of it | f/train.jsonl, 24 records, sha256 {'f' * 64} |" in done.out


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"adapter_fingerprint": "another"}, "measured another adapter"),
        ({"model_fingerprint": "another"}, "measured another base"),
    ],
)
def test_numbers_of_something_else_are_refused(
    in_process, adapter: Path, tmp_path: Path, engine: Any, says: str
):
    run = make_run(in_process, tmp_path / "reports", adapter, **engine)
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--run", run)
    assert done.exit_code == 4
    assert says in done.err
    # A sweep holds runs of many adapters: those of others are passed over.
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--sweep", tmp_path / "reports")
    assert done.exit_code == 0
    assert "has no numbers" in done.err


def test_an_incomplete_run_is_refused(in_process, adapter: Path, tmp_path: Path):
    run = make_run(in_process, tmp_path / "reports", adapter)
    header = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(header | {"status": "interrupted"}), encoding="utf-8")
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--run", run)
    assert done.exit_code == 4
    assert "INCOMPLETE" in done.err


def test_a_sweep_gives_its_runs_and_its_sentence(in_process, adapter: Path, tmp_path: Path):
    swept = tmp_path / "trained" / "sweep"
    make_run(in_process, swept, adapter)
    make_run(in_process, swept, None, {"silence": 1.0})
    (swept / "sweep.json").write_text(
        json.dumps({"chosen": "adapter", "sentence": "Chosen of 3."}), encoding="utf-8"
    )
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run", "--sweep", tmp_path / "trained")
    assert done.exit_code == 0, done.err
    assert "Chosen of 3." in done.out
    assert "difference, paired" in done.out


SECRETS = {
    "hugging face": TOKEN[:-4] + "zzzz",
    "openai": "sk-proj-Ab1" + "x" * 30,
    "aws": "AKIA" + "ABCDEFGH12345678",
    "github": "ghp_" + "a1" * 18,
    "key": "-----BEGIN RSA PRIVATE KEY-----",
    "address": "https://kim:hunter22@example.org/",
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("name", ["chat_template.jinja", "harness_adapter.json", "tokenizer_config.json"])
def test_a_secret_in_a_file_stops_the_upload(in_process, adapter: Path, kind: str, name: str):
    file = adapter / name
    if name.endswith(".json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        record.setdefault("recipe", {})["note"] = SECRETS[kind]
        file.write_text(json.dumps(record, indent=1), encoding="utf-8")
    else:
        file.write_text(f"line one\n{{# {SECRETS[kind]} #}}", encoding="utf-8")
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run")
    assert done.exit_code == 4
    assert f"{name}:" in done.err
    assert "nothing is uploaded" in done.err
    assert SECRETS[kind] not in done.out + done.err


def test_the_environments_own_secrets_are_looked_for(adapter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    (adapter / "tokenizer_config.json").write_text(
        '{"a": "0123456789abcdef0123456789abcdef01234567"}', encoding="utf-8"
    )
    (found,) = find_secrets(publish_files(adapter, "card", None))
    assert (found.file, found.line) == ("tokenizer_config.json", 1)


def test_a_secret_on_the_seam_of_two_pieces_and_in_weights(tmp_path: Path):
    header = json.dumps({"__metadata__": {"note": TOKEN}}).encode()
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(struct.pack("<Q", len(header)) + header)
    seam = tmp_path / "tokenizer.json"
    seam.write_bytes(b"\n" * ((1 << 20) - 10) + TOKEN.encode() + b"\n" * (1 << 20))
    files = [PublishFile(name=path.name, size=1, sha256="", path=path) for path in (weights, seam)]
    found = {(one.file, one.line) for one in find_secrets(files) if one.kind.startswith("an access token")}
    assert found == {("adapter_model.safetensors", 1), ("tokenizer.json", (1 << 20) - 9)}


@pytest.mark.parametrize(
    "text",
    [
        "hf_hub_download",
        "risk-free-and-well-known-words-2",
        "sk-learn",
        "https://example.org:8080/a@b",
        "AKIAhello",
    ],
)
def test_what_is_no_secret(text: str, adapter: Path):
    (adapter / "chat_template.jinja").write_text(text, encoding="utf-8")
    assert find_secrets(publish_files(adapter, "card", None)) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("ADAPTER", "--repo", TOKEN),
        (TOKEN, "--repo", REPO),
        ("ADAPTER", "--repo", REPO, "--token", TOKEN),
        ("ADAPTER", "--repo", REPO, f"--token={TOKEN}"),
        ("ADAPTER", "--repo", REPO, "--base-model", TOKEN),
    ],
)
def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    in_process, adapter: Path, arguments: tuple[str, ...]
):
    done = in_process("publish", *(str(adapter) if part == "ADAPTER" else part for part in arguments))
    assert done.exit_code == 4
    assert TOKEN not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--repo", "no-owner"), "names no owner"),
        (("--repo", "a/b/c"), "--repo"),
        (("--repo", "a--b/c"), "--repo"),
        (("--repo", REPO, "--base-model", "x"), "no name on a hub"),
        (("--repo", REPO), "--yes"),
        (("--repo", REPO, "--run", "nowhere"), "not a run folder"),
        (("--repo", REPO, "--sweep", "nowhere"), "holds no run folders"),
    ],
)
def test_bad_input(in_process, adapter: Path, arguments: tuple[str, ...], says: str):
    done = in_process("publish", adapter, *arguments)
    assert done.exit_code == 4
    assert says in done.err


def test_without_a_token(in_process, adapter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    done = in_process("publish", adapter, "--repo", REPO, "--yes")
    assert done.exit_code == 4
    assert "hf auth login" in done.err


def test_hostile_text_in_a_card(in_process, tmp_path: Path):
    evil = "x | y <script>alert(1)</script> `tick` [a](b)\n# Title\x1b[2J\u202e ```\n---\nlicense: mit"
    adapter = make_adapter(tmp_path / "adapter")
    origin = json.loads((adapter / "harness_adapter.json").read_text(encoding="utf-8"))
    origin |= {"base": evil, "dialect": evil, "recipe": {"name": evil}, "versions": {evil: evil}}
    (adapter / "harness_adapter.json").write_text(json.dumps(origin), encoding="utf-8")
    done = in_process("publish", adapter, "--repo", REPO, "--dry-run")
    assert done.exit_code == 0, done.err
    assert not set("\x1b\u202e").intersection(done.out + done.err)
    card = card_of(done.out)
    assert card.data.license is None
    outside = [line for line in card.text.split("````")[0].splitlines() if "script" in line]
    assert outside
    assert all("<script>" not in line for line in outside)
    assert card.text.count("\n# ") == 1 or card.text.count("\n# ") == card.text.count("\n# Title") + 1
