"""A model is data: nothing that comes with one is run, and it reads no file but its own."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.errors import ModelFailed
from sidecar.scoring.models import load
from tests import tiny_models

Spoil = Callable[[Path], None]


class Bomb:
    """An object that, unpickled, leaves a mark."""

    def __init__(self, mark: Path) -> None:
        """Leave it there."""
        self.mark = mark

    def __reduce__(self) -> Any:
        """Run code when loaded."""
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model that can be loaded."""
    return tiny_models.bert(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoiled."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """The file that exists once code of a model has run."""
    path = tmp_path / "code-has-run"
    yield path
    assert not path.exists()


def changed(path: Path, **settings: Any) -> None:
    """Change settings of a JSON file."""
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**document, **settings}))


def code(folder: Path, mark: Path) -> None:
    """Put modules into a folder that leave a mark when they are imported."""
    for name in ("modeling", "configuration", "tokenization", "custom_st", "sitecustomize", "conftest"):
        (folder / f"{name}.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")


PICKLES: Final = ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "model.pkl")


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_are_refused_unread(folder: Path, mark: Path, name: str) -> None:
    """By their name, in words."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ModelFailed, match=f"no weights in safetensors form.*{name} is refused"):
        load(str(folder))


@pytest.mark.parametrize("name", [*PICKLES, "training_args.bin", "optimizer.pt"])
def test_pickles_beside_the_weights_are_not_read(folder: Path, mark: Path, name: str) -> None:
    """As a trainer leaves them there."""
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    assert load(str(folder)).facts.kind == "cross-encoder"


def test_a_pickle_that_calls_itself_safetensors_is_damaged(folder: Path, mark: Path) -> None:
    """The name decides how it is read: never as a pickle."""
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ModelFailed, match=r"cannot be read|cannot be loaded"):
        load(str(folder))


@pytest.mark.parametrize("make", [tiny_models.bert, tiny_models.distil_bert], ids=["our own code", "transformers"])
def test_a_pickle_among_shards_is_not_read(make: Callable[[Path], Path], tmp_path: Path, mark: Path) -> None:
    """An index of shards may name any file."""
    folder = make(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "shard.bin").write_bytes(pickle.dumps(Bomb(mark)))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "shard.bin"}}))
    with pytest.raises(ModelFailed):
        load(str(folder))


OWN_CODE: Final[dict[str, tuple[Spoil, str]]] = {
    "a model class": (
        lambda folder: changed(
            folder / "config.json", auto_map={"AutoModelForSequenceClassification": "modeling.Model"}
        ),
        "auto_map in config.json",
    ),
    "a model class of the hub": (
        lambda folder: changed(
            folder / "config.json", auto_map={"AutoConfig": "evil/repository--configuration.Config"}
        ),
        "auto_map in config.json",
    ),
    "a class deep inside": (
        lambda folder: changed(
            folder / "config.json", text_config={"auto_map": {"AutoConfig": "configuration.Config"}}
        ),
        "auto_map in config.json",
    ),
    "a pipeline": (
        lambda folder: changed(folder / "config.json", custom_pipelines={"rank": {"impl": "modeling.Pipeline"}}),
        "custom_pipelines in config.json",
    ),
    "an attention kernel of the hub": (
        lambda folder: changed(folder / "config.json", attn_implementation="evil/kernel"),
        "attn_implementation in config.json",
    ),
    "an attention kernel, set from inside": (
        lambda folder: changed(folder / "config.json", _attn_implementation="evil/kernel:forward"),
        "_attn_implementation in config.json",
    ),
    "a tokenizer": (
        lambda folder: changed(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization.T", None]}),
        "auto_map in tokenizer_config.json",
    ),
    "a module of sentence-transformers": (
        lambda folder: (folder / "modules.json").write_text(  # type: ignore[func-returns-value]
            json.dumps([{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}])
        ),
        "custom_st.Transformer in modules.json",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), OWN_CODE.values(), ids=OWN_CODE)
def test_a_model_with_code_of_its_own_is_refused(folder: Path, mark: Path, spoil: Spoil, words: str) -> None:
    """The words say where it is named."""
    code(folder, mark)
    spoil(folder)
    with pytest.raises(ModelFailed, match="brings its own code") as refused:
        load(str(folder))
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["trust_remote_code", "custom_code"])
def test_a_model_cannot_ask_to_be_trusted(folder: Path, mark: Path, name: str) -> None:
    """It may say so, and nothing is different."""
    code(folder, mark)
    changed(folder / "config.json", **{name: True})
    changed(folder / "tokenizer_config.json", **{name: True})
    changed(folder / "sentence_bert_config.json", model_args={name: True}, tokenizer_args={name: True})
    assert load(str(folder)).facts.kind == "cross-encoder"


def test_a_tokenizer_class_of_its_own_is_not_run(folder: Path, mark: Path) -> None:
    """Only its data is read; without them there is no tokenizer."""
    code(folder, mark)
    changed(folder / "tokenizer_config.json", tokenizer_class="tokenization.Tokenizer")
    assert load(str(folder)).facts.kind == "cross-encoder"
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFailed):
        load(str(folder))


OUTSIDE: Final = ("../outside", "/etc", "a/../../outside")


@pytest.mark.parametrize("path", OUTSIDE)
def test_weights_outside_of_the_folder_are_refused(folder: Path, path: str) -> None:
    """An index of shards may name any path."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "model.safetensors").rename(outside / "model.safetensors")
    index = {"weight_map": {"a": f"{path}/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFailed, match="names a file outside of its folder"):
        load(str(folder))


@pytest.mark.parametrize("path", OUTSIDE)
def test_modules_outside_of_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    """So may modules.json."""
    folder = tiny_models.bi_encoder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules[1:]:
        module["path"] = path
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelFailed, match="names a file outside of its folder"):
        load(str(folder))


def test_links_are_followed_where_the_hub_s_cache_has_them(whole: Path, tmp_path: Path) -> None:
    """Its snapshots are links to blobs."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in whole.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert load(str(snapshot)).facts.kind == "cross-encoder"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json"])
def test_a_link_to_a_secret_tells_nothing_of_it(folder: Path, tmp_path: Path, name: str) -> None:
    """It is no model's file, and the words about that do not quote it."""
    secret = tmp_path / "secret"
    secret.write_text("canary7f3a91 is the password\n")
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    with pytest.raises(ModelFailed) as refused:
        load(str(folder))
    assert "canary7f3a91" not in str(refused.value)


def test_a_folder_that_contains_itself_is_read_once(folder: Path) -> None:
    """A link back must not be followed for ever."""
    os.symlink(folder, folder / "again")
    assert load(str(folder)).facts.kind == "cross-encoder"
