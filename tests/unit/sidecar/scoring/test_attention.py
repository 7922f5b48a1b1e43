"""Attention in rectangles: every token sees its own text, all of it, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring import attention
from sidecar.scoring.attention import Rectangles, attend, attend_first, attend_once
from sidecar.scoring.packing import room

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")
HEADS, WIDTH = 2, 4
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def rectangles(lengths: list[int], *, is_one: bool = False) -> Rectangles:
    """Cut texts as on a CPU, or into one rectangle as elsewhere."""
    if not is_one:
        return Rectangles.of(lengths, device=CPU, dtype=torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "STEP", max(lengths))
        return Rectangles.of(lengths, device=CPU, dtype=torch.float32)


def random(*shape: int) -> torch.Tensor:
    """Return numbers that depend on the shape alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("is_one", [False, True])
@given(lengths=LENGTHS)
def test_attention_is_that_of_each_text_alone(is_one: bool, lengths: list[int]) -> None:
    """Whatever the lengths and their order."""
    x = random(sum(lengths), 3 * HEADS * WIDTH)
    parts = rectangles(lengths, is_one=is_one)
    ours = attend(parts.fill(x), HEADS, parts)
    expected = []
    for text in torch.split(x, lengths):
        q, k, v = text.view(len(text), 3, HEADS, WIDTH).permute(1, 2, 0, 3)
        weights = (q @ k.transpose(1, 2) / WIDTH**0.5).softmax(-1)
        expected.append((weights @ v).transpose(0, 1).reshape(len(text), -1))
    assert torch.allclose(ours[: sum(lengths)], torch.cat(expected), atol=1e-5)
    assert not ours[sum(lengths) :].any()


@pytest.mark.parametrize("is_one", [False, True])
@given(lengths=LENGTHS)
def test_one_query_per_text_weighs_its_states(is_one: bool, lengths: list[int]) -> None:
    """The softmax is over the text alone."""
    states, queries = random(sum(lengths), 6), random(room(len(lengths)), HEADS, 6)
    parts = rectangles(lengths, is_one=is_one)
    ours = attend_once(queries, parts.fill(states), parts)
    expected = [
        (query @ text.T).softmax(-1) @ text
        for query, text in zip(queries[: len(lengths)], torch.split(states, lengths), strict=True)
    ]
    assert torch.allclose(ours[: len(lengths)], torch.stack(expected), atol=1e-5)


@given(lengths=LENGTHS, distance=st.integers(1, 20))
def test_local_attention_sees_the_neighbourhood(lengths: list[int], distance: int) -> None:
    """Tokens further away are as if they were not there; so for the first token alone."""
    x = random(sum(lengths), 3 * HEADS * WIDTH)
    parts = rectangles(lengths).within(distance)
    rows = parts.fill(x)
    ours = attend(rows, HEADS, parts)
    firsts = torch.stack([text[0] for text in torch.split(x, lengths)])
    first = attend_first(firsts[:, : HEADS * WIDTH], rows[:, HEADS * WIDTH :], HEADS, parts)
    expected = []
    for text in torch.split(x, lengths):
        q, k, v = text.view(len(text), 3, HEADS, WIDTH).permute(1, 2, 0, 3)
        places = torch.arange(len(text))
        is_far = (places[:, None] - places).abs() > distance
        products = (q @ k.transpose(1, 2) / WIDTH**0.5).masked_fill(is_far, -torch.inf)
        expected.append((products.softmax(-1) @ v).transpose(0, 1).reshape(len(text), -1))
    assert torch.allclose(ours[: sum(lengths)], torch.cat(expected), atol=1e-5)
    assert torch.allclose(first, torch.stack([text[0] for text in expected]), atol=1e-5)
    assert not ours.isnan().any()


def test_texts_that_fill_their_rectangle_are_not_copied() -> None:
    """As when all are cut to the model's length."""
    whole = rectangles([32, 32, 48])
    assert whole.gather is None
    assert all(part.mask is None for part in whole.parts)
    x = random(112, 2)  # there are rooms of 112
    assert whole.fill(x) is x


def test_like_lengths_share_a_rectangle() -> None:
    """Rounded up to sixteen."""
    parts = rectangles([1, 16, 17, 30, 32, 33]).parts
    assert [(part.length, part.texts.stop - part.texts.start) for part in parts] == [(16, 2), (32, 3), (48, 1)]


def test_elsewhere_there_is_one_rectangle() -> None:
    """One launch instead of several."""
    one = Rectangles.of([1, 5, 40], device=ELSEWHERE, dtype=torch.float16)
    assert [part.length for part in one.parts] == [40]
    assert one.parts[0].mask is not None
    assert one.parts[0].mask.dtype is torch.float16
