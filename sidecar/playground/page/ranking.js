// Two lists of hits as one set of documents, each with its place on both sides.

export const identity = (hit, rank) =>
  hit._id === undefined ? `#${rank}` : JSON.stringify([hit._index ?? "", hit._id]);

// Documents by identity. Ranks count from 1; null = not among the hits that were asked for.
export function compare(before, after) {
  const documents = new Map();
  before.forEach((hit, place) => {
    const key = identity(hit, place + 1);
    documents.set(key, { key, hit, before: place + 1, after: null, engineScore: hit._score ?? null, said: null });
  });
  after.forEach((hit, place) => {
    const said = hit._rerank ?? null;
    const key = identity(hit, said?.first_stage_rank ?? place + 1);
    const known = documents.get(key) ?? { key, hit, before: said?.first_stage_rank ?? null, engineScore: null };
    documents.set(key, {
      ...known,
      after: place + 1,
      engineScore: known.engineScore ?? said?.first_stage_score ?? null,
      said,
    });
  });
  return [...documents.values()];
}

export function sides(documents, show) {
  const on = (side) =>
    documents.filter((each) => each[side] !== null && each[side] <= show).sort((a, b) => a[side] - b[side]);
  return { before: on("before"), after: on("after") };
}

// Places won (positive) or lost; null where one of the ranks is not known.
export const movement = ({ before, after }) => (before === null || after === null ? null : before - after);

// A raw model score on the scale 0 to 1, as sidecar/scoring/base.py has it.
export function probability(score, kind) {
  const clipped = (value) => Math.min(1, Math.max(0, value));
  if (kind === "cosine") return clipped((1 + score) / 2);
  if (kind === "late-interaction") return clipped(score / 1.5);
  return 1 / (1 + Math.exp(-score));
}

// Text of a hit for a person: a heading, and the rest.
export function heading(hit, isTitle) {
  const texts = Object.entries(flat(hit._source ?? hit.fields ?? {}));
  const title = texts.find(([name]) => isTitle(name))?.[1];
  const longest = texts
    .map(([, text]) => text)
    .filter((text) => text !== title)
    .sort((one, other) => other.length - one.length)[0];
  return { title: title ?? longest?.slice(0, 80) ?? String(hit._id ?? "a hit without an id"), text: longest ?? "" };
}

function flat(value, prefix = "", found = {}) {
  for (const [key, each] of Object.entries(value)) {
    const name = prefix ? `${prefix}.${key}` : key;
    if (typeof each === "string") found[name] = each;
    else if (Array.isArray(each)) {
      const texts = each.filter((item) => typeof item === "string");
      if (texts.length) found[name] = texts.join(" ");
    } else if (typeof each === "object" && each !== null) flat(each, name, found);
  }
  return found;
}
