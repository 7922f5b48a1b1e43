"""The scripts in examples/, run as their first lines say, and what they print."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise

import pytest

from sidecar import sample
from tests.program.processes import ANYWHERE, QUICK_END, REPOSITORY, UNHURRIED, Program, run, running, script

pytestmark = pytest.mark.weights

HIT = re.compile(r"^ *(\d+\.\d{4})  (.+)$")
SAMPLE_SIZE = len(sample.documents_path().read_text(encoding="utf-8").splitlines())


def printed(example: str, url: str) -> list[str]:
    """Return the lines that an example prints."""
    done = script(f"examples/{example}.py", url)
    assert (0, "") == (done.code, done.stderr)
    return done.stdout.splitlines()


def titles(lines: list[str]) -> list[str]:
    """Return the titles of printed hits; their scores fall."""
    found = [HIT.match(line) for line in lines]
    hits = [match.groups() for match in found if match]
    assert len(lines) == len(hits), lines
    scores = [float(score) for score, _ in hits]
    assert sorted(scores, reverse=True) == scores
    return [title for _, title in hits]


def bare_url(demo: Program) -> str:
    """Return where the demo serves its engine as it is."""
    return demo.said(r"^bare: +(\S+)$")[1]


def reranked_url(demo: Program) -> str:
    """Return where the demo serves it reranked."""
    return demo.said(r"^reranked: +(\S+)$")[1]


def is_as_elasticsearch_prints(lines: list[str]) -> None:
    """Check the two orders of `drop_in_elasticsearch.py`."""
    applied, off = lines[0], lines[6]
    assert re.fullmatch(r"X-Rerank: applied; candidates=15; window=15; model=offline", applied)
    assert "X-Rerank: skipped; reason=off" == off
    after, before = titles(lines[1:6]), titles(lines[7:])
    assert 5 == len(before) == len(after)
    assert before != after


def is_as_opensearch_prints(lines: list[str]) -> None:
    """Check the explained order of `drop_in_opensearch.py`: five hits, some of which have moved."""
    ranks = []
    for line in lines:
        match = re.fullmatch(r"1\.\d{4}  was ([ \d]\d)  \S.*", line)
        assert match, line
        ranks.append(int(match[1]))
    assert 5 == len(set(ranks))
    assert [1, 2, 3, 4, 5] != ranks
    assert max(ranks) <= 20


# --- in front of the demo -----------------------------------------------------------------------------------


def test_the_elasticsearch_client_at_the_demo(demo: Program) -> None:
    """The marker and the hits of a reranked search, and of the same one with `X-Rerank: off`."""
    is_as_elasticsearch_prints(printed("drop_in_elasticsearch", reranked_url(demo)))


def test_the_opensearch_client_at_the_demo(demo: Program) -> None:
    """Settings in the body, explanations in the hits."""
    is_as_opensearch_prints(printed("drop_in_opensearch", reranked_url(demo)))


def test_reranking_without_a_proxy(demo: Program) -> None:
    """The same search on the engine and on the engine that reranks."""
    lines = printed("connector_api", bare_url(demo))
    assert ("before", "after") == (lines[0], lines[4])
    before, after = titles(lines[1:4]), titles(lines[5:])
    assert 3 == len(before) == len(after)
    assert before != after


def test_a_scorer_of_ones_own(demo: Program) -> None:
    """The hits by the share of the query's words that they have."""
    lines = [re.fullmatch(r"(\d\.\d)  was +(\d+)  (.+)", line) for line in printed("own_scorer", bare_url(demo))]
    shares = [float(line[1]) for line in lines if line]
    assert 3 == len(shares)
    assert sorted(shares, reverse=True) == shares
    words = {"why", "is", "the", "sky", "blue"}
    for line in lines:
        assert line
        assert float(line[1]) >= round(len(words & set(line[3].lower().split())) / len(words), 1)


def is_as_a_reranker_prints(lines: list[str]) -> None:
    """Check the two orders of `reranker_elasticsearch.py`, and what follows them."""
    is_as_elasticsearch_prints(lines[:-1])
    assert f"{SAMPLE_SIZE} documents" == lines[-1]


