"""How a model read a text: where it stopped, and which words answered which."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelFailed, RerankUnavailable, ScorerLost
from sidecar.rerank_api.reply import Reply
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring import models, wire
from sidecar.scoring.alignments import Aligner, Alignment, AlignsTexts, Match, align, explained, fragments
from sidecar.scoring.base import PairModel
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.scheduler import LocalScorer
from tests import tiny_models
from tests.scoring_server import Answer, answering
from tests.unit.doubles import ScriptedScorer

QUERY = " ".join(tiny_models.WORDS[:4])
SHORT, LONG = " ".join(tiny_models.WORDS[10:14]), " ".join(tiny_models.WORDS[:60])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a tiny bi-encoder, which reads 32 tokens."""
    return tiny_models.bi_encoder(tmp_path_factory.mktemp("bi"))


@pytest.fixture(scope="module")
def bi_encoder(folder: Path) -> PairModel:
    """Give a model that compares tokens."""
    return models.load(str(folder), device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> PairModel:
    """Give a model that reads query and text together in 64 tokens."""
    return models.load(str(tiny_models.bert(tmp_path_factory.mktemp("cross"))), device="cpu", dtype="fp32")


def aligned(model: PairModel, query: str, *texts: str) -> list[Alignment]:
    """Return how texts are read."""
    assert isinstance(model, AlignsTexts)
    return model.alignments(query, texts)


def words_of(found: Sequence[Alignment]) -> list[tuple[int, int, list[str]]]:
    """Return alignments without their cosines, whose last digits depend on what shares a batch."""
    return [(each.tokens, each.end, [match.word for match in each.matches or ()]) for each in found]


# --- how far ------------------------------------------------------------------------------------------------


def test_reading_stops_where_the_tokens_end(cross_encoder: PairModel) -> None:
    """At the last character of the last token that scoring sees; a text that fits is read to its end."""
    short, long = aligned(cross_encoder, QUERY, f" {SHORT} ", LONG)
    assert (len(SHORT) + 2, None) == (short.end, short.matches)
    (pair,) = cross_encoder.tokenize(QUERY, [LONG])
    assert len(pair.text_ids) == long.tokens
    (beginning,) = cross_encoder.tokenize(QUERY, [LONG[: long.end]])
    (more,) = cross_encoder.tokenize(QUERY, [LONG[: long.end - 1]])
    assert pair.text_ids == beginning.text_ids != more.text_ids


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_tokens_are_those_that_are_scored(cross_encoder: PairModel, words: int, seed: int) -> None:
    """For any text: as many, and the part that is read gives them all."""
    text = tiny_models.random_text(random.Random(seed), words)
    (found,) = aligned(cross_encoder, QUERY, text)
    (pair,) = cross_encoder.tokenize(QUERY, [text])
    assert len(pair.text_ids) == found.tokens
    assert pair.text_ids == cross_encoder.tokenize(QUERY, [text[: found.end]])[0].text_ids
    assert (found.end == len(text)) or found.tokens == 64 - 3 - len(pair.query_ids)


def test_an_empty_text_is_read(bi_encoder: PairModel, cross_encoder: PairModel) -> None:
    """To its end, which is its beginning."""
    assert [Alignment(tokens=0, end=0)] == aligned(cross_encoder, QUERY, "")
    assert [Alignment(tokens=0, end=0, matches=())] == aligned(bi_encoder, QUERY, "")
    assert [(), ()] == [found.matches for found in aligned(bi_encoder, "", SHORT, "")]


# --- what answered what -------------------------------------------------------------------------------------


def test_matches_are_those_that_maxsim_sums(folder: Path, bi_encoder: PairModel) -> None:
    """For every word of the query the best word of the text, by transformers' own states."""
    query, text = "京 都", "b 京 c 都 d"
    tokenizer = tiny_models.word_piece()
    plain = transformers.BertModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        asked, read = (
            torch.nn.functional.normalize(plain(torch.tensor([tokenizer.encode(each).ids])).last_hidden_state[0], dim=1)
            for each in (query, text)
        )
    cosines = asked[1:-1] @ read[1:-1].T
    (found,) = aligned(bi_encoder, query, text)
    assert found.matches is not None
    best = [(text.split()[int(row.argmax())], float(row.max())) for row in cosines]
    assert [word for word, _ in best] == [match.word for match in found.matches]
    assert [value for _, value in best] == pytest.approx([match.similarity for match in found.matches], abs=1e-4)
    assert query.split() == [match.query_word for match in found.matches]


def test_the_query_answers_itself(bi_encoder: PairModel) -> None:
    """Whole words, although tokens are pieces of them, each where it stands."""
    text = f"😀 naïve {tiny_models.WORDS[7]}zz"
    (found,) = aligned(bi_encoder, text, text)
    assert found.matches is not None
    assert text.split() == [match.query_word for match in found.matches] == [match.word for match in found.matches]
    assert all(text[match.start : match.end] == match.word for match in found.matches)
    assert [1.0, 1.0, 1.0] == pytest.approx([match.similarity for match in found.matches], abs=1e-4)


def test_prompts_of_the_model_are_not_of_the_text(tmp_path: Path) -> None:
    """Positions are those of the text as it was given, and a prompt answers nothing."""
    prompts = {"query": "ask: ", "document": "read: "}
    model = models.load(str(tiny_models.bi_encoder(tmp_path, prompts=prompts)), device="cpu", dtype="fp32")
    found = aligned(model, QUERY, SHORT, LONG)
    for text, each in zip((SHORT, LONG), found, strict=True):
        assert each.matches is not None
        assert {match.query_word for match in each.matches} <= set(QUERY.split())
        assert all(match.word == text[match.start : match.end] for match in each.matches)
        assert all(match.end <= each.end for match in each.matches)
    assert (len(SHORT), True) == (found[0].end, found[1].end < len(LONG))


# --- scorers ------------------------------------------------------------------------------------------------


class AligningScorer(ScriptedScorer):
    """A scorer that reads everything, or cannot be asked."""

    def __init__(self, error: Exception | None = None) -> None:
        """Raise `error` when asked."""
        super().__init__()
        self.error = error

    async def alignments(self, query: str, texts: Sequence[str]) -> list[Alignment]:
        """Return as many as texts."""
        if self.error is not None:
            raise self.error
        return [Alignment(tokens=1, end=len(text)) for text in texts]


async def test_a_scorer_that_does_not_say_is_not_asked() -> None:
    """And one that is lost costs the explanation only."""
    assert not isinstance(ScriptedScorer(), Aligner)
    assert None is await align(ScriptedScorer(), "q", ["a"])
    assert None is await align(AligningScorer(ScorerLost("gone")), "q", ["a"])
    assert None is await align(AligningScorer(), "q", [])
    assert [Alignment(tokens=1, end=2)] == await align(AligningScorer(), "q", ["ab"])


async def test_a_local_scorer_asks_its_model(bi_encoder: PairModel) -> None:
    """In the model's own thread; what the model raises is its failure."""
    scorer = LocalScorer.loading(lambda: bi_encoder)
    try:
        await scorer.loaded()
        texts = [*tiny_models.WORDS[:12], SHORT]
        asked = await scorer.alignments(QUERY, texts)
        assert words_of(aligned(bi_encoder, QUERY, *texts)) == words_of(asked)
        assert [] == await scorer.alignments(QUERY, [])
        with pytest.raises(ModelFailed):
            await scorer.alignments(QUERY, [1])  # type: ignore[list-item]
    finally:
        await scorer.aclose()


# --- on the wire --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.text(), st.floats(-1, 1)), max_size=4), st.booleans())
def test_alignments_travel(words: list[tuple[str, float]], says_matches: bool) -> None:
    """Whatever the words are."""
    matches = tuple(Match(word, word, 0, len(word), similarity) for word, similarity in words)
    given = [Alignment(tokens=3, end=9, matches=matches if says_matches else None)]
    assert given == wire.read_alignments(wire.write_alignments(given), 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"alignments": [{}]}', b'{"alignments": [{"tokens": 1, "end": 1, "matches": [[]]}]}']
)
def test_what_is_no_alignment_is_the_scorers_failure(body: bytes) -> None:
    """As is a wrong number of them."""
    with pytest.raises(ModelFailed):
        wire.read_alignments(body, 1)
    with pytest.raises(ModelFailed):
        wire.read_alignments(b'{"alignments": []}', 1)


