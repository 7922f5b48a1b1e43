// The marker X-Rerank and the header Server-Timing, in words.

const REASONS = {
  off: "reranking is switched off here, by configuration, policy or request",
  control: "an experiment reranks for a share of the users, and this is not one of them; Insist reranks it",
  not_json: "request or answer are not JSON",
  unparsable: "the body could not be read; the engine judges it",
  no_free_text: "there are no words that somebody typed: only filters, identifiers, prefixes or match_all",
  no_text_field: "none of the searched fields holds a string in the hits",
  custom_ranking: "the query has a ranking of its own (function_score, script_score, rescore …); Insist reranks it",
  sort: "the hits are sorted by something else than their score",
  size_zero: "no hits were asked for",
  scroll: "a scroll is an export, not a page",
  search_after: "it pages by sort values",
  collapse: "the hits are grouped by collapse",
  filter_path: "filter_path hides what reranking needs",
  size_dependent: "it is a later page of a search whose ranking depends on its size",
  beyond_result_window: "from + size is beyond the engine's 10,000",
  system_index: "the name of a system index begins with a dot",
  product_origin: "Kibana or OpenSearch Dashboards sent it for themselves",
  signed: "a signature covers the body, so that it must not be changed",
  native_rerank: "the request asks for the engine's own reranker",
  template: "the search template could not be rendered",
  async_search: "the answer of an asynchronous search comes in parts",
  search_pipeline: "a search pipeline may change request and answer",
  language: "its words or texts are in a language that the model does not know",
  few_hits: "there are fewer than two hits",
  engine_error: "the engine answered with an error",
  widening_refused: "the engine refused the wider request",
  too_large: "request or answer are larger than what is held in memory",
  unavailable: "the scorer said that it cannot score",
  starting: "the model is still being loaded",
  overload: "the proxy reranks as many searches as it may already; this one was passed on as it is",
  scheduler_full: "more work is waiting than can be done in time",
  deadline: "the deadline came first; a later one (Settings) scores more",
  scorer_lost: "the scorer died or cannot be reached",
  two_models: "replicas of the scorer have different models, and none had time for the whole window",
  model: "the model failed or cannot be had",
  bad_request: "the settings make no sense",
};

// "applied; candidates=30; model=offline" -> {word, reason, candidates, …}
export function readMarker(text) {
  const [word, ...pairs] = text.split(",")[0].split(";").map((part) => part.trim());
  return { word, ...Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s).slice(0, 2))) };
}

export function inWords(marker, window) {
  const why = marker.reason ? (REASONS[marker.reason] ?? marker.reason) : "";
  const scored = Number(marker.candidates ?? 0);
  const dropped = marker.dropped ? `; ${marker.dropped} left out by min_score` : "";
  switch (marker.word) {
    case "applied":
      return `${candidates(scored)} scored by ${marker.model ?? "the model"}${cut(marker, window)}${dropped}${drafted(marker)}`;
    case "partial":
      return `${candidates(scored)} of ${marker.window} scored, the rest in the engine's order: ${why}${drafted(marker)}`;
    case "degraded":
      return `No scores, so this is the engine's order: ${why}`;
    case "observed":
      return "The engine's own answer: reranking is only observed here; Insist reranks it";
    case "skipped":
      return `Left in the engine's order: ${why}`;
    default:
      return "The answer bears no marker: whatever answers here does not rerank";
  }
}

const candidates = (count) => `${count} candidate${count === 1 ? "" : "s"}`;

function drafted(marker) {
  if (!marker.interleaved) return "";
  return `; both orders interleaved (${marker.interleaved.replace("_", " ")}) to compare them by clicks: Insist shows the reranked one`;
}

function cut(marker, window) {
  if (!marker.token_budget) return "";
  return `; of ${window} that were allowed, what this machine can score in time (token budget ${marker.token_budget})`;
}

// "first_stage;dur=1.5, rerank;dur=20" -> [{name, milliseconds}]
export function readTiming(text) {
  return text
    .split(",")
    .map((entry) => entry.trim().split(";"))
    .map(([name, ...parameters]) => ({
      name: name.trim(),
      milliseconds: Number(parameters.map((each) => each.trim()).find((each) => each.startsWith("dur="))?.slice(4)),
    }))
    .filter(({ name, milliseconds }) => name && Number.isFinite(milliseconds));
}

const STAGES = {
  first_stage: "first stage",
  rerank: "second stage",
  second_stage: "second stage",
  queue: "queue",
  model: "model",
  explain: "explanation",
};

// Where the time went: the stages that the sidecar names, and the rest of what the browser waited. Queue and model are
// parts of the second stage, and the total is no stage.
export function waterfall(answer) {
  const stages = readTiming(answer.timing).filter(({ name }) => name !== "total");
  const parts = stages.filter(({ name }) => name === "queue" || name === "model");
  const inside = parts.reduce((sum, stage) => sum + stage.milliseconds, 0);
  const named = stages.map(({ name, milliseconds }) => ({
    name,
    label: name === "rerank" && parts.length ? "rest of the second stage" : (STAGES[name] ?? name),
    milliseconds: name === "rerank" ? Math.max(0, milliseconds - inside) : milliseconds,
  }));
  const rest = answer.milliseconds - named.reduce((sum, stage) => sum + stage.milliseconds, 0);
  return [...named, { name: "rest", label: named.length ? "way and browser" : "all", milliseconds: Math.max(0, rest) }];
}