def is_as_an_async_reranker_prints(lines: list[str]) -> None:
    """Check the explained orders of `reranker_opensearch.py`: three hits of each of two searches."""
    ranks = [re.fullmatch(r"1\.\d{4}  was ([ \d]\d)  \S.*", line) for line in lines]
    found = [int(match[1]) for match in ranks if match]
    assert 6 == len(lines) == len(found)
    assert [1, 2, 3, 1, 2, 3] != found
    assert max(found) <= 15


def test_elasticsearchs_own_client_at_the_demo(demo: Program) -> None:
    """With reranking in it, and no proxy."""
    is_as_a_reranker_prints(printed("reranker_elasticsearch", bare_url(demo)))


def test_opensearchs_own_client_at_the_demo(demo: Program) -> None:
    """With reranking in it, asynchronously."""
    is_as_an_async_reranker_prints(printed("reranker_opensearch", bare_url(demo)))


def scored(lines: list[str]) -> list[str]:
    """Return what follows the scores of printed documents; the scores are probabilities and fall."""
    found = [HIT.match(line) for line in lines]
    pairs = [(float(match[1]), match[2]) for match in found if match]
    assert len(lines) == len(pairs), lines
    assert all(1 >= better[0] >= worse[0] >= 0 for better, worse in pairwise(pairs))
    return [text for _, text in pairs]


def printed_by(package: str, example: str, *arguments: str) -> list[str]:
    """Return the lines of an example of a framework, or skip its test; a framework may warn as it likes."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: it is in the dependency group integrations")
    quiet = {"HAYSTACK_TELEMETRY_ENABLED": "False"}
    done = run((sys.executable, str(REPOSITORY / "examples" / f"{example}.py"), *arguments), quiet)
    assert 0 == done.code, done.stderr
    return done.stdout.splitlines()


def test_langchain_at_the_demo(demo: Program, scorer: str) -> None:
    """Three hits of a search, and two of three given documents."""
    lines = printed_by("langchain_core", "langchain_retriever", bare_url(demo), scorer)
    assert 3 == len(titles(lines[:3]))
    assert ["Paris", "Berlin"] == scored(lines[3:])


def test_llamaindex(scorer: str) -> None:
    """Two of three nodes, with the sentences that tell."""
    first, second = scored(printed_by("llama_index", "llamaindex_postprocessor", scorer))
    assert re.match(r"Paris: .*capital of France", first)
    assert second.startswith("Berlin: ")


def test_haystack(scorer: str) -> None:
    """Two of three documents."""
    assert ["Paris", "Berlin"] == scored(printed_by("haystack", "haystack_ranker", scorer))


# --- in front of the real engines ---------------------------------------------------------------------------


def load(engine_url: str) -> None:
    """Put the sample corpus into an engine, with the script that containers use."""
    loaded = script("docker/load.py", engine_url)
    assert f"load: {sample.INDEX} at {engine_url} holds {SAMPLE_SIZE} documents\n" == loaded.stdout


@contextmanager
def in_front_of(engine_url: str, scorer: str) -> Iterator[str]:
    """Put the sample corpus into an engine and give the URL of a sidecar."""
    load(engine_url)
    arguments = ("--engine", engine_url, "--listen", ANYWHERE, "--scorer", scorer)
    with running("serve", *arguments, **QUICK_END, **UNHURRIED) as program:
        program.said("scorer found")
        yield program.url


def test_the_elasticsearch_client(elasticsearch_url: str, scorer: str) -> None:
    """The official client and a real Elasticsearch, the sidecar between them."""
    with in_front_of(elasticsearch_url, scorer) as url:
        is_as_elasticsearch_prints(printed("drop_in_elasticsearch", url))


def test_the_opensearch_client(opensearch_url: str, scorer: str) -> None:
    """The official client and a real OpenSearch, the sidecar between them."""
    with in_front_of(opensearch_url, scorer) as url:
        is_as_opensearch_prints(printed("drop_in_opensearch", url))


def test_elasticsearchs_own_client(elasticsearch_url: str) -> None:
    """Reranking on a real Elasticsearch, and nothing between."""
    load(elasticsearch_url)
    is_as_a_reranker_prints(printed("reranker_elasticsearch", elasticsearch_url))


def test_opensearchs_own_client(opensearch_url: str) -> None:
    """Reranking on a real OpenSearch, and nothing between."""
    load(opensearch_url)
    is_as_an_async_reranker_prints(printed("reranker_opensearch", opensearch_url))
