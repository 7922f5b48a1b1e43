"""The second stage's own values: candidates, options, what was decided, what happened.

Law: frozen values and no behaviour beyond naming. Ranks count from 1, offsets from 0, durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from sidecar.scoring.base import FusionName

OnFailure = Literal["first_stage", "error"]
TextFrom = Literal["fields", "highlight", "inner_hits"]
Fetch = Literal["auto", "once", "twice"]
Mode = Literal["apply", "observe"]
SignalFunction = Literal["log", "saturation", "sigmoid", "gauss", "exp", "linear"]
InterleaveMethod = Literal["team_draft", "balanced"]


class SkipReason(StrEnum):
    """Why a search was not reranked. The values are the words after `reason=` in the marker."""

    OFF = "off"  #: switched off by configuration, policy or the caller
    CONTROL = "control"  #: its user is in the control arm of an experiment
    NOT_JSON = "not_json"  #: the request or the answer is not JSON (YAML, CBOR, SMILE, unknown encoding)
    UNPARSABLE = "unparsable"  #: the body could not be read; the engine will judge it
    NO_FREE_TEXT = "no_free_text"  #: no words that a user typed: match_all, filters, ids, prefixes
    NO_TEXT_FIELD = "no_text_field"  #: none of the searched fields holds a string in the hits
    CUSTOM_RANKING = "custom_ranking"  #: function_score, script_score, rescore: the caller's own order
    SORT = "sort"  #: sorted by something else than _score, descending
    SIZE_ZERO = "size_zero"  #: no hits were asked for
    SCROLL = "scroll"  #: a scroll is an export, not a page
    SEARCH_AFTER = "search_after"  #: pages by sort values
    COLLAPSE = "collapse"  #: collapsed groups
    FILTER_PATH = "filter_path"  #: filter_path hides what reranking needs
    SIZE_DEPENDENT = "size_dependent"  #: a later page of kNN, hybrid, RRF, …, whose ranking depends on size
    BEYOND_RESULT_WINDOW = "beyond_result_window"  #: from + size exceeds the engine's 10,000
    SYSTEM_INDEX = "system_index"  #: an index whose name begins with a dot
    PRODUCT_ORIGIN = "product_origin"  #: sent by Kibana or OpenSearch Dashboards for itself
    SIGNED = "signed"  #: the signature covers the body (AWS SigV4)
    NATIVE_RERANK = "native_rerank"  #: the request asks the engine's own reranker
    TEMPLATE = "template"  #: a search template that could not be rendered
    ASYNC_SEARCH = "async_search"  #: an asynchronous search, whose answer comes in parts
    SEARCH_PIPELINE = "search_pipeline"  #: an OpenSearch search pipeline may change request and answer
    FEW_HITS = "few_hits"  #: fewer than two hits
    ENGINE_ERROR = "engine_error"  #: the engine answered with an error
    LANGUAGE = "language"  #: words or texts in a language that the model does not know
    WIDENING_REFUSED = "widening_refused"  #: the engine refused the wider request; the caller's own was sent
    TOO_LARGE = "too_large"  #: request or answer is over the limit for buffering


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A field of a hit that counts beside its text, the function of it that counts, and how much.

    Of a date all numbers are milliseconds, since 1970 where they are a moment.
    """

    field: str
    function: SignalFunction
    weight: float = 1.0
    is_date: bool = False
    #: what a hit without the field is taken to have there; None = nothing, which counts as 0
    missing: float | Literal["now"] | None = None
    #: of log
    scaling_factor: float = 1.0
    #: of saturation and sigmoid
    pivot: float = 1.0
    exponent: float = 1.0
    #: of gauss, exp and linear
    origin: float | Literal["now"] = "now"
    scale: float = 1.0
    offset: float = 0.0
    decay: float = 0.5

    @property
    def is_decay(self) -> bool:
        """Whether the function is of the distance from an origin."""
        return self.function in ("gauss", "exp", "linear")


