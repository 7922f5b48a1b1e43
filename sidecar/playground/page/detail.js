// One document, at length: its scores, the text that the model read, which words answered which.

import { h, number } from "./dom.js";
import { isTitle } from "./engine.js";
import { grades } from "./hits.js";
import { pieces, whole } from "./passage.js";
import { heading, probability } from "./ranking.js";

export function detail(each, view, on) {
  return [
    h(
      "header",
      { class: "heading" },
      h("h2", { id: "detail-title" }, heading(each.hit, isTitle).title),
      h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: on.close }, "✕"),
    ),
    h("p", { class: "note" }, [each.hit._index, each.hit._id].filter((part) => part !== undefined).join(" / ")),
    places(each, view),
    ...text(each, view),
    ...alignments(each),
    h("details", { class: "raw" }, h("summary", {}, "The hit as the engine gives it"), h("pre", { tabindex: "0" }, JSON.stringify(plain(each.hit), null, 2))),
    h(
      "footer",
      { class: "row" },
      h("button", { type: "button", class: "quiet", onclick: on.previous, disabled: !on.previous }, "← previous"),
      grades("detail", each, view, on),
      h("button", { type: "button", class: "quiet", onclick: on.next, disabled: !on.next }, "next →"),
    ),
  ];
}

function places(each, view) {
  const said = each.said;
  const score = said?.model_score ?? null;
  const rows = [
    ["rank", `${each.before ?? "further down"} → ${each.after ?? "further down"}`],
    ["engine score", number(each.engineScore, 4)],
    ["model score", score === null ? "none" : number(score, 4), score !== null && `${number(probability(score, view.kind), 3)} of 1`],
    ["after fusion", said?.fused_score === null || said === null ? "none" : number(said.fused_score, 4)],
  ];
  return h(
    "dl",
    { class: "places" },
    ...rows.map(([name, value, more]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value), more && h("small", {}, ` ${more}`)))),
  );
}

function text(each, view) {
  const read = each.said?.text;
  if (!read) {
    const why = view.isReranked ? "The model did not read this one: it is beyond the window, or has no text." : "";
    return [h("h3", {}, "Text"), why && h("p", { class: "note" }, why), h("p", { class: "passage" }, heading(each.hit, isTitle).text)];
  }
  const { read_tokens: tokens, matches } = each.said;
  const isAll = each.said.read_characters === undefined || each.said.read_characters >= Array.from(read).length;
  const how = matches ? "Marked: what answers a word of the query best; the stronger, the more alike." : "Marked: the words of the query.";
  return [
    h("h3", {}, "What the model read", tokens !== undefined && h("small", {}, ` ${tokens} tokens${isAll ? ", all of it" : ""}`)),
    ...whole(pieces(read, each.said, view.words), tokens),
    h("p", { class: "note" }, how),
  ];
}

function alignments(each) {
  const matches = each.said?.matches;
  if (!matches?.length) return [];
  return [
    h("h3", {}, "Which word answered which"),
    h(
      "ul",
      { class: "alignments" },
      ...matches.map((match) =>
        h(
          "li",
          {},
          h("span", {}, match.query_word),
          h("span", { "aria-label": "answered by" }, "→"),
          h("span", {}, match.word),
          h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "value", "--share": `${(100 * Math.max(0, match.similarity)).toFixed(1)}%` })),
          h("span", { class: "figure" }, number(match.similarity)),
        ),
      ),
    ),
  ];
}

function plain(hit) {
  const { _rerank: _, ...own } = hit;
  return own;
}
