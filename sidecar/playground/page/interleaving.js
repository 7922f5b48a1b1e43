// What clicks on interleaved pages prefer, by policy: wins, losses, ties, and how sure that is.

import { h, svg } from "./dom.js";

const [WIDTH, HEIGHT] = [180, 22];
const MIDDLE = HEIGHT / 2;

// `found`: the preferences of traffic.json; null where no clicks are kept.
export function interleaving(found) {
  if (!found) return [];
  return [
    h(
      "section",
      { class: "preferences", "aria-labelledby": "preferences-title", tabindex: "0" },
      h("h3", { id: "preferences-title" }, "What clicks prefer ", h("small", {}, "on interleaved pages, by policy; all that were kept")),
      found.length ? table(found) : h("p", { class: "note" }, "No click on an interleaved page has come in yet."),
    ),
  ];
}

function table(found) {
  const heads = ["policy", "preferred", "share of wins, 95 %", "p, any time", "searches", "won", "lost", "tied", "method"];
  const numbers = new Set(heads.slice(3, 8));
  return h(
    "table",
    { class: "outcomes" },
    h("caption", { class: "hidden" }, "Preferences between the reranked order and the engine's"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...heads.map((name) => h("th", { scope: "col", class: numbers.has(name) && "right" }, name)),
      ),
    ),
    h("tbody", {}, ...found.map(row)),
  );
}

function row(each) {
  return h(
    "tr",
    {},
    h("td", {}, each.policy, " ", h("code", { title: "digest of the policy's settings and its model" }, each.version)),
    h("td", {}, h("span", { class: `verdict ${each.preferred ?? "open"}` }, verdict(each.preferred))),
    h("td", {}, share(each)),
    h("td", { class: "right" }, probability(each.p_any_time)),
    ...[each.searches, each.wins, each.losses, each.ties].map((count) => h("td", { class: "right" }, count.toLocaleString("en"))),
    h("td", {}, each.method.replace("_", " ")),
  );
}

export function verdict(preferred) {
  return { rerank: "reranked", first_stage: "the engine's" }[preferred] ?? "open";
}

export function probability(value) {
  return value < 0.001 ? "< 0.001" : value.toFixed(3);
}

// The interval on a line from 0 to 1, whose middle says that both are as good.
function share(each) {
  if (each.win_share === null) return h("span", { class: "note" }, "no search is decided yet");
  const [low, high] = each.interval;
  const at = (value) => (4 + value * (WIDTH - 8)).toFixed(1);
  const label = `${each.win_share.toFixed(3)}, between ${low.toFixed(3)} and ${high.toFixed(3)}`;
  return h(
    "span",
    { class: "share" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label },
      svg("path", { class: "scale", d: `M4 ${MIDDLE}H${WIDTH - 4}M${at(0.5)} 3V${HEIGHT - 3}` }),
      svg("path", { class: "interval", d: `M${at(low)} ${MIDDLE}H${at(high)}` }),
      svg("circle", { cx: at(each.win_share), cy: MIDDLE, r: 4.5 }),
    ),
    h("span", { class: "figure" }, each.win_share.toFixed(3)),
  );
}
