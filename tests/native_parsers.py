"""How the engines' own rerankers call a server and read its answer: their documented rules, no less strict.

The plugins that do this cannot run in these tests: Elasticsearch's needs a licence, and ml-commons and neural-search
are in no public Maven repository. Each function here takes the settings that an engine would be given, makes
the call that the engine would make, and refuses what the engine would refuse.

Sources: elastic/elasticsearch-specification `specification/inference/_types/CommonTypes.ts` (CustomServiceSettings,
HuggingFaceServiceSettings); opensearch-project/ml-commons `MLPreProcessFunction`, `MLPostProcessFunction`.
"""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

ITEM_KEYS = frozenset({"index", "score", "relevance_score", "text"})
"""What an item of a `hugging_face` answer may have; more is an error."""


@dataclass(frozen=True)
class Call:
    """What an engine sends."""

    url: str
    headers: dict[str, str]
    body: str


Send = Callable[[Call], Awaitable[tuple[int, Any]]]
"""Sends a call; gives status and parsed body."""


class Refused(Exception):
    """The engine would fail the search, with these words."""


async def inference_custom(settings: dict[str, Any], query: str, texts: Sequence[str], send: Send) -> list[float]:
    """Return the scores that `_inference` with the service `custom` would give, in the order of the texts."""
    assert {"secret_parameters", "url", "request", "response"} <= settings.keys() <= {
        "secret_parameters", "url", "headers", "request", "response", "query_parameters",
    }  # fmt: skip
    values = {"query": json.dumps(query), "input": json.dumps(list(texts))}
    secrets = settings["secret_parameters"]
    headers = {name: _filled(value, secrets) for name, value in settings["headers"].items()}
    body = _filled(settings["request"], {**secrets, **values})
    json.loads(body)
    status, answer = await send(Call(settings["url"], headers, body))
    paths = settings["response"]["json_parser"]
    if status >= 300:
        message = _at(answer, settings["response"]["error_parser"]["path"])
        assert isinstance(message, str)
        raise Refused(message)
    scores = _at(answer, paths["relevance_score"])
    places = _at(answer, paths["reranked_index"])
    return _placed(places, scores, len(texts))


async def inference_hugging_face(settings: dict[str, Any], query: str, texts: Sequence[str], send: Send) -> list[float]:
    """Return the scores that `_inference` with the service `hugging_face` would give, in the order of the texts."""
    assert {"api_key", "url"} == settings.keys()
    headers = {"Authorization": f"Bearer {settings['api_key']}", "Content-Type": "application/json"}
    body = json.dumps({"texts": list(texts), "query": query, "return_text": False, "top_n": len(texts)})
    status, answer = await send(Call(settings["url"], headers, body))
    if status >= 300:
        assert isinstance(answer["error"], str)
        raise Refused(answer["error"])
    assert isinstance(answer, list)
    for item in answer:
        assert item.keys() <= ITEM_KEYS
    return _placed([item["index"] for item in answer], [item["score"] for item in answer], len(texts))


async def ml_commons(connector: dict[str, Any], query: str, texts: Sequence[str], send: Send) -> list[float]:
    """Return the scores that an ml-commons connector would give, in the order of the texts."""
    (action,) = connector["actions"]
    assert "connector.pre_process.cohere.rerank" == action["pre_process_function"]
    assert "connector.post_process.cohere.rerank" == action["post_process_function"]
    parameters = {
        **connector["parameters"],
        "query": json.dumps(query)[1:-1],  # the template has the quotes
        "documents": json.dumps(list(texts)),
        "top_n": str(len(texts)),
    }
    body = _filled(action["request_body"], {f"parameters.{name}": value for name, value in parameters.items()})
    json.loads(body)
    credential = {f"credential.{name}": value for name, value in connector["credential"].items()}
    headers = {name: _filled(value, credential) for name, value in action["headers"].items()}
    status, answer = await send(Call(action["url"], {**headers, "Content-Type": "application/json"}, body))
    if status >= 300:
        raise Refused(json.dumps(answer))
    found: list[float | None] = [None] * len(answer["results"])
    for item in answer["results"]:
        score, place = item["relevance_score"], item["index"]
        assert isinstance(score, float), "cast to Double: an integer is an error there"
        assert isinstance(place, int)
        found[place] = score
    scores = [score for score in found if score is not None]
    assert len(scores) == len(texts)
    return scores


def _placed(places: Sequence[int], scores: Sequence[float], count: int) -> list[float]:
    """Return scores in the order of the texts; every text must have one."""
    assert sorted(places) == list(range(count)), "a count that differs from the input fails the search"
    return [score for _, score in sorted(zip(places, scores, strict=True))]


def _filled(template: str, values: dict[str, str]) -> str:
    """Return a template with each `${name}` replaced; an unknown name is an error."""
    return re.sub(r"\$\{([^}]+)\}", lambda match: values[match[1]], template)


def _at(value: Any, path: str) -> Any:
    """Return what stands at a JSON path of the forms `$.name` and `$.names[*].name`."""
    match = re.fullmatch(r"\$\.(\w+)(?:\[\*\]\.(\w+))?", path)
    assert match, path
    found = value[match[1]]
    return found if match[2] is None else [each[match[2]] for each in found]
