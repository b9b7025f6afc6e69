// What stands around every view: the bar, the banners, the connection, what is announced.
import { add, fill, h, kept, say } from "./dom.js";
import { time } from "./format.js";
import { on } from "./live.js";
import { icon } from "./signs.js";
import { openShortcuts } from "./shortcuts.js";
import { T } from "./texts.js";

const TOASTS = 3; // at the same time
const THEMES = ["auto", "light", "dark"];
const PAGES = [
  ["", "#/"],
  ["alarms", "#/alarms"],
  ["about", "#/about"],
];

const banners = h("div", { class: "banners" });
const voice = h("div", { class: "unseen", role: "status", "aria-live": "polite" });
const toasts = h("aside", { class: "toasts", "aria-label": T.news });
const link = h("p", { class: "link" });
let themeButton;

/** The whole page, with an empty `main`. */
export function frame() {
  themeButton = h("button", { class: "quiet row", on: { click: turnTheme } }, icon("theme"), h("span"));
  sayTheme();
  const skip = h("a", { class: "skip", href: "#main", on: { click: skipToMain } }, T.skip);
  const pages = PAGES.map(([view, href]) => h("li", {}, h("a", { href, "data-view": view }, T.views[view])));
  const help = h(
    "button",
    { class: "quiet", "aria-label": T.shortcuts.title, title: T.shortcuts.title, on: { click: openShortcuts } },
    "?",
  );
  fill(link, h("span", { class: "link-dot", "aria-hidden": "true" }), h("span", {}, T.connecting));
  link.className = "link link-wait";
  return [
    skip,
    h(
      "header",
      { class: "bar" },
      h("a", { class: "mark", href: "#/" }, T.name),
      h("nav", { "aria-label": T.navigation }, h("ul", {}, pages)),
      h("div", { class: "tools" }, link, themeButton, help),
    ),
    banners,
    h("main", { id: "main", tabindex: -1 }),
    voice,
    toasts,
  ];
}

function skipToMain(event) {
  event.preventDefault();
  document.querySelector("main").focus();
}

/** Marks the page on which one is. */
export function here(view) {
  const page = { machine: "", alarm: "alarms" }[view] ?? view;
  document.body.classList.toggle("alone", view === "login");
  for (const one of document.querySelectorAll("nav a")) {
    if (one.dataset.view === page) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
}

/** Says something to who cannot see it; and shows a link for some seconds to who can. */
export function announce(text, shown = null) {
  say(voice, "");
  requestAnimationFrame(() => say(voice, text));
  if (!shown) return;
  const toast = h("div", { class: "toast" }, shown());
  toasts.append(toast);
  while (toasts.children.length > TOASTS) toasts.firstChild.remove();
  setTimeout(() => toast.remove(), 12000);
}

/** A banner by its name, or none: on every page until it is taken away. */
export function banner(name, ...content) {
  const old = banners.querySelector(`[data-name="${name}"]`);
  if (!content.length) return old?.remove();
  if (old) return fill(old, ...content);
  return add(banners, [h("p", { class: "banner", "data-name": name, role: "status" }, ...content)]);
}

/** What the server says is wrong with itself: a full disk. */
export function problems(status) {
  const problem = status.storage?.problem;
  if (problem) banner("storage", h("strong", {}, T.storageProblem), " ", problem);
  else banner("storage");
}

function showConnection(since) {
  link.className = since === null ? "link link-live" : "link link-lost";
  fill(
    link,
    h("span", { class: "link-dot", "aria-hidden": "true" }),
    h("span", {}, since === null ? T.connected : T.disconnected),
  );
  if (since === null) banner("connection");
  else if (!document.body.classList.contains("alone"))
    banner("connection", T.lost, " ", time(since, { seconds: true }), ". ", T.reconnecting);
}

/** Goes on to the next theme: as the system, light, dark. */
export function turnTheme() {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  document.documentElement.dataset.theme = next;
  kept.set("theme", next);
  sayTheme();
  dispatchEvent(new CustomEvent("auscult-theme"));
}

function sayTheme() {
  const theme = document.documentElement.dataset.theme;
  themeButton.title = T.themeTip;
  themeButton.setAttribute("aria-label", T.themeLabel(T.themes[theme] ?? T.themes.auto));
  say(themeButton.lastChild, T.themes[theme] ?? T.themes.auto);
}

let shownSince; // undefined before the first connection
on("connection", (since) => {
  if (since !== shownSince && shownSince !== undefined) announce(since === null ? T.connectedAgain : T.disconnected);
  if (since !== shownSince) showConnection(since);
  shownSince = since;
});
