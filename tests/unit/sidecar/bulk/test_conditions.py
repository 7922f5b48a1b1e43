"""What a journal remembers of its job, and what it refuses."""

from pathlib import Path

import pytest

from sidecar.bulk import conditions
from sidecar.bulk.journal import Journal
from sidecar.bulk.request import BulkRequest
from sidecar.errors import ConfigError
from sidecar.evaluation import datasets
from sidecar.program.config import load
from sidecar.program.parts import Options
from tests.unit.doubles import ScriptedScorer


def asked(tmp_path: Path, **changed: object) -> conditions.Conditions:
    """Return the conditions of a job over the sample."""
    request = BulkRequest(outputs=(tmp_path / "run.trec",), dataset="sample", **changed)  # type: ignore[arg-type]
    return conditions.asked(Options(settings=load()), request, datasets.unjudged("sample").limited(request.limit))


def test_the_same_job_goes_on(tmp_path: Path) -> None:
    """And another one is told what is different."""
    with Journal(tmp_path / "j") as journal:
        conditions.agree(journal, conditions.ASKED, asked(tmp_path))
        conditions.agree(journal, conditions.ASKED, asked(tmp_path))
        with pytest.raises(ConfigError, match="another window: 100, now 7"):
            conditions.agree(journal, conditions.ASKED, asked(tmp_path, window=7))
        with pytest.raises(ConfigError, match="another queries"):
            conditions.agree(journal, conditions.ASKED, asked(tmp_path, limit=3))


def test_another_model_is_refused(tmp_path: Path) -> None:
    """Also another dtype of the same; the name of the machine's speed does not matter."""
    facts = ScriptedScorer().describe()
    with Journal(tmp_path / "j") as journal:
        conditions.agree(journal, conditions.SCORED, conditions.scored(facts, "settings"))
        assert facts.dtype == conditions.dtype_before(journal)
        with pytest.raises(ConfigError, match="another settings"):
            conditions.agree(journal, conditions.SCORED, conditions.scored(facts, "other"))
