// The lines between both sides: one for every document that is on at least one of them.

import { svg } from "./dom.js";
import { movement } from "./ranking.js";

export function draw(element, documents, before, after) {
  const frame = element.getBoundingClientRect();
  element.replaceChildren();
  if (!frame.width || !frame.height) return;
  element.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const from = middles(before, frame.top);
  const to = middles(after, frame.top);
  const moves = documents
    .filter(({ key }) => from.has(key) || to.has(key))
    .map((each) => ({ key: each.key, by: movement(each), start: from.get(each.key), end: to.get(each.key) }))
    .sort((one, other) => Math.abs(one.by ?? 0) - Math.abs(other.by ?? 0));
  element.append(...moves.map((move) => line(move, frame)));
}

// The middle of every rank's circle, by document.
function middles(list, top) {
  return new Map(
    [...list.querySelectorAll(".hit[data-key]")].map((hit) => {
      const box = hit.querySelector(".rank").getBoundingClientRect();
      return [hit.dataset.key, box.top + box.height / 2 - top];
    }),
  );
}

function line({ key, by, start, end }, { width, height }) {
  const kind = by === 0 ? "same" : (by ?? (end === undefined ? -1 : 1)) > 0 ? "up" : "down";
  const isPart = start === undefined || end === undefined;
  const middle = width / 2;
  const path = isPart
    ? partial(start, end, width, height)
    : `M0 ${start}C${middle} ${start} ${middle} ${end} ${width} ${end}`;
  const dots = [
    start !== undefined && svg("circle", { cx: 2.5, cy: start, r: 2.5 }),
    end !== undefined && svg("circle", { cx: width - 2.5, cy: end, r: 2.5 }),
  ];
  return svg("g", { class: `line ${kind}${isPart ? " part" : ""}`, "data-key": key }, svg("path", { d: path }), ...dots);
}

// A document of one side only: its line comes from, or goes to, below the page.
function partial(start, end, width, height) {
  const middle = width / 2;
  return end === undefined
    ? `M0 ${start}C${middle} ${start} ${middle} ${start} ${middle} ${Math.min(height, start + 46)}`
    : `M${middle} ${Math.min(height, end + 46)}C${middle} ${end} ${middle} ${end} ${width} ${end}`;
}

export function highlight(board, key) {
  board.classList.toggle("has-focus", key !== null);
  for (const each of board.querySelectorAll("[data-key]")) {
    each.classList.toggle("is-focus", key !== null && each.dataset.key === key);
  }
}
