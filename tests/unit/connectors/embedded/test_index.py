"""One index: what a write changes for the searches after it, and searches while there are writes."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.embedded import index as index_module
from connectors.embedded.index import Index
from connectors.embedded.text_index import TextIndex
from tests.unit.connectors.embedded.asking import Asker

TEA = {"match": {"title": "tea"}}
DOCUMENTS = [{"title": "tea"}, {"title": "tea and water"}, {"title": "a river of water and stones"}]


async def _fresh(documents: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """Return the scores in an index that never saw anything else."""
    engine = Asker()
    await engine.put(dict(documents))
    return await engine.scores(TEA)


async def test_a_write_can_be_searched_at_once(engine: Asker) -> None:
    """No refresh is needed, for additions, updates and deletes."""
    await engine.put(DOCUMENTS)
    assert ["1", "2"] == await engine.ids(TEA)
    await engine.put({"4": {"title": "more tea"}})
    assert {"1", "2", "4"} == set(await engine.ids(TEA))
    await engine.put({"1": {"title": "coffee"}})
    assert {"2", "4"} == set(await engine.ids(TEA))
    await engine.json("DELETE", "/books/_doc/4")
    assert ["2"] == await engine.ids(TEA)


async def test_an_addition_changes_the_statistics(engine: Asker) -> None:
    """The index that grew between searches scores as one that was filled at once."""
    before: dict[str, float] = {}
    for number in range(1, 4):
        await engine.put({str(number): DOCUMENTS[number - 1]})
        scores = await engine.scores(TEA)
        assert scores != before
        before = scores
    expected = await _fresh([("1", DOCUMENTS[0]), ("2", DOCUMENTS[1]), ("3", DOCUMENTS[2])])
    assert pytest.approx(expected) == before


async def test_an_update_changes_the_statistics(engine: Asker) -> None:
    """The old text counts no more; the new one stands at the end."""
    await engine.put(DOCUMENTS)
    before = await engine.scores(TEA)
    await engine.put({"1": {"title": "tea tea tea"}})
    after = await engine.scores(TEA)
    assert before != after
    assert (
        pytest.approx(await _fresh([("2", DOCUMENTS[1]), ("3", DOCUMENTS[2]), ("1", {"title": "tea tea tea"})]))
        == after
    )
    assert ["2", "3", "1"] == await engine.ids({"match_all": {}})


async def test_a_delete_changes_the_statistics(engine: Asker) -> None:
    """What is gone makes no word more frequent."""
    await engine.put(DOCUMENTS)
    before = await engine.scores(TEA)
    await engine.json("DELETE", "/books/_doc/3")
    after = await engine.scores(TEA)
    assert before != after
    assert pytest.approx(await _fresh([("1", DOCUMENTS[0]), ("2", DOCUMENTS[1])])) == after


async def test_keyword_statistics_follow_the_documents(engine: Asker) -> None:
    """A value is the rarer the more documents have another one."""
    await engine.put([{"tag.keyword": "x"}])
    await engine.json("PUT", "/tags", {"mappings": {"properties": {"tag": {"type": "keyword"}}}})
    await engine.put([{"tag": "red"}], index="tags")
    one = await engine.scores({"term": {"tag": "red"}}, index="tags")
    await engine.put({"2": {"tag": ["blue", "green"]}}, index="tags")
    assert one["1"] < (await engine.scores({"term": {"tag": "red"}}, index="tags"))["1"]


async def test_fields_have_their_own_statistics(engine: Asker) -> None:
    """Documents without a field do not count in it."""
    await engine.put([{"title": "tea"}, {"title": "tea water"}])
    before = await engine.scores(TEA)
    await engine.put({str(n): {"body": "something else"} for n in range(3, 9)})
    assert pytest.approx(before) == await engine.scores(TEA)


async def test_a_reader_does_not_change() -> None:
    """What a search has begun to read stays as it is while writes go on."""
    index = Index("books")
    index.put("1", b'{"title":"tea"}')
    reader = await index.reader()
    index.put("2", b'{"title":"tea"}')
    index.delete("1")
    assert ["1"] == [document.id for document in reader.documents]
    text = reader.text("title")
    assert text is not None
    assert [0] == list(text.words(["tea"], 1))
    assert ["2"] == [document.id for document in (await index.reader()).documents]


async def test_a_reader_is_made_once_for_many_searches() -> None:
    """Searches that come together wait for the same inverted index, and get the same view."""
    index = Index("books")
    index.put("1", b'{"title":"tea"}')
    readers = await asyncio.gather(*(index.reader() for _ in range(10)))
    assert 1 == len({id(reader) for reader in readers})


async def test_searches_and_writes_at_the_same_time(engine: Asker) -> None:
    """Every search sees a whole number of writes: those before it began, and perhaps some later ones, in order."""
    done = 0

    async def write() -> None:
        nonlocal done
        for number in range(60):
            await engine.put({str(number): {"title": "tea", "n": number}})
            done = number + 1
            await asyncio.sleep(0)

    async def search() -> None:
        while done < 60:
            before = done
            ids = await engine.ids(TEA)
            assert before <= len(ids) <= 60
            assert [str(number) for number in range(len(ids))] == ids

    await asyncio.gather(write(), search(), search(), search())
    assert 60 == len(await engine.ids(TEA))


async def test_writes_go_on_while_an_index_is_inverted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop is free while a thread inverts; what is written meanwhile belongs to the next view."""
    inverting, go_on = threading.Event(), threading.Event()
    add = TextIndex.add

    def slow(self: TextIndex, documents: Any) -> None:
        inverting.set()
        assert go_on.wait(timeout=30)
        add(self, documents)

    monkeypatch.setattr(index_module.TextIndex, "add", slow)
    index = Index("books")
    index.put("1", b'{"title":"tea"}')
    reading = asyncio.ensure_future(index.reader())
    await asyncio.to_thread(inverting.wait, 30)
    index.put("2", b'{"title":"tea"}')
    go_on.set()
    assert ["1"] == [document.id for document in (await reading).documents]
    assert ["1", "2"] == [document.id for document in (await index.reader()).documents]


async def test_a_search_that_gave_up_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller who leaves while the index is inverted leaves a usable index behind."""
    inverting, go_on = threading.Event(), threading.Event()
    add = TextIndex.add

    def slow(self: TextIndex, documents: Any) -> None:
        inverting.set()
        assert go_on.wait(timeout=30)
        add(self, documents)

    monkeypatch.setattr(index_module.TextIndex, "add", slow)
    index = Index("books")
    index.put("1", b'{"title":"tea"}')
    reading = asyncio.ensure_future(index.reader())
    await asyncio.to_thread(inverting.wait, 30)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    index.put("2", b'{"title":"tea"}')
    go_on.set()
    text = (await index.reader()).text("title")
    assert text is not None
    assert [0, 1] == sorted(text.words(["tea"], 1))


async def test_a_failure_half_way_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the next search inverts everything anew."""
    index = Index("books")
    index.put("1", b'{"title":"tea","body":"water"}')

    def fail(*_: object) -> None:
        raise OSError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(index_module.TextIndex, "add", fail)
        with pytest.raises(OSError, match="no memory"):
            await index.reader()
    reader = await index.reader()
    assert {"title", "body"} == {path for path in ("title", "body") if reader.text(path) is not None}
