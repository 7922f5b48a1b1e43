// A text as the model read it: the words that matched, and where reading stopped.

import { h } from "./dom.js";

// Pieces of `text`, in order: {text, isRead, match}. Positions of `said` count characters (code points); those of
// JavaScript strings count UTF-16 units.
export function pieces(text, said, words) {
  const characters = Array.from(text);
  const end = said?.read_characters ?? characters.length;
  const marks = said?.matches ? fromModel(said.matches) : fromWords(characters, words);
  const found = [];
  let place = 0;
  const push = (until, match = null) => {
    if (until > place) found.push({ text: characters.slice(place, until).join(""), isRead: place < end, match });
    place = Math.max(place, until);
  };
  for (const mark of marks) {
    if (mark.start < place || mark.start >= end) continue;
    push(mark.start);
    push(mark.end, mark);
  }
  push(Math.min(end, characters.length));
  push(characters.length);
  return found;
}

// Below, the best answer to a word is no answer: nothing in the text is like it.
const LEAST_SIMILARITY = 0.5;

// One mark a word of the text; a word that answers several words of the query bears the best. Punctuation bears none,
// though a model may have liked it.
function fromModel(matches) {
  const best = new Map();
  for (const match of matches) {
    if (match.similarity < LEAST_SIMILARITY || !/[\p{L}\p{N}]/u.test(match.word)) continue;
    const known = best.get(match.start);
    const queries = [...(known?.queries ?? []), match.query_word];
    const similarity = Math.max(known?.similarity ?? -1, match.similarity);
    best.set(match.start, { start: match.start, end: match.end, similarity, queries });
  }
  return [...best.values()].sort((one, other) => one.start - other.start);
}

// For models that do not say what matched: the query's own words, letter by letter.
function fromWords(characters, words) {
  const wanted = new Set(tokens(words).map(({ word }) => word));
  const text = characters.join("");
  const units = Array.from(text).length === text.length ? (unit) => unit : codePoints(characters);
  return tokens(text)
    .filter(({ word }) => wanted.has(word))
    .map(({ start, end, word }) => ({ start: units(start), end: units(end), similarity: null, queries: [word] }));
}

function tokens(text) {
  return [...text.matchAll(/[\p{L}\p{N}]+/gu)].map((found) => ({
    word: found[0].toLowerCase(),
    start: found.index,
    end: found.index + found[0].length,
  }));
}

function codePoints(characters) {
  const places = new Map([[0, 0]]);
  let units = 0;
  characters.forEach((character, place) => {
    units += character.length;
    places.set(units, place + 1);
  });
  return (unit) => places.get(unit);
}

export function marked(piece) {
  const { match } = piece;
  if (!match) return piece.text;
  const strength = match.similarity === null ? 0.6 : Math.max(0.06, Math.min(1, (match.similarity - 0.45) * 2));
  const title =
    match.similarity === null
      ? "a word of the query"
      : `${match.queries.join(", ")} → ${piece.text}: ${match.similarity.toFixed(2)}`;
  return h("mark", { title, "--strength": String(strength) }, piece.text);
}

// The beginning of the text with its marks, for a card.
export function snippet(parts, length = 240) {
  let left = length;
  const found = [];
  for (const piece of parts) {
    if (!piece.isRead) break;
    if (piece.text.length > left) {
      found.push(`${piece.match ? "" : piece.text.slice(0, left)}…`);
      break;
    }
    found.push(marked(piece));
    left -= piece.text.length;
  }
  return found;
}

export function whole(parts, tokens) {
  const read = parts.filter((piece) => piece.isRead).map(marked);
  const rest = parts.filter((piece) => !piece.isRead).map((piece) => piece.text);
  if (!rest.length) return [h("p", { class: "passage" }, ...read)];
  const stop = tokens ? `the model stops here, after ${tokens} tokens` : "the model stops here";
  return [
    h("p", { class: "passage" }, ...read),
    h("p", { class: "stop" }, h("span", {}, stop)),
    h("p", { class: "passage unread" }, ...rest),
  ];
}
