// Grades from 0 to 3, kept in this browser by index and words, and what they say about two orders.

const KEY = "rerank-playground.judgments";
export const GRADES = [
  { grade: 0, name: "irrelevant" },
  { grade: 1, name: "related" },
  { grade: 2, name: "relevant" },
  { grade: 3, name: "perfect" },
];

export class Judgments {
  // `given` are grades that came with the program, which the user's own override: [{index, query, judgments}].
  constructor(storage, given = []) {
    this._storage = storage;
    this._given = new Map(given.map((each) => [topic(each.index, each.query), each.judgments]));
    this._own = read(storage);
  }

  of(index, words) {
    const own = this._own[topic(index, words)] ?? {};
    const all = { ...this._given.get(topic(index, words)), ...own };
    return new Map(Object.entries(all).filter(([, grade]) => grade !== null));
  }

  ownCount(index, words) {
    return Object.values(this._own[topic(index, words)] ?? {}).filter((grade) => grade !== null).length;
  }

  // null takes a grade back, also one that came with the program.
  set(index, words, id, grade) {
    const key = topic(index, words);
    this._own[key] = { ...this._own[key], [id]: grade };
    this._storage.setItem(KEY, JSON.stringify(this._own));
  }

  clear(index, words) {
    delete this._own[topic(index, words)];
    this._storage.setItem(KEY, JSON.stringify(this._own));
  }

  // Judged searches of an index: [{id, words, grades}], ids counted from q1.
  topics(index) {
    const keys = [...new Set([...Object.keys(this._own), ...this._given.keys()])];
    return keys
      .map((key) => JSON.parse(key))
      .filter(([of]) => of === index)
      .map(([, words]) => ({ words, grades: this.of(index, words) }))
      .filter(({ grades }) => grades.size)
      .map((each, place) => ({ id: `q${place + 1}`, ...each }));
  }
}

const topic = (index, words) => JSON.stringify([index, words.trim()]);

function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

// nDCG@k as trec_eval computes it: the gain of a hit is its grade, the discount log2(rank + 1), what is not judged has
// grade 0, and the ideal order is that of all judgments. null where nothing relevant is known.
export function ndcg(ids, grades, k = 10) {
  const ideal = dcg([...grades.values()].sort((one, other) => other - one).slice(0, k));
  return ideal > 0 ? dcg(ids.slice(0, k).map((id) => grades.get(id) ?? 0)) / ideal : null;
}

function dcg(gains) {
  return gains.reduce((sum, gain, place) => sum + gain / Math.log2(place + 2), 0);
}

// TREC qrels: topic, 0, document, grade. White space in an id would break the line.
export function trec(topics) {
  return lines(topics, (each, id, grade) => `${each.id} 0 ${id.replace(/\s/gu, encodeURIComponent)} ${grade}`);
}

// Quepid's CSV, which holds the words, too.
export function csv(topics) {
  return `query,docid,rating\n${lines(topics, (each, id, grade) => [quoted(each.words), quoted(id), grade].join(","))}`;
}

function lines(topics, line) {
  return topics
    .flatMap((each) => [...each.grades].map(([id, grade]) => `${line(each, id, grade)}\n`))
    .join("");
}

// Judged searches with their ids, as `evaluate` reads them beside TREC qrels.
export function queries(topics) {
  return topics.map((each) => `${JSON.stringify({ _id: each.id, text: each.words })}\n`).join("");
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
