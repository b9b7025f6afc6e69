// The page: which view a hash shows, what stands around it, and how it is left.
import { api, ApiError } from "./api.js";
import { fill, h } from "./dom.js";
import { announce, frame, here, problems } from "./frame.js";
import * as live from "./live.js";
import { plant } from "./plant.js";
import { shortcuts } from "./shortcuts.js";
import { T } from "./texts.js";
import { kindSign } from "./signs.js";

const VIEWS = {
  "": () => import("./machines.js"),
  machine: () => import("./machine.js"),
  alarms: () => import("./alarms.js"),
  alarm: () => import("./alarm.js"),
  about: () => import("./about.js"),
  login: () => import("./login.js"),
};

let leave = new AbortController();
let first = true;
let titled = T.name;

/** The view of the present address: `#/machine/NAME?key=value`. */
function address() {
  if (location.pathname.endsWith("/login")) return { view: "login", name: "", query: new URLSearchParams() };
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return {
    view: Object.hasOwn(VIEWS, view) ? view : "",
    name: decoded(rest.join("/")),
    query: new URLSearchParams(search),
  };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed it
  }
}

async function show({ asLogin = false } = {}) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { view, name, query } = asLogin ? { ...address(), view: "login" } : address();
  const main = document.querySelector("main");
  here(view);
  fill(main, h("p", { class: "loading", role: "status" }, T.loading));
  if (view !== "login") live.listen(view === "machine" ? name : "");
  let again = () => show();
  try {
    const module = await VIEWS[view]().catch(() => {
      // Browsers may remember that a part of the page did not come.
      again = () => api.status().then(() => location.reload(), () => {});
      throw new ApiError(T.unreachable, 0);
    });
    const title = await module.show(main, { name, query, signal, again: () => show() });
    if (signal.aborted) return;
    titled = title ? `${title} – ${T.name}` : T.name;
    retitle();
    if (!first) main.querySelector("h1")?.focus();
    first = false;
  } catch (error) {
    if (signal.aborted || error.name === "AbortError" || error.status === 401) return;
    const retry = h("button", { class: "button", on: { click: () => again() } }, T.again);
    fill(
      main,
      h(
        "section",
        { class: "empty", role: "alert" },
        h("h1", { tabindex: -1 }, T.failed),
        h("p", {}, error.message),
        retry,
      ),
    );
    if (!error.status) console.warn(error.message);
  }
}

/** The title of the tab: how many machines sound wrong, for whoever looks at another one. */
function retitle() {
  const wrong = plant.all().filter((one) => one.state === "alarm").length;
  document.title = wrong ? `(${wrong}) ${titled}` : titled;
}

async function status() {
  if (address().view === "login") return;
  const found = await api.status().catch(() => null);
  if (found) problems(found);
}

fill(document.querySelector("#app"), frame());
shortcuts();
addEventListener("hashchange", () => show());
addEventListener("auscult-login", () => {
  live.stop();
  if (!document.querySelector("main form.login")) show({ asLogin: true });
});
const announced = new Set();
live.on("incident", async (incident) => {
  if (incident.kind !== "alarm" || incident.cleared !== null || announced.has(incident.id)) return;
  if (address().view === "alarm" && address().name === incident.id) return;
  announced.add(incident.id);
  await plant.load().catch(() => []); // its name for people
  announce(
    T.newIncident(T.kinds[incident.kind], plant.title(incident.machine), incident.words || incident.message),
    () =>
      h(
        "a",
        { class: "toast-link", href: `#/alarm/${encodeURIComponent(incident.id)}` },
        kindSign(incident.kind),
        plant.title(incident.machine),
      ),
  );
});
live.on("again", () => status());
live.on("machine", retitle);
setInterval(status, 60000);
status();
show();
