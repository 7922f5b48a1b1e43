"""Highlighting: fragments of a text with the searched words marked.

Law: marks are on whole words of the original text whose analysis gives a word that was searched in that field. The
fragments are sentences, cut where they are longer than `fragment_size`; Elasticsearch's own fragments may be cut
elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.embedded.analysis import Token
from connectors.embedded.errors import illegal_argument, parsing_error, unexpected, unsupported
from connectors.embedded.index import Document, Reader
from connectors.embedded.mapping import Field
from connectors.embedded.patterns import matches
from connectors.embedded.query import Query
from connectors.json_bytes import JsonObject

_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'”’)\]]*(?=\s)|$)\s*", re.DOTALL)
_KINDS = ("unified", "plain", "fvh")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOptions:
    """How one field, or pattern of fields, is highlighted."""

    pattern: str
    pre_tag: str = "<em>"
    post_tag: str = "</em>"
    #: characters that a fragment should not exceed
    fragment_size: int = 100
    #: 0 = the whole text as one fragment
    number_of_fragments: int = 5
    #: characters of the beginning that are returned when nothing matches; 0 = none
    no_match_size: int = 0
    #: mark words only in the field in which they were searched
    requires_field_match: bool = True


@dataclass(frozen=True, slots=True)
class Highlight:
    """The `highlight` of a search request."""

    fields: tuple[FieldOptions, ...]

    def fragments(self, reader: Reader, query: Query, document: Document) -> JsonObject:
        """Return the fragments of one document by field path; fields without any are left out."""
        searched = [(path, text) for path, text in query.searched(reader)]
        found: JsonObject = {}
        for options in self.fields:
            for path, field in reader.fields.items():
                if field.kind in ("text", "keyword") and matches(options.pattern, path):
                    fragments = _fragments(field, options, _words(field, options, searched), document)
                    if fragments:
                        found[path] = fragments
        return found


def read_highlight(body: Any) -> Highlight:
    """Return the highlighting that a request's `highlight` asks for; `ApiError` 400 for what is not done."""
    if not isinstance(body, dict):
        raise unexpected("highlight", body)
    outer = {key: value for key, value in body.items() if key != "fields"}
    fields = body.get("fields", {})
    named: list[tuple[str, Any]] = []
    for one in fields if isinstance(fields, list) else [fields]:
        if not isinstance(one, dict):
            raise unexpected("fields", one)
        named += one.items()
    for name, options in named:
        if not isinstance(options, dict):
            raise unexpected(name, options)
    return Highlight(tuple(_options(name, {**outer, **options}) for name, options in named))


def _options(pattern: str, body: Mapping[str, Any]) -> FieldOptions:
    given = dict(body)
    if given.pop("type", "unified") not in _KINDS:
        raise illegal_argument(f"unknown highlighter type [{body['type']}] for the field [{pattern}]")
    for key, standard in (("encoder", "default"), ("order", "none"), ("tags_schema", None)):
        if given.pop(key, standard) != standard:
            raise unsupported(f"highlighting with [{key}: {body[key]}]")
    if "pre_tags" in given and "post_tags" not in given:
        raise parsing_error("pre_tags are set but post_tags are not set")
    options = FieldOptions(
        pattern=pattern,
        pre_tag=_first(given.pop("pre_tags", ["<em>"])),
        post_tag=_first(given.pop("post_tags", ["</em>"])),
        fragment_size=_count(given, "fragment_size", 100),
        number_of_fragments=_count(given, "number_of_fragments", 5),
        no_match_size=_count(given, "no_match_size", 0),
        requires_field_match=given.pop("require_field_match", True) is not False,
    )
    if given:
        raise unsupported(f"highlighting with [{next(iter(given))}]")
    return options


def _count(body: dict[str, Any], key: str, default: int) -> int:
    value = body.pop(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise illegal_argument(f"[highlight] [{key}] must be a number of at least 0, not [{value}]")
    return value


def _first(tags: Any) -> str:
    first = tags[0] if isinstance(tags, list) and tags else tags
    if not isinstance(first, str):
        raise illegal_argument(f"[highlight] tags must be strings, not [{tags}]")
    return first


def _words(field: Field, options: FieldOptions, searched: Sequence[tuple[str, str]]) -> set[str]:
    """Return the words that are marked in this field, as its analyzer spells them."""
    texts = [text for path, text in searched if path == field.path or not options.requires_field_match]
    if field.kind == "keyword":
        return set(texts)
    return {token.text for text in texts for token in field.analyzer.tokens(text)}


def _fragments(field: Field, options: FieldOptions, words: set[str], document: Document) -> list[str]:
    texts = [str(value) for value in document.values.get(field.path, ())]
    found = [fragment for text in texts for fragment in _marked_fragments(field, options, words, text)]
    if found or not texts or not options.no_match_size:
        return found[: options.number_of_fragments or None]
    return [texts[0][: options.no_match_size]]


def _marked_fragments(field: Field, options: FieldOptions, words: set[str], text: str) -> Iterator[str]:
    for start, end, tokens in _matching(field, words, text, options):
        yield _mark(text, start, end, tokens, options)


def _matching(
    field: Field, words: set[str], text: str, options: FieldOptions
) -> Iterator[tuple[int, int, list[Token]]]:
    if field.kind == "keyword":
        if text in words:
            yield 0, len(text), [Token(text, 0, 0, len(text))]
        return
    tokens = [token for token in field.analyzer.tokens(text) if token.text in words]
    for start, end in _spans(text, options):
        inside = [token for token in tokens if start <= token.start < end]
        if inside:
            yield start, end, inside


def _spans(text: str, options: FieldOptions) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the fragments that a text falls into."""
    if options.number_of_fragments == 0:
        yield 0, len(text)
        return
    for sentence in _SENTENCE.finditer(text):
        start = sentence.start()
        while sentence.end() - start > options.fragment_size > 0:
            space = text.rfind(" ", start + 1, start + options.fragment_size + 1)
            cut = space + 1 if space > start else text.find(" ", start + options.fragment_size) + 1
            if not start < cut < sentence.end():
                break
            yield start, cut
            start = cut
        yield start, sentence.end()


def _mark(text: str, start: int, end: int, tokens: Sequence[Token], options: FieldOptions) -> str:
    pieces: list[str] = []
    position = start
    for token in tokens:
        last = min(token.end, len(text))
        pieces += (text[position : token.start], options.pre_tag, text[token.start : last], options.post_tag)
        position = last
    pieces.append(text[position:end])
    return "".join(pieces).strip()