async def asked(socket: Path, scorer: ScriptedScorer) -> object:
    """Return what a scorer says of two texts through our protocol, or the type of its failure."""
    protocol = ScoringProtocol(scorer)
    answers: dict[tuple[str, str], Answer] = {
        ("GET", wire.MODEL_PATH): protocol.model,
        ("POST", wire.ALIGN_PATH): protocol.align,
    }
    async with answering(answers, socket) as url:
        remote = RemoteScorer(url)
        try:
            await remote.loaded()
            return await remote.alignments("q", ["ab", "京"])
        except RerankUnavailable as error:
            return type(error)
        finally:
            await remote.aclose()


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        (AligningScorer(), [Alignment(tokens=1, end=2), Alignment(tokens=1, end=1)]),
        (AligningScorer(ScorerLost("gone")), ScorerLost),
        (ScriptedScorer(), ModelFailed),
    ],
    ids=["says it", "fails", "does not say"],
)
async def test_a_scorer_elsewhere_is_asked(
    tmp_path_factory: pytest.TempPathFactory, scorer: ScriptedScorer, expected: object
) -> None:
    """Over HTTP, with the failures of the other side."""
    assert expected == await asked(tmp_path_factory.mktemp("s") / "s", scorer)


async def test_a_call_that_makes_no_sense_is_400() -> None:
    """Like those of the other protocol calls."""
    assert 400 == (await ScoringProtocol(AligningScorer()).align(b"{}")).status


