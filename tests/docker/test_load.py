"""Tests of the loader of the compose file, on real engines."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sidecar import sample
from tests.docker.dockerfile import FOLDER, ROOT

SCRIPT = FOLDER / "load.py"


@pytest.fixture(scope="module")
def loader() -> Any:
    """The loader as a module; it belongs to no package."""
    spec = importlib.util.spec_from_file_location("load", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def corpus(path: Path, *documents: dict[str, Any]) -> Path:
    """Write documents as the sample corpus has them."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def test_the_command_of_the_compose_file_loads_the_sample_corpus(engine_url: str) -> None:
    """What the container runs, run here: it says how many documents are there, and they are."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), engine_url],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    expected = len(sample.documents_path().read_text(encoding="utf-8").splitlines())
    with urlopen(f"{engine_url}/{sample.INDEX}/_count") as answer:
        assert json.load(answer)["count"] == expected
    assert done.stdout.decode() == f"load: {sample.INDEX} at {engine_url} holds {expected} documents\n"


def test_loading_twice_leaves_the_same(loader: Any, engine_url: str, index_name: str, tmp_path: Path) -> None:
    """A second `docker compose up` finds the index there."""
    documents = corpus(tmp_path / "two", {"_id": "a", "title": "one"}, {"_id": "b", "title": "zwei, drei: ß"})
    counts = [loader.load(engine_url, index=index_name, documents=documents) for _ in range(2)]
    with urlopen(f"{engine_url}/{index_name}/_doc/b") as answer:
        assert json.load(answer)["_source"] == {"title": "zwei, drei: ß"}
    assert counts == [2, 2]


def test_a_refused_document_is_named(loader: Any, engine_url: str, index_name: str, tmp_path: Path) -> None:
    """The bulk answer is 200 even then, so its items are looked at."""
    documents = corpus(tmp_path / "two", {"_id": "good", "n": 1}, {"_id": "bad", "n": "no number"})
    with pytest.raises(loader.LoadError, match="'_id': 'bad'"):
        loader.load(engine_url, index=index_name, documents=documents)


def test_an_engine_that_never_answers_is_given_up(loader: Any, tmp_path: Path) -> None:
    """The wait is bounded, and the message says what was waited for."""
    with pytest.raises(loader.LoadError, match=r"http://127\.0\.0\.1:1 gave no answer for 0 s"):
        loader.load("http://127.0.0.1:1", index="any", documents=corpus(tmp_path / "none"), patience=0)


def test_an_engine_that_starts_late_is_waited_for(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again until it answers."""
    answers = iter([ConnectionRefusedError(), loader.LoadError("503"), None])

    def call(*_: object) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(loader, "_call", call)
    monkeypatch.setattr(loader, "PAUSE_SECONDS", 0)
    loader._await("http://engine", 60)
    assert list(answers) == []
