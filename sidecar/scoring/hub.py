"""The Hugging Face hub: its local cache, and the hub itself where it answers.

Laws: the cache needs no network. A hub that stays silent is tried once per process, for five seconds in all, in a
thread that is left behind when a name server or a firewall swallows the question; `HF_HUB_OFFLINE` means not even
that. Of a model, only what loading it needs is fetched: configuration, tokenizer, safetensors.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from sidecar.errors import ModelFailed

PROBE_SECONDS: Final = 5.0

_WANTED: Final = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model", "1_Pooling/*")
_UNWANTED: Final = ("onnx/*", "openvino/*", "**/onnx/*", "**/openvino/*")

_silence: str | None = None


class HubSilent(ModelFailed):
    """The hub is not asked (any more): offline by order, or it did not answer."""


def cached(name: str) -> Path | None:
    """Return the snapshot of the model `name` in the local cache, or None. The folder's name is the commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))  # nosec B615  # nothing is downloaded
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def download(name: str) -> Path:
    """Fetch the model `name` into the local cache and return its snapshot. The folder's name is the commit.

    Raises:
        HubSilent: the hub does not answer, or must not be asked.
        ModelFailed: the hub answers that there is no such model, or the download broke off.
    """
    from huggingface_hub import snapshot_download

    commit = _ask_for_commit(name)
    try:
        return Path(
            snapshot_download(name, revision=commit, allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED))
        )
    except Exception as error:  # the client's errors have no common ancestor
        raise ModelFailed(f"{name} could not be downloaded: {type(error).__name__}: {error}") from error


def _ask_for_commit(name: str) -> str:
    """Return the newest commit of `name`: the probe."""
    global _silence
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubSilent("the hub is not asked (HF_HUB_OFFLINE)")
    if _silence is None:
        answer = _within(PROBE_SECONDS, name)
        if isinstance(answer, str):
            return answer
        if isinstance(answer, ModelFailed):
            raise answer
        _silence = f"the hub did not answer ({answer})"
    raise HubSilent(_silence)


def _within(seconds: float, name: str) -> str | Exception:
    """Return the commit, or what went wrong; after `seconds` the question is left to its fate."""
    answers: list[str | Exception] = []
    probe = threading.Thread(target=lambda: answers.append(_commit(name, seconds)), name="hub probe", daemon=True)
    probe.start()
    probe.join(seconds)
    return answers[0] if answers else TimeoutError(f"no answer within {seconds:g} s")


def _commit(name: str, seconds: float) -> str | Exception:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(name, timeout=seconds)
    except (RepositoryNotFoundError, GatedRepoError) as error:
        return ModelFailed(f"the hub gives no model {name!r}: {type(error).__name__}")
    except Exception as error:  # noqa: BLE001  # no answer is no answer, whichever library says so
        return error
    files = [file.rfilename for file in info.siblings or ()]
    if not any(file.endswith(".safetensors") for file in files):
        return ModelFailed(f"{name} has no weights in safetensors form, and other forms can run code when loaded")
    return info.sha or "main"
