// One stream of events from the server, kept up: it connects again, and says since when it is lost.
import { query } from "./api.js";

const KINDS = ["machine", "window", "columns", "incident", "note", "threshold"];
const PAUSES = [1, 2, 4, 8, 15]; // seconds before each attempt; the last one for ever
const UNSEEN = 60; // seconds after which a page that nobody sees gives up its stream: browsers allow few per host
const SILENT = 45; // seconds without any event after which the server is asked whether it is there

const target = new EventTarget();
let source = null;
let listening = null; // the machine whose columns are wanted, or "" for none; null before the first stream
let attempt = 0;
let lostSince = null;
let heard = Date.now();
let timer = 0;
let hiding = 0;
let stale = false;

/** Calls a handler with the data of each event of a kind, until the signal; "connection" and "again" are ours. */
export function on(kind, handler, signal) {
  target.addEventListener(kind, (event) => handler(event.detail), { signal });
}

/** Opens the stream; with the columns of the spectrogram of a machine, if one is named. */
export function listen(name = "") {
  if (source && name === listening && source.readyState !== EventSource.CLOSED) return;
  listening = name;
  attempt = 0;
  open();
}

/** Ends the stream: nobody may listen now. */
export function stop() {
  close();
  listening = null;
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function open() {
  close();
  source = new EventSource(`api/live${query({ listen: listening })}`);
  source.addEventListener("open", connected);
  source.addEventListener("error", failed);
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      heard = Date.now();
      emit(kind, JSON.parse(event.data));
    });
  }
}

function emit(kind, detail) {
  target.dispatchEvent(new CustomEvent(kind, { detail }));
}

function connected() {
  heard = Date.now();
  attempt = 0;
  const again = lostSince !== null || stale;
  [lostSince, stale] = [null, false];
  emit("connection", null);
  if (again) emit("again", null);
}

async function failed() {
  close();
  if (lostSince === null) lostSince = Date.now() / 1000;
  emit("connection", lostSince);
  timer = setTimeout(open, 1000 * PAUSES[Math.min(attempt++, PAUSES.length - 1)]);
  const answer = await fetch("api/status").catch(() => null);
  if (answer?.status === 401) {
    stop();
    dispatchEvent(new CustomEvent("auscult-login"));
  }
}

setInterval(async () => {
  if (!source || Date.now() - heard < SILENT * 1000) return;
  heard = Date.now();
  const answer = await fetch("api/status").catch(() => null);
  if (!answer?.ok) failed();
}, 5000);

addEventListener("online", () => lostSince !== null && open());
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && reopen());
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, UNSEEN * 1000);
  else if (!source && listening !== null) reopen();
});

/** Opens the stream after a time in which nobody looked; what was missed is asked for. */
function reopen() {
  stale = true;
  open();
}
