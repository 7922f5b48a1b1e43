// The search that is sent: from words and fields, or from a body that the user has written.

export const PLACEHOLDER = "%SearchText%";

const RANKED_BY_SIZE = new Set(["knn", "retriever", "rank", "sub_searches", "terminate_after", "rescore"]);
const CLAUSES_RANKED_BY_SIZE = new Set(["hybrid", "neural", "neural_sparse", "knn", "semantic", "sparse_vector"]);

// The body as JSON text, with the placeholder, that searches `fields` (none: all text fields).
export function written(fields) {
  const match = fields.length ? { query: PLACEHOLDER, fields } : { query: PLACEHOLDER };
  return JSON.stringify({ query: { multi_match: match } }, null, 2);
}

// The body as a value, the words in place of the placeholder. Throws SyntaxError.
export function filled(text, words) {
  const body = JSON.parse(text);
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new SyntaxError("it must be an object");
  return replaced(body, words);
}

function replaced(value, words) {
  if (typeof value === "string") return value.replaceAll(PLACEHOLDER, () => words);
  if (Array.isArray(value)) return value.map((each) => replaced(each, words));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replaced(each, words)]));
}

// How many hits to ask for. All of the window, so that the rank of a hit is known on both sides; but where the size
// decides the engine's own ranking, no more than are shown.
export function depth(body, show, window) {
  const clauses = Object.keys(body.query ?? {});
  const isBound =
    Object.keys(body).some((key) => RANKED_BY_SIZE.has(key)) ||
    clauses.some((clause) => CLAUSES_RANKED_BY_SIZE.has(clause));
  return isBound ? (body.size ?? show) : Math.max(show, Math.min(window, 200));
}

// The settings as headers of the request.
export function headers(state) {
  const all = {
    "X-Rerank": state.insist ? "on" : "",
    "X-Rerank-Window": state.window,
    "X-Rerank-Fusion": state.fusion,
    "X-Rerank-Deadline-Ms": state.deadline,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

// The body with the one setting that has no header.
export function withWeight(body, state) {
  if (state.weight === "" || state.fusion !== "linear") return body;
  const rerank = { ...body.ext?.rerank, weight: Number(state.weight) };
  return { ...body, ext: { ...body.ext, rerank } };
}
