// The hits of one side, each a card.

import { h, number } from "./dom.js";
import { isTitle } from "./engine.js";
import { GRADES } from "./judgments.js";
import { pieces, snippet } from "./passage.js";
import { heading, movement, probability } from "./ranking.js";

// `view`: {words, kind, best (highest engine score), show, isReranked, grades}. `on`: {open, grade}.
export function cards(side, documents, view, on) {
  return documents.map((each) => card(side, each, view, on));
}

function card(side, each, view, on) {
  const { title, text } = shown(each, view);
  const rank = each[side];
  return h(
    "li",
    { class: "hit", "data-key": each.key, "data-id": each.hit._id ?? false },
    h("span", { class: "rank", "aria-hidden": "true" }, String(rank)),
    h(
      "div",
      { class: "content" },
      h(
        "h3",
        {},
        h(
          "button",
          { type: "button", class: "title", "aria-label": `${rank}. ${title}`, onclick: () => on.open(each) },
          title,
        ),
        view.isReranked && moved(side, each, view),
      ),
      h("p", { class: "snippet" }, ...text),
      h("div", { class: "foot" }, h("div", { class: "bars" }, ...bars(each, view)), grades(side, each, view, on)),
    ),
  );
}

// Heading and text of a document: what the model read, where it is known.
function shown(each, view) {
  const own = heading(each.hit, isTitle);
  const read = each.said?.text;
  if (!read) return { title: own.title, text: [own.text.slice(0, 220)] };
  let parts = pieces(read, each.said, view.words);
  if (read.startsWith(own.title)) parts = after(parts, own.title);
  return { title: own.title, text: snippet(parts) };
}

// The pieces behind a heading, which the card shows already.
function after(parts, title) {
  let left = title.length;
  return parts.flatMap((piece) => {
    const skipped = Math.min(left, piece.text.length);
    left -= skipped;
    return skipped < piece.text.length ? [{ ...piece, text: piece.text.slice(skipped) }] : [];
  });
}

export function moved(side, each, view) {
  const by = movement(each);
  const other = side === "after" ? each.before : each.after;
  if (by === null || (other !== null && other > view.show && side === "before")) {
    const text = other === null ? "far down" : `to ${other}`;
    return side === "before"
      ? h("span", { class: "moved down", title: "no longer on the page" }, text)
      : h("span", { class: "moved up", title: "from beyond the hits that were asked for" }, "new");
  }
  if (by === 0) return h("span", { class: "moved", title: "the same rank on both sides" }, "=");
  const label = by > 0 ? `up ${by}` : `down ${-by}`;
  const text = side === "after" && other > view.show ? `▲ from ${other}` : `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`;
  return h(
    "span",
    { class: `moved ${by > 0 ? "up" : "down"}`, title: `${label}: ${each.before} → ${each.after}`, role: "img", "aria-label": label },
    text,
  );
}

export function bars(each, view) {
  const score = each.said?.model_score ?? null;
  const found = [bar("engine", each.engineScore, view.best > 0 ? (each.engineScore ?? 0) / view.best : 0)];
  if (view.isReranked) {
    const share = score === null ? null : probability(score, view.kind);
    found.push(bar("model", score, share ?? 0, share));
  }
  return found;
}

function bar(name, score, share, said = null) {
  const label = name === "engine" ? "Engine score" : "Model score";
  const title =
    score === null
      ? `${label}: none`
      : `${label} ${number(score, 4)}${said === null ? "" : `, ${number(said, 3)} on the scale 0 to 1`}`;
  return h(
    "span",
    { class: `bar ${name}`, title, role: "img", "aria-label": title },
    h("span", { class: "name" }, name),
    h("span", { class: "track" }, h("span", { class: "value", "--share": `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%` })),
    h("span", { class: "figure" }, number(score)),
  );
}

export function grades(side, each, view, on) {
  if (each.hit._id === undefined) return null;
  const grade = view.grades.get(each.hit._id) ?? null;
  const group = `grade-${side}-${each.key}`;
  return h(
    "fieldset",
    { class: "grades" },
    h("legend", { class: "hidden" }, "Grade"),
    ...GRADES.map(({ grade: value, name }) =>
      h(
        "label",
        { class: `grade g${value}`, title: `${value}: ${name}` },
        h("input", {
          type: "radio",
          name: group,
          value,
          checked: grade === value,
          "aria-label": `${value}, ${name}`,
          onchange: () => on.grade(each, value),
          onclick: () => grade === value && on.grade(each, null),
        }),
        h("span", { "aria-hidden": "true" }, String(value)),
      ),
    ),
  );
}

export function skeletons(count) {
  return Array.from({ length: count }, () =>
    h("li", { class: "hit skeleton", "aria-hidden": "true" }, h("span", { class: "rank" }), h("div", { class: "content" })),
  );
}

