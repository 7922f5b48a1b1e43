"""The hub: asked once, for five seconds at most, and never when told not to."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from sidecar.errors import ModelFailed
from sidecar.scoring import hub
from sidecar.scoring.hub import HubSilent

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeApi:
    """HfApi with an answer that the test sets."""

    def __init__(self, answer: object) -> None:
        """Answer with a value, raise an exception, or call a function."""
        self.answer = answer
        self.asked: list[str] = []

    def model_info(self, name: str, *, timeout: float) -> object:
        """Note the question."""
        self.asked.append(name)
        assert timeout == hub.PROBE_SECONDS or timeout < 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


def info(*files: str) -> object:
    """Return what the hub says of a model."""
    return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in files])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Put a hub in place that has one good model."""
    fake = FakeApi(info("config.json", "model.safetensors"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_silence", None)
    return fake


def test_a_model_is_fetched_at_the_commit_that_the_hub_named(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No pickle and no other format is asked for."""
    asked: dict[str, object] = {}

    def snapshot_download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path / COMMIT)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert hub.download("some/model") == tmp_path / COMMIT
    assert (asked["name"], asked["revision"]) == ("some/model", COMMIT)
    assert not any(pattern.endswith((".bin", ".pt", "*")) for pattern in hub._WANTED if pattern != "1_Pooling/*")


def test_offline_by_order_asks_nobody(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE is respected."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubSilent, match="HF_HUB_OFFLINE"):
        hub.download("some/model")
    assert api.asked == []


def test_a_silent_hub_is_asked_once(api: FakeApi) -> None:
    """The second model fails at once."""
    api.answer = ConnectionError("no route")
    for _ in range(2):
        with pytest.raises(HubSilent, match="the hub did not answer"):
            hub.download("some/model")
    assert len(api.asked) == 1


def test_a_hub_that_hangs_is_left_behind(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever swallows the question, the answer is awaited for a bounded time only."""
    release = threading.Event()
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.02)
    api.answer = lambda: release.wait(10) and info("model.safetensors")
    with pytest.raises(HubSilent, match=r"no answer within 0\.02 s"):
        hub.download("some/model")
    release.set()


def test_an_unknown_model_is_not_a_silent_hub(api: FakeApi) -> None:
    """The hub is asked again for the next name."""
    api.answer = RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(ModelFailed, match="the hub gives no model 'some/model'") as caught:
            hub.download("some/model")
        assert not isinstance(caught.value, HubSilent)
    assert len(api.asked) == 2


def test_a_model_without_safetensors_is_refused_before_the_download(api: FakeApi) -> None:
    """Its files are known from the hub's answer."""
    api.answer = info("config.json", "pytorch_model.bin")
    with pytest.raises(ModelFailed, match="no weights in safetensors form"):
        hub.download("some/model")


def test_a_download_that_breaks_off_is_a_failure_in_words(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk full, connection lost: the error's type and words."""

    def snapshot_download(name: str, **options: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ModelFailed, match="some/model could not be downloaded: OSError: disk full"):
        hub.download("some/model")


def test_what_is_not_cached_is_none() -> None:
    """An empty cache, or a name that no repository can have."""
    assert hub.cached("some/model") is None
    assert hub.cached("a--b..c") is None
