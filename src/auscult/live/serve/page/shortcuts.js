// Keys that work everywhere, and the list of all of them.
import { h } from "./dom.js";
import { turnTheme } from "./frame.js";
import { T } from "./texts.js";

let dialog = null;

/** Whether a key belongs to what has the focus: a field, a list, a slider. */
export function typing(event) {
  return (
    event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, dialog[open]")
  );
}

/** Opens the list. */
export function openShortcuts() {
  dialog ??= build();
  if (!dialog.open) dialog.showModal();
}

/** Listens to the keys of every page. */
export function shortcuts() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || typing(event)) return;
    const go = { 1: "#/", 2: "#/alarms", 3: "#/about" }[event.key];
    if (go) location.hash = go;
    else if (event.key === "t") turnTheme();
    else if (event.key === "?") openShortcuts();
    else return;
    event.preventDefault();
  });
}

function build() {
  const close = h("button", { class: "button", on: { click: () => found.close() } }, T.close);
  const parts = T.shortcuts.groups.map(([title, keys]) =>
    h(
      "section",
      {},
      h("h3", {}, title),
      h(
        "dl",
        { class: "keys" },
        keys.map(([key, what]) =>
          h(
            "div",
            {},
            h(
              "dt",
              {},
              key.split(" ").map((one) => h("kbd", {}, one)),
            ),
            h("dd", {}, what),
          ),
        ),
      ),
    ),
  );
  const found = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, T.shortcuts.title),
    h("div", { class: "key-groups" }, parts),
    h("p", { class: "row-end" }, close),
  );
  document.body.append(found);
  return found;
}
