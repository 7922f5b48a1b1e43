"""The training: a BERT cross-encoder with one output learns to order lists.

    target = (1 - OWN) * softmax(SHARPNESS * teacher's scores) + OWN * (the query's own passage)
    loss   = cross entropy of softmax(logits of the list) against the target

What is trained: low-rank changes of the matrices of every layer (LoRA, Hu et al. 2021, arXiv:2106.09685), written as
part of the weights, so that a step costs what a step of the whole model costs; biases, norms and segment embeddings;
pooler and classifier. The vocabulary stays.

Laws: the same lists and seed give the same model within rounding; a training that goes on from a checkpoint does what
it would have done. Nothing but lists is read: no judged set.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from benchmarks.starter import forward
from benchmarks.starter.material import Listed

RANK: Final = 64
SHARPNESS: Final = 20.0
OWN: Final = 0.2

RATE: Final = 4e-4
HEAD_RATE: Final = 2e-4
WARMUP: Final = 0.05
DECAY: Final = 0.4
"""Shares of the steps in which the learning rate rises, and in which it falls to 0."""

BATCH_TOKENS: Final = 4096
LENGTHS: Final = {"pair": 128, "sentence": 128, "long": 256}
"""Tokens of a query and a passage, by kind of list; longer passages are cut."""

_WINDOW: Final = 64
"""Lists among which those of one length are put together."""

Batch = list[int]


def new_model(trunk: Path, seed: int) -> Any:
    """Return a cross-encoder on the trunk in a folder: a random classifier, and the changes to be learnt."""
    torch.manual_seed(seed)
    model = transformers.BertForSequenceClassification.from_pretrained(
        trunk,
        num_labels=1,
        dtype=torch.float32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    for name, parameter in model.named_parameters():
        is_matrix_of_layer = name.startswith("bert.encoder.") and parameter.dim() == 2
        is_vocabulary = "word_embeddings" in name or "position_embeddings" in name
        parameter.requires_grad_(not is_matrix_of_layer and not is_vocabulary)
    for layer in model.bert.encoder.modules():
        if isinstance(layer, nn.Linear):
            parametrize.register_parametrization(layer, "weight", forward.LowRank(layer.weight, RANK))
    return model


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return what is trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def batches(lengths: Sequence[int], width: int, steps: int, seed: int) -> Iterator[Batch]:
    """Yield that many batches of lists, each of about BATCH_TOKENS tokens: lists of like length, in random order."""
    done = 0
    for epoch in range(steps):
        rng = random.Random(f"{seed}:{epoch}")
        order = rng.sample(range(len(lengths)), len(lengths))
        ready: list[Batch] = []
        for begin in range(0, len(order), _WINDOW):
            window = sorted(order[begin : begin + _WINDOW], key=lambda place: lengths[place])
            ready += _filled(window, lengths, width)
        rng.shuffle(ready)
        for batch in ready:
            if done == steps:
                return
            done += 1
            yield batch


def train(
    model: Any,
    lists: Sequence[Listed],
    work: Path,
    *,
    steps: int,
    seed: int,
    said: Callable[[str], None],
    device: str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    every: int = 100,
) -> None:
    """Train for that many steps, or go on from the checkpoint in `work`; the last checkpoint is the trained model."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.config.name_or_path)
    encoded = [_encoded(tokenizer, each) for each in lists]
    lengths = [max(map(len, (ids for ids, _ in texts))) for texts in encoded]
    model.to(device).train()
    parameters = trained(model)
    optimizer = _optimizer(parameters)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
    begun = _restore(work, parameters, optimizer, schedule)
    losses: list[float] = []
    for step, batch in enumerate(batches(lengths, len(lists[0].passages), steps, seed), start=1):
        if step <= begun:
            continue
        rows = [row for place in batch for row in encoded[place]]
        logits = forward.logits(model, rows, device, dtype)
        losses.append(_step(logits, [lists[place] for place in batch], parameters, optimizer))
        schedule.step()
        if step % every == 0 or step == steps:
            _save(work, step, parameters, optimizer, schedule)
            said(f"step {step}: loss {sum(losses) / len(losses):.4f}")
            losses.clear()


def target(lists: Sequence[Listed], device: str | torch.device = "cpu") -> torch.Tensor:
    """Return what the softmax of each list's logits should be. (lists, passages)"""
    scores = torch.tensor([each.scores for each in lists], device=device)  # (lists, passages)
    own = functional.one_hot(torch.zeros(len(lists), dtype=torch.long, device=device), scores.shape[1])
    return (1 - OWN) * (SHARPNESS * scores).softmax(1) + OWN * own


def _step(logits: torch.Tensor, lists: Sequence[Listed], parameters: dict[str, nn.Parameter], optimizer: Any) -> float:
    loss = functional.cross_entropy(logits.view(len(lists), -1), target(lists, logits.device))
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters.values(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _encoded(tokenizer: Any, each: Listed) -> list[forward.Row]:
    """Return ids and segments of every passage behind the query."""
    found = tokenizer(
        [each.query] * len(each.passages),
        list(each.passages),
        truncation="only_second",
        max_length=LENGTHS[each.kind],
        return_token_type_ids=True,
    )
    return list(zip(found["input_ids"], found["token_type_ids"], strict=True))


def _filled(window: Sequence[int], lengths: Sequence[int], width: int) -> list[Batch]:
    found: list[Batch] = []
    for place in window:  # from short to long
        if not found or (len(found[-1]) + 1) * width * lengths[place] > BATCH_TOKENS:
            found.append([])
        found[-1].append(place)
    return found


def _optimizer(parameters: dict[str, nn.Parameter]) -> torch.optim.AdamW:
    changes = [parameter for name, parameter in parameters.items() if ".parametrizations." in name]
    rest = [parameter for name, parameter in parameters.items() if ".parametrizations." not in name]
    groups = [{"params": changes, "lr": RATE}, {"params": rest, "lr": HEAD_RATE}]
    return torch.optim.AdamW(groups, weight_decay=0.01, foreach=True)


def _share(step: int, steps: int) -> float:
    """Return the share of the learning rate: it rises, stays, and falls to 0."""
    rising = (step + 1) / max(1, round(WARMUP * steps))
    falling = (steps - step) / max(1, round(DECAY * steps))
    return max(0.0, min(1.0, rising, falling))


def _save(work: Path, step: int, parameters: dict[str, nn.Parameter], optimizer: Any, schedule: Any) -> None:
    state = {
        "step": step,
        "trained": {name: parameter.detach() for name, parameter in parameters.items()},
        "optimizer": optimizer.state_dict(),
        "schedule": {"last_epoch": schedule.last_epoch, "_step_count": schedule._step_count},
    }
    begun = work / "checkpoint.begun"
    torch.save(state, begun)
    begun.rename(work / "checkpoint.pt")


def _restore(work: Path, parameters: dict[str, nn.Parameter], optimizer: Any, schedule: Any) -> int:
    """Return the step of the checkpoint in `work`, which is taken up; 0 where there is none."""
    path = work / "checkpoint.pt"
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state["trained"][name])
    optimizer.load_state_dict(state["optimizer"])
    schedule.__dict__.update(state["schedule"])
    return int(state["step"])
