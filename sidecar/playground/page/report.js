// What is said above the hits: what was done, how long it took, how much changed, and what it is worth.

import { h, milliseconds, number, save } from "./dom.js";
import { csv, ndcg, queries, trec } from "./judgments.js";
import { inWords, readMarker, waterfall } from "./outcome.js";
import { movement } from "./ranking.js";

const FIRST = 10;

export function problem(text) {
  return [h("p", { class: "outcome degraded", role: "alert" }, h("strong", {}, "no answer"), h("span", {}, text))];
}

// `search`: {before, after, documents, window, index, words}; `judgments`: Judgments; `on`: {clear}.
export function report(search, judgments, on) {
  const marker = readMarker(search.after.marker);
  return [
    h(
      "div",
      { class: "line-up" },
      h(
        "p",
        { class: `outcome ${marker.word || "none"}` },
        h("strong", {}, marker.word || "no marker"),
        h("span", {}, `${inWords(marker, search.window)}.`),
        marker.reason && h("code", {}, marker.reason),
      ),
      changes(search, marker),
    ),
    h("div", { class: "line-up" }, times(search.after), worth(search, judgments, on)),
  ];
}

function changes({ documents, before }, marker) {
  if (marker.word !== "applied" && marker.word !== "partial") return null;
  const first = Math.min(FIRST, before.hits.length);
  const after = documents.filter((each) => each.after !== null && each.after <= first);
  const moved = after.filter((each) => movement(each) !== 0).length;
  const entered = after.filter((each) => each.before === null || each.before > first).length;
  return h(
    "p",
    { class: "changes" },
    `Of the first ${first}, `,
    h("strong", {}, String(moved)),
    " moved and ",
    h("strong", {}, String(entered)),
    entered === 1 ? " is new." : " are new.",
  );
}

function times(answer) {
  const stages = waterfall(answer);
  const all = stages.reduce((sum, stage) => sum + stage.milliseconds, 0);
  return h(
    "figure",
    { class: "waterfall" },
    h("figcaption", {}, h("strong", {}, milliseconds(all)), " in all"),
    h(
      "div",
      { class: "stages", "aria-hidden": "true" },
      ...stages.map((stage) =>
        h("span", {
          class: `stage ${stage.name}`,
          "--share": `${((100 * stage.milliseconds) / all).toFixed(2)}%`,
          title: `${stage.label}: ${milliseconds(stage.milliseconds)}`,
        }),
      ),
    ),
    h(
      "ul",
      {},
      ...stages.map((stage) =>
        h("li", { class: `stage ${stage.name}` }, `${stage.label} `, h("b", {}, milliseconds(stage.milliseconds))),
      ),
    ),
  );
}

function worth({ documents, index, words }, judgments, on) {
  const grades = judgments.of(index, words);
  const order = (side) => documents.filter((each) => each[side] !== null).sort((a, b) => a[side] - b[side]);
  const measure = (side) => ndcg(order(side).map((each) => each.hit._id), grades, FIRST);
  const before = measure("before");
  const after = measure("after");
  if (before === null || after === null) {
    const hint = grades.size ? "Grade a relevant one, too." : "Grade some hits from 0 to 3 and see what reranking is worth.";
    return h("div", { class: "worth" }, h("p", { class: "measure" }, h("span", { class: "name" }, "nDCG@10"), h("span", { class: "hint" }, hint)));
  }
  const gain = after - before;
  const shown = [...order("before").slice(0, FIRST), ...order("after").slice(0, FIRST)];
  const ids = new Set(shown.map((each) => each.hit._id));
  const judged = [...ids].filter((id) => grades.has(id)).length;
  const sign = gain > 0.0005 ? "up" : gain < -0.0005 ? "down" : "same";
  return h(
    "div",
    { class: "worth" },
    h(
      "p",
      { class: "measure" },
      h("span", { class: "name" }, "nDCG@10"),
      h("span", { class: "figure", id: "ndcg-before" }, number(before, 3)),
      h("span", { class: "arrow", "aria-label": "to" }, "→"),
      h("span", { class: "figure", id: "ndcg-after" }, number(after, 3)),
      h("span", { class: `moved ${sign}` }, `${gain >= 0 ? "+" : "−"}${number(Math.abs(gain), 3)}`),
    ),
    h(
      "p",
      { class: "hint" },
      `${judged} of ${ids.size} shown hits are graded. `,
      exporting(index, judgments),
      judgments.ownCount(index, words) > 0 && h("button", { type: "button", class: "link", onclick: on.clear }, "clear mine"),
    ),
  );
}

function exporting(index, judgments) {
  const give = (name, make, type) => () => save(name, make(judgments.topics(index)), type);
  return h(
    "span",
    { class: "exports" },
    "Export ",
    h("button", { type: "button", class: "link", onclick: give("qrels.trec", trec, "text/plain") }, "TREC qrels"),
    h("button", { type: "button", class: "link", onclick: give("queries.jsonl", queries, "application/jsonl") }, "queries"),
    h("button", { type: "button", class: "link", onclick: give("judgments.csv", csv, "text/csv") }, "CSV"),
  );
}