async def test_other_peoples_servers_do_not_say(tmp_path_factory: pytest.TempPathFactory) -> None:
    """They are not even asked."""
    socket = tmp_path_factory.mktemp("s") / "s"

    async def info(_: bytes) -> Reply:
        return Reply(status=200, body=b'{"model_id": "m", "model_type": {"reranker": {"id2label": {"0": "L"}}}}')

    async with answering({("GET", "/info"): info}, socket) as url:
        remote = RemoteScorer(f"tei+{url}")
        try:
            await remote.loaded()
            with pytest.raises(ScorerLost, match="does not say"):
                await remote.alignments("q", ["a"])
        finally:
            await remote.aclose()


# --- in an explanation --------------------------------------------------------------------------------------


def marked(text: str, *words: str) -> list[str]:
    """Return the fragments of a text in which these words matched."""
    return fragments(text, [Match("q", word, text.index(word), text.index(word) + len(word), 0.5) for word in words])


def test_a_highlight_is_shaped_like_the_engines() -> None:
    """A list of fragments by field; what did not match is not marked."""
    text = "the sky is blue"
    found = Alignment(tokens=4, end=15, matches=(Match("sky", "sky", 4, 7, 0.91234), Match("why", "sky", 4, 7, 0.5)))
    said: dict[str, Any] = explained(text, found)
    assert {"text": ["the <em>sky</em> is blue"]} == said["highlight"]
    assert {"query_word": "sky", "word": "sky", "start": 4, "end": 7, "similarity": 0.9123} == said["matches"][0]
    assert (4, 15) == (said["read_tokens"], said["read_characters"])
    assert {"read_tokens", "read_characters"} == set(explained(text, Alignment(tokens=4, end=15)))


def test_fragments_are_words_around_matches() -> None:
    """Matches near each other share a fragment; far ones have their own, cut between words."""
    text = f"{'far ' * 40}one two{' off' * 60} three{' end' * 40}"
    first, second = marked(text, "three", "one", "two")
    assert f"{'far ' * 15}<em>one</em> <em>two</em>{' off' * 15}" == first
    assert f"{'off ' * 15}<em>three</em>{' end' * 15}" == second


@given(st.text("ab 京\n", max_size=400), st.data())
def test_fragments_hold_every_match(text: str, data: st.DataObject) -> None:
    """And nothing but pieces of the text."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    found = fragments(text, [Match("q", text[start:end], start, end, 0.5) for start, end in spans])
    assert [text[start:end] for start, end in spans] == [
        piece.split("</em>")[0] for fragment in found for piece in fragment.split("<em>")[1:]
    ]
    assert all(fragment.replace("<em>", "").replace("</em>", "") in text for fragment in found)
