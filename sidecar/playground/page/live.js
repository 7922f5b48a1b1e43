// The last five minutes: searches a second, how long they took, what became of them, what waits for the model.

import { h, milliseconds, svg } from "./dom.js";
import { own } from "./engine.js";
import { interleaving } from "./interleaving.js";

const EVERY_MS = 2000;
const WORDS = ["applied", "partial", "observed", "skipped", "degraded"];
const RECENT_SECONDS = 60;
const [WIDTH, HEIGHT] = [600, 120];

export class Live {
  constructor(view) {
    this._view = view;
    this._timer = null;
    this._scorer = null; // its figures of two seconds ago
  }

  start() {
    this.stop();
    this._timer = setInterval(() => document.visibilityState === "visible" && this._show(), EVERY_MS);
    return this._show();
  }

  stop() {
    clearInterval(this._timer);
  }

  async _show() {
    try {
      const traffic = await own("traffic.json");
      this._view.replaceChildren(...page(traffic, this._scorer));
      this._scorer = traffic.scorer;
    } catch (error) {
      this._view.replaceChildren(h("p", { class: "outcome degraded", role: "alert" }, h("strong", {}, "no figures"), h("span", {}, error.message)));
    }
  }
}

function page(traffic, before) {
  const recent = traffic.searches.filter((slot) => slot.age * traffic.slot_seconds < RECENT_SECONDS);
  const seconds = Math.max(1, Math.min(RECENT_SECONDS, traffic.uptime_seconds));
  const outcomes = sum(recent.map((slot) => byWord(slot.outcomes)));
  const total = count(outcomes);
  const at = (name, share) => percentile(sum(recent.map((slot) => slot[name])), share, traffic.bucket_ratio);
  return [
    h("h2", { class: "hidden" }, "Traffic through this sidecar"),
    h(
      "dl",
      { class: "tiles" },
      tile("searches a second", total ? (total / seconds).toFixed(total / seconds < 10 ? 2 : 0) : "0", "of the last minute"),
      tile("reranked", total ? `${Math.round((100 * ((outcomes.applied ?? 0) + (outcomes.partial ?? 0))) / total)} %` : "–", `of ${total} searches`),
      tile("median", at("total", 0.5), "p50, both stages"),
      tile("95 of 100 within", at("total", 0.95), "p95, both stages"),
      tile("99 of 100 within", at("total", 0.99), "p99, both stages"),
      tile("first stage", at("first_stage", 0.5), "p50, the engine"),
      tile("second stage", at("second_stage", 0.5), "p50, the model"),
      queue(traffic.scorer, before),
    ),
    throughput(traffic),
    latency(traffic),
    table(traffic),
    ...interleaving(traffic.interleaving),
    h("p", { class: "note" }, "Searches are counted when they end. Those of this page count, too. What is left alone is streamed, and has no times."),
  ];
}

function tile(name, value, what) {
  return h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value ?? "–", h("small", {}, what)));
}

// What waits for the model, and how long those waited that have begun since the figures `before`.
function queue(now, before) {
  if (!now) return tile("queue", "–", "this scorer does not say");
  const since = before && before.launched_calls < now.launched_calls ? before : { launched_calls: 0, waited_seconds: 0 };
  const calls = now.launched_calls - since.launched_calls;
  const wait = calls > 0 && milliseconds((1000 * (now.waited_seconds - since.waited_seconds)) / calls);
  return tile("queue", String(now.waiting_calls), wait ? `calls, mean wait ${wait}` : "calls");
}

function throughput(traffic) {
  const slots = filledSlots(traffic).map((slot) => byWord(slot?.outcomes ?? {}));
  const highest = Math.max(1, ...slots.map(count));
  const step = WIDTH / slots.length;
  const bars = slots.flatMap((outcomes, place) => {
    let top = HEIGHT;
    return WORDS.filter((word) => outcomes[word]).map((word) => {
      const height = (HEIGHT * outcomes[word]) / highest;
      top -= height;
      return svg("rect", { class: word, x: place * step, y: top, width: Math.max(1, step - 0.8), height });
    });
  });
  const rate = (highest / traffic.slot_seconds).toFixed(highest / traffic.slot_seconds < 10 ? 1 : 0);
  return figure(
    "Searches a second, by outcome",
    `at most ${rate}`,
    `Bar chart: at most ${rate} searches a second in five minutes`,
    bars,
    WORDS.map((word) => h("li", { class: word }, word)),
    traffic,
  );
}

