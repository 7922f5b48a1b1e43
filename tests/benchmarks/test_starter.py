"""The starter's recipe: what lists are made of, and that a model learns to order them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.starter import forward, material, packing, training
from benchmarks.starter.material import Listed, Pair
from sidecar.scoring import models, starter
from tests import tiny_models

WORDS = tiny_models.WORDS


class Stopped(Exception):
    """Somebody ended the program."""


def passage(number: int) -> str:
    """Return three sentences about a word."""
    topic, other = WORDS[number], WORDS[number + 1]
    return (
        f"The first sentence tells of {topic} in a few words. Then {other} comes in and does so at some length. "
        f"At last {topic} is named again for everybody."
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write pairs of two pages of a source each, and passages."""
    pairs = [
        {
            "query": f"what is {WORDS[number]}",
            "passage": passage(number),
            "kind": "title",
            "source": f"s{number // 2 % 2}",
        }
        | {"licence": "CC BY 4.0", "doc": f"page{number // 2}#{number}"}
        for number in range(20)
    ]
    others = [{"passage": passage(number), "source": "s0", "licence": "", "doc": "more"} for number in range(18, 30)]
    for name, rows in (("pairs-01", pairs), ("passages-01", others)):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path


def test_a_list_is_the_own_passage_and_hits_of_other_pages(folder: Path) -> None:
    """Each passage once; the same lists again with the same seed."""
    pairs, passages = material.read(folder)
    assert (20, 30) == (len(pairs), len(passages))
    pool = material.Pool(passages)
    found = list(material.lists(pairs, pool, 1))
    assert found == list(material.lists(pairs, pool, 1))
    assert 20 == len(found)
    page = {each.text: each.page for each in passages}
    for each, pair in zip(found, pairs, strict=True):
        assert material.WIDTH == len(each.passages)
        if each.kind == "pair":
            assert material.WIDTH == len(set(each.passages))
            own, *others = each.passages
            assert passages[pair.place].text == own
            assert page[own] not in {page[other] for other in others}


def test_a_sentence_that_asks_is_not_in_its_passage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood around it is."""
    monkeypatch.setattr(material, "SENTENCE_SHARE", 1.0)
    pairs, passages = material.read(folder)
    for each, pair in zip(material.lists(pairs, material.Pool(passages), 1), pairs, strict=True):
        assert "sentence" == each.kind
        assert each.query in passages[pair.place].text
        assert each.query not in each.passages[0]


def test_long_passages_have_a_neighbour_of_their_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either order."""
    monkeypatch.setattr(material, "SENTENCE_SHARE", 0.0)
    monkeypatch.setattr(material, "LONG_SHARE", 1.0)
    pairs, passages = material.read(folder)
    pool = material.Pool(passages)
    (first, *_) = material.lists(pairs, pool, 1)
    own = passages[pairs[0].place]
    beside = [passages[place].text for place in pool.pages[own.page] if passages[place] is not own]
    assert first.passages[0] in {f"{own.text} {beside[0]}", f"{beside[0]} {own.text}"}


def test_no_source_gives_more_than_its_share() -> None:
    """However many pairs it has."""
    pairs = [Pair(query="q", place=0, source="big", licence="")] * 90
    pairs += [Pair(query="q", place=0, source="small", licence="")] * 3
    chosen = material.choose(pairs, 50, 1)
    assert (6, 3) == (sum(each.source == "big" for each in chosen), sum(each.source == "small" for each in chosen))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """With scores."""
    lists = taught(3)
    material.save(tmp_path / "x.jsonl.gz", lists)
    assert lists == material.load(tmp_path / "x.jsonl.gz")


def test_the_target_is_the_teachers_but_for_the_own_passage() -> None:
    """Which gets a share of its own."""
    found = training.target(taught(1))[0]
    assert pytest.approx(1.0) == float(found.sum())
    assert found[0] > training.OWN
    assert found[1] > found[2]


def taught(count: int) -> list[Listed]:
    """Return lists whose teacher likes passages with one word."""
    good, width = WORDS[60], 4
    texts = [f"{WORDS[20 + place]} {good if place < 2 else WORDS[61]} {WORDS[30 + place]}" for place in range(width)]
    scores = (0.9, 0.8, 0.2, 0.1)
    return [
        Listed(query=WORDS[number], passages=tuple(texts), source="s", licence="", kind="pair", scores=scores)
        for number in range(count)
    ]


def trained(trunk: Path, work: Path, said: Callable[[str], None]) -> Any:
    """Return a model after twenty steps."""
    work.mkdir(exist_ok=True)
    model = training.new_model(trunk, 1)
    training.train(model, taught(12), work, steps=20, seed=1, said=said, dtype=torch.float32, every=5)
    return model.eval()


@pytest.fixture
def trunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tiny trunk, to be trained in small batches."""
    monkeypatch.setattr(training, "BATCH_TOKENS", 120)
    monkeypatch.setattr(training, "RATE", 5e-3)
    return tiny_models.bi_encoder(tmp_path / "trunk")


def test_the_forward_is_the_models_own(trunk: Path) -> None:
    """And so are its gradients, with rows of different length and changes that are not 0."""
    model = training.new_model(trunk, 1)
    parameters = training.trained(model)
    for name, parameter in parameters.items():
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter, std=0.1)
    rows = [([1, *range(5, 5 + size), 2], [0, 0] + [1] * size) for size in (3, 9, 4, 1, 6)]
    longest = max(len(ids) for ids, _ in rows)
    padded = {
        "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
        "token_type_ids": torch.tensor([types + [0] * (longest - len(types)) for _, types in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
    }
    found = []
    for logits in (model(**padded).logits, forward.logits(model, rows, "cpu", torch.float32)):
        weighted = (logits * torch.arange(1.0, 6.0)[:, None]).sum()
        found.append((logits.detach(), torch.autograd.grad(weighted, list(parameters.values()))))
    (own_logits, own), (logits, gradients) = found
    torch.testing.assert_close(logits, own_logits, rtol=1e-4, atol=1e-5)
    for name, one, other in zip(parameters, gradients, own, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)


def test_a_model_learns_and_what_is_shipped_scores_alike(
    trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss falls, and the served model orders a list as its teacher does."""
    lines: list[str] = []
    model = trained(trunk, tmp_path / "work", lines.append)
    first, last = (float(line.rpartition(" ")[2]) for line in (lines[0], lines[-1]))
    assert last < first
    packing.write(model, tmp_path / "changes.safetensors")
    monkeypatch.setattr(starter, "CHANGES", tmp_path / "changes.safetensors")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    served = models.load(str(starter.folder(trunk)), device="cpu", dtype="fp32")
    each = taught(1)[0]
    scores = served.forward(served.tokenize(each.query, each.passages))
    assert min(scores[:2]) > max(scores[2:])


def test_a_training_goes_on_where_it_was_stopped(trunk: Path, tmp_path: Path) -> None:
    """To the same model that it would have come to."""

    def until_the_tenth(line: str) -> None:
        if line.startswith("step 10"):
            raise Stopped

    whole = packing.changes(trained(trunk, tmp_path / "whole", lambda _: None))
    with pytest.raises(Stopped):
        trained(trunk, tmp_path / "parts", until_the_tenth)
    lines: list[str] = []
    parts = packing.changes(trained(trunk, tmp_path / "parts", lines.append))
    assert ["step 15", "step 20"] == [line.partition(":")[0] for line in lines]
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.allclose(tensor.float(), parts[name].float(), atol=1e-3), name
