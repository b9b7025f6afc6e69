// Everything that is asked of the server. A failure is an ApiError with a sentence for people.
import { T } from "./texts.js";

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** A query string of what is neither null nor empty. */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

async function ask(path, { signal, method = "GET", json, body, type } = {}) {
  const headers = json === undefined ? (type ? { "Content-Type": type } : {}) : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(path, { method, signal, headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(T.unreachable, 0);
  }
  const data = await answer.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null; // no JSON: a proxy says something of its own
  });
  if (answer.ok) return data;
  if (answer.status === 401 && path !== "login") dispatchEvent(new CustomEvent("auscult-login"));
  throw new ApiError(data?.error || T.refused(answer.status), answer.status);
}

/** Gives a function that waits for an answer, and gives null instead if it was called again since. */
export function newest() {
  let last = 0;
  return async (answer) => {
    const mine = ++last;
    try {
      const found = await answer;
      return mine === last ? found : null;
    } catch (error) {
      if (mine === last) throw error;
      return null;
    }
  };
}

const at = encodeURIComponent;

export const api = {
  status: (signal) => ask("api/status", { signal }),
  machines: async (signal) => (await ask("api/machines", { signal })).machines,
  machine: (name, signal) => ask(`api/machines/${at(name)}`, { signal }),
  scores: (name, range, signal) => ask(`api/machines/${at(name)}/scores${query(range)}`, { signal }),
  incidents: (filter, signal) => ask(`api/incidents${query(filter)}`, { signal }),
  incident: (id, signal) => ask(`api/incidents/${at(id)}`, { signal }),
  evidence: (id, signal) => ask(`api/incidents/${at(id)}/evidence`, { signal }),
  notes: (filter, signal) => ask(`api/notes${query(filter)}`, { signal }),
  addNote: (note) => ask("api/notes", { method: "POST", json: note }),
  undo: (number, author) => ask(`api/notes/${at(number)}/undo`, { method: "POST", json: { author } }),
  threshold: (name, choice) => ask(`api/machines/${at(name)}/threshold`, { method: "POST", json: choice }),
  score: (name, file, signal) =>
    ask(`api/machines/${at(name)}/score?evidence=true`, {
      method: "POST",
      body: file,
      type: "application/octet-stream",
      signal,
    }),
  login: (token, name) => ask("login", { method: "POST", json: { token, name } }),
  logout: () => ask("logout", { method: "POST" }),
  sound: (id) => `api/incidents/${at(id)}/sound`,
  nearest: (id) => `api/incidents/${at(id)}/nearest`,
};

/** The bytes of a grid as base64, `[frames x bands]`, band 0 the lowest. */
export function bytes(grid) {
  const text = atob(grid.data);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}
