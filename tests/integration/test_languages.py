"""Searches in another language than the model's, on real engines: the engine's own bytes, or another model."""

from sidecar.policy import Policy
from sidecar.types import RerankOptions
from tests.integration.books import put_documents
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import same_but_time, send

RUSSIAN = ["чай " * (5 - n) + "и вода " * n for n in range(4)]


async def test_another_language_is_the_engine_s(engine_url: str, library: str, index_name: str) -> None:
    """Its words before the engine is asked, its texts after; either way the caller's own answer."""
    put_documents(engine_url, index_name, [{"body": text} for text in RUSSIAN])
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, deadline=0.0, languages=("en",)) as url:
        for index, text in ((library, "зелёный чай"), (index_name, "чай tea green")):
            body = {"query": {"match": {"body": text}}}
            direct = await send(engine_url, "POST", f"/{index}/_search", body=body)
            ours = await send(url, "POST", f"/{index}/_search", body=body)
            assert "skipped; reason=language" == ours.marker
            assert same_but_time(direct) == same_but_time(ours)
        english = await send(url, "POST", f"/{library}/_search", body={"query": {"match": {"body": "tea"}}})
    assert ("applied", {"tea"}) == (english.outcome, set(scorer.queries))


async def test_a_policy_may_know_who_reads_it(engine_url: str, index_name: str) -> None:
    """The default model is not asked."""
    put_documents(engine_url, index_name, [{"body": text} for text in RUSSIAN])
    options = RerankOptions(deadline=0.0, languages=("en",), language_models={"ru": "russian"})
    english, russian = ShortestFirst(), ShortestFirst()
    policy, models = Policy(defaults=options), {"russian": russian}
    async with proxied(engine_url, english, policy=policy, models=models) as url:
        body = {"query": {"match": {"body": "чай и вода"}}}
        answer = await send(url, "POST", f"/{index_name}/_search", body=body)
    lengths = [len(hit["_source"]["body"]) for hit in answer.hits]
    assert ("applied", sorted(lengths)) == (answer.outcome, lengths)
    assert ([], len(lengths)) == (english.texts, len(russian.texts))