class SignalValue(NamedTuple):
    """What a hit has in a signal's field, None where it has nothing, and the signal's function of it."""

    raw: float | None
    value: float


class Term(NamedTuple):
    """One term of a final score that is a sum: `weight` times `value`, which is a function of `raw`."""

    name: str
    function: str
    raw: float | None
    value: float
    weight: float

    @property
    def contribution(self) -> float:
        """What the term adds to the sum."""
        return self.weight * self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankOptions:
    """How to rerank: defaults from the configuration, overridden by policy and then by the request."""

    #: rerank what can be reranked
    enabled: bool = True
    #: "apply": callers get the reranked page; "observe": they get the engine's, and what would have been is recorded
    mode: Mode = "apply"
    #: share of users, 0 to 100, whose searches are reranked; the others are the control arm
    percent: float = 100.0
    #: share of searches, 0 to 100, that are looked at where the mode is "observe"
    observe_percent: float = 100.0
    #: how both rankings become one page whose clicks are counted; "off" = callers get the reranked one
    interleave: Literal["off"] | InterleaveMethod = "off"
    #: say an interleaved page's token in its body, too, for clients that show no headers: under `ext.rerank.token`
    return_token: bool = False
    #: name of the policy that these options come from, and what the arms of its users are drawn with
    policy: str = "default"
    drawn_with: str = "default"
    #: rerank the doubtful cases, too (`X-Rerank: on` or `ext.rerank`): custom rankings, product origins
    insist: bool = False
    #: candidates fetched and scored at most
    window: int = 100
    #: how hits are fetched: "once", all as the caller wrote the search; "twice", a slim search and then the page;
    #: "auto" = twice where they are heavy
    fetch: Fetch = "auto"
    #: tokens scored at most per search; 0 = no bound, None = half the deadline on the idle device
    token_budget: int | None = None
    #: fields whose text is scored; empty = those that the query's text clauses search
    fields: tuple[str, ...] = ()
    #: how fields become one text, "{title}. {body}"; None = their values joined by a space
    template: str | None = None
    #: where the texts come from: the fields, highlight fragments of them, or inner hits
    text_from: TextFrom = "fields"
    #: take tags out of texts, and read entities as their characters
    strip_html: bool = False
    #: tokens of the passages into which long texts are split; 0 = one text, cut at the model's length
    passage_tokens: int = 0
    #: tokens that neighbouring passages share
    passage_overlap: int = 0
    #: best passages whose mean score is the document's; 1 = the best one's
    passage_top: int = 1
    #: the first field in front of every passage
    passage_title: bool = False
    #: give the best passage back, as a highlight called `rerank_passage`
    passage_return: bool = False
    #: words to score against; None = read from the query
    query_text: str | None = None
    #: which of the program's models scores; None = the main one. Only a policy can say
    model: str | None = None
    #: languages that the model knows (ISO 639-1); none = whatever there is
    languages: tuple[str, ...] = ()
    #: which of the program's models scores what is in another language; "*" = every other
    language_models: Mapping[str, str] = field(default_factory=dict)
    #: which of the program's models reads the window first, so that the scorer reads its best alone; None = no cascade
    prune_model: str | None = None
    #: candidates that are left for the scorer at most
    prune_keep: int = 40
    #: remember scores, where the program has a memory for them
    score_cache: bool = False
    #: "auto" = what the model recommends
    fusion: Literal["auto"] | FusionName = "auto"
    #: the model's share in a linear fusion, 0 to 1; None = what the model recommends
    weight: float | None = None
    #: further terms of a linear fusion; where there are any, "auto" is "linear"
    signals: tuple[Signal, ...] = ()
    #: ids of hits that come first, in this order; and a field that is true of hits that do
    pin_ids: tuple[str, ...] = ()
    pin_field: str | None = None
    #: a field of which no more than `diversify_most` hits in `diversify_within` have the same value
    diversify_by: str | None = None
    diversify_most: int = 2
    diversify_within: int = 10
    #: drop hits whose probability is lower; 0 to 1
    min_score: float | None = None
    #: seconds for the second stage, from the complete first-stage answer; 0 = none
    deadline: float = 0.5
    #: what a failing second stage costs: nothing, or an error status (for evaluation)
    on_failure: OnFailure = "first_stage"
    #: add ranks and scores and the text seen to every hit, under `_rerank`
    explain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hit's text as the model sees it. `rank` (first stage, from 1) is its identity within one search."""

    rank: int
    score: float | None
    text: str
    #: the value of the first field, where there are several and no template
    title: str = ""
    #: passages that the engine found, in its order; empty = the text is one
    passages: tuple[str, ...] = ()
    #: what the signals of the options say, in their order
    signals: tuple[SignalValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCandidate:
    """A candidate with the model's raw score and the fused score that orders the page.

    What a cascade has pruned has neither.
    """

    candidate: Candidate
    model_score: float | None
    fused_score: float | None
    #: the raw score of the model that pruned the window, where one did
    pruner_score: float | None = None
    #: what of the text the model liked best
    best_passage: str | None = None
    #: what the final score is the sum of, where that was asked for and it is one
    terms: tuple[Term, ...] = ()


class Operation(StrEnum):
    """What of the engine's API is intercepted."""

    SEARCH = "search"
    MSEARCH = "msearch"
    SEARCH_TEMPLATE = "search_template"
    MSEARCH_TEMPLATE = "msearch_template"


class Outcome(StrEnum):
    """The first word of the marker header `X-Rerank`."""

    APPLIED = "applied"  #: every candidate of the effective window was scored
    PARTIAL = "partial"  #: the deadline cut the window; a prefix of it was scored
    SKIPPED = "skipped"  #: not tried
    DEGRADED = "degraded"  #: tried without any score: first-stage order
    OBSERVED = "observed"  #: the engine's own answer; what would have become of it is found out afterwards


class Arm(StrEnum):
    """The side of an experiment that a search is on."""

    CONTROL = "control"  #: the engine's own answer
    RERANK = "rerank"


class Team(StrEnum):
    """Whose pick a hit of an interleaved page is."""

    FIRST_STAGE = "first_stage"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """What happened in one search, for metrics and logs.

    Durations in seconds, None where a step did not run.
    """

    operation: Operation
    outcome: Outcome
    reason: str | None = None
    candidates: int = 0
    window: int = 0
    model: str | None = None
    first_stage_seconds: float | None = None
    second_stage_seconds: float | None = None
    #: parts of the second stage, as the scorer tells them
    queue_seconds: float | None = None
    model_seconds: float | None = None
    #: how its page was interleaved and under which policy, None where it was not
    interleaved: InterleaveMethod | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What would have become of a search whose caller got the engine's own answer.

    Durations in seconds, None where a step did not run; figures of the two rankings are None where there is but one.
    """

    policy: str
    operation: Operation
    #: None where too many were in hand, so that nobody looked
    outcome: Outcome | None
    reason: str | None = None
    candidates: int = 0
    window: int = 0
    model: str | None = None
    first_stage_seconds: float | None = None
    second_stage_seconds: float | None = None
    #: parts of the second stage, as the scorer tells them; it waits for all searches that are not only observed
    queue_seconds: float | None = None
    model_seconds: float | None = None
    #: hits that were ranked
    hits: int = 0
    #: ranks that the first ten hits of the new ranking have in the engine's
    top: tuple[int, ...] = ()
    #: agreement of the two rankings, 0 to 1
    jaccard: float | None = None
    rbo: float | None = None
    #: how far those ten have moved, in ranks, on average
    moved: float | None = None
    #: the search, and the words that were scored against
    index: str = ""
    params: tuple[tuple[str, str], ...] = ()
    body: str = ""
    query: str = ""

    @property
    def has_other_top(self) -> bool:
        """Whether another hit would have come first."""
        return bool(self.top) and self.top[0] != 1
