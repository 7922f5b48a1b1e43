"""Documents as passages: what is split, what is joined, what HTML says."""

import pytest

from sidecar.passages import MAX_PASSAGES, Document, documents, join, texts, to_split, without_html
from sidecar.types import Candidate, RerankOptions

SPLIT = RerankOptions(passage_tokens=3)


def candidate(text: str, *passages: str, title: str = "", rank: int = 1) -> Candidate:
    """Return a candidate."""
    return Candidate(rank=rank, score=1.0, text=text, title=title, passages=passages)


def test_documents_are_one_text_each_by_default() -> None:
    """Which the model cuts at its length."""
    found = documents([candidate("a b c"), candidate("d")], [], RerankOptions())
    assert ["a b c", "d"] == texts(found)
    assert [] == to_split([candidate("a b c")], RerankOptions())


def test_long_texts_are_cut_at_their_spans() -> None:
    """In order, those of one document together."""
    candidates = [candidate("one two three"), candidate("four")]
    assert ["one two three", "four"] == to_split(candidates, SPLIT)
    found = documents(candidates, [[(0, 7), (4, 13)], [(0, 4)]], SPLIT)
    assert ["one two", "two three", "four"] == texts(found)


def test_a_title_stands_in_front_of_every_passage_when_asked() -> None:
    """And is not split itself."""
    options = RerankOptions(passage_tokens=3, passage_title=True)
    candidates = [candidate("Tea one two three", title="Tea"), candidate("no title")]
    assert ["one two three", "no title"] == to_split(candidates, options)
    found = documents(candidates, [[(0, 7), (4, 13)], [(0, 8)]], options)
    assert ["Tea one two", "Tea two three", "no title"] == texts(found)


def test_what_the_engine_found_is_not_split() -> None:
    """Highlight fragments and inner hits are passages already."""
    options = RerankOptions(text_from="highlight", passage_tokens=3)
    candidates = [candidate("all of it", "first", "second"), candidate("none found")]
    assert [] == to_split(candidates, options)
    assert ["first", "second", "none found"] == texts(documents(candidates, [], options))


def test_very_long_texts_are_read_in_part() -> None:
    """A book must not cost what a window costs."""
    spans = [(n, n + 1) for n in range(MAX_PASSAGES + 10)]
    (found,) = documents([candidate("x" * (MAX_PASSAGES + 10))], [spans], SPLIT)
    assert len(found.passages) == MAX_PASSAGES


TWO = [Document(candidate("a"), ("a1", "a2", "a3")), Document(candidate("b", rank=2), ("b1",))]


@pytest.mark.parametrize(("top", "expected"), [(1, 5.0), (2, 4.0), (3, 3.0), (10, 3.0)])
def test_a_documents_score_is_the_mean_of_its_best_passages(top: int, expected: float) -> None:
    """Of the best one by default."""
    first, second = join(TWO, [1.0, 5.0, 3.0, 2.0], RerankOptions(passage_top=top))
    assert (expected, "a2") == (first.score, first.best_passage)
    assert (2.0, "b1") == (second.score, second.best_passage)


@pytest.mark.parametrize(("scores", "count"), [([], 0), ([1.0, 2.0], 0), ([1.0, 2.0, 3.0], 1), ([1.0] * 4, 2)])
def test_only_whole_documents_count(scores: list[float], count: int) -> None:
    """The deadline may have come between two passages."""
    assert len(join(TWO, scores, RerankOptions())) == count


HTML = {
    "tags": ("<p>Green <b>tea</b></p><p>is hot</p>", "Green tea is hot"),
    "entities": ("&eacute;clair &amp; tea &lt;hot&gt; &#8364;", "éclair & tea <hot> €"),
    "scripts and styles": ("<style>p {x}</style>tea<script>let a = '<p>';</script> pot", "tea pot"),
    "breaks": ("one<br>two<li>three</li>", "one two three"),
    "comments": ("tea<!-- no --> pot", "tea pot"),
    "broken": ("<p>tea <b>pot", "tea pot"),
    "no HTML": ("a  b", "a  b"),
    "less than": ("1 < 2 & 3", "1 < 2 & 3"),
}


@pytest.mark.parametrize(("text", "expected"), HTML.values(), ids=HTML)
def test_html_is_read_as_a_browser_shows_it(text: str, expected: str) -> None:
    """White space is folded where there was markup."""
    assert expected == without_html(text)


@pytest.mark.parametrize("piece", ["<a ", "<!-- ", "<![ x", "<![CDATA[", "</a ", "<a b='", "&#", "<script>"])
def test_html_that_never_ends_is_read_at_once(piece: str) -> None:
    """Trying it anew from every character would take minutes; what stands before it is read."""
    assert without_html("<b>before</b>" + piece * 100_000).startswith("before")