function latency(traffic) {
  const slots = filledSlots(traffic);
  const values = (share) =>
    slots.map((slot) => (slot ? quantile(numbers(slot.total), share, traffic.bucket_ratio) : null));
  const lines = [
    ["p50", values(0.5)],
    ["p95", values(0.95)],
  ];
  const highest = Math.max(1, ...lines.flatMap(([, found]) => found.map((value) => value ?? 0)));
  const step = WIDTH / slots.length;
  const marks = lines.flatMap(([name, found]) =>
    found.flatMap((value, place) =>
      value === null
        ? []
        : [svg("path", { class: name, d: `M${(place + 0.5) * step} ${HEIGHT - 4 - ((HEIGHT - 10) * value) / highest}h0` })],
    ),
  );
  return figure(
    "Time of a search, both stages",
    `at most ${milliseconds(highest)}`,
    `Dots: at most ${milliseconds(highest)} in five minutes`,
    marks,
    lines.map(([name]) => h("li", { class: name }, name)),
    traffic,
  );
}

function figure(title, highest, label, marks, legend, traffic) {
  const minutes = (traffic.slots * traffic.slot_seconds) / 60;
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), h("span", { class: "note" }, highest), h("ul", { class: "legend" }, ...legend)),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...marks),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, `${minutes} minutes ago`), h("span", {}, "now")),
  );
}

function table(traffic) {
  const all = Object.entries(sum(traffic.searches.map((slot) => slot.outcomes))).sort(([, one], [, other]) => other - one);
  if (!all.length) return h("p", { class: "empty" }, "No search has come by in the last five minutes. Search something here, or send your application's searches this way.");
  const total = all.reduce((found, [, each]) => found + each, 0);
  return h(
    "table",
    { class: "outcomes" },
    h("caption", { class: "hidden" }, "Outcomes of five minutes"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "outcome"), h("th", { scope: "col" }, "reason"), h("th", { scope: "col", class: "right" }, "searches"), h("th", { scope: "col", class: "right" }, "share"))),
    h(
      "tbody",
      {},
      ...all.map(([name, found]) => {
        const [word, reason = ""] = name.split(":");
        return h("tr", {}, h("td", {}, h("span", { class: `dot ${word}` }), word), h("td", {}, h("code", {}, reason)), h("td", { class: "right" }, found.toLocaleString("en")), h("td", { class: "right" }, `${((100 * found) / total).toFixed(1)} %`));
      }),
    ),
  );
}

// One entry a slot, oldest first; null where nothing ended.
function filledSlots({ slots, searches }) {
  const found = Array(slots).fill(null);
  for (const slot of searches) found[slots - 1 - slot.age] = slot;
  return found;
}

function byWord(outcomes) {
  const found = {};
  for (const [name, each] of Object.entries(outcomes)) {
    const word = name.split(":")[0];
    found[word] = (found[word] ?? 0) + each;
  }
  return found;
}

function sum(counters) {
  const found = {};
  for (const counter of counters) for (const [key, each] of Object.entries(counter)) found[key] = (found[key] ?? 0) + each;
  return found;
}

const count = (counter) => Object.values(counter).reduce((found, each) => found + each, 0);
const numbers = (counter) => Object.entries(counter).map(([bucket, each]) => [Number(bucket), each]);

function percentile(counter, share, ratio) {
  const value = quantile(numbers(counter), share, ratio);
  return value === null ? null : milliseconds(value);
}

// Milliseconds that `share` of all take at most; bucket n stands for ratio ** n.
export function quantile(buckets, share, ratio) {
  const sorted = [...buckets].sort(([one], [other]) => one - other);
  const wanted = share * sorted.reduce((found, [, each]) => found + each, 0);
  let seen = 0;
  for (const [bucket, each] of sorted) {
    seen += each;
    if (seen >= wanted) return ratio ** bucket;
  }
  return null;
}
