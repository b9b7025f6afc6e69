// Small parts that several views share.
import { fill, h } from "./dom.js";

/** A list of facts: pairs of a name and what is to be said; pairs without anything to say are left out. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A row of buttons of which one is on; `choose` gets its key. */
export function choice(label, options, chosen, choose, { small = false } = {}) {
  const group = h("div", { class: small ? "choice small" : "choice", role: "group", "aria-label": label });
  const mark = (key) => {
    for (const one of group.children) one.setAttribute("aria-pressed", String(one.dataset.key === key));
  };
  const pick = (key) => {
    mark(key);
    choose(key);
  };
  fill(
    group,
    options.map(([key, text, tip]) =>
      h("button", { type: "button", "data-key": key, title: tip, on: { click: () => pick(key) } }, text),
    ),
  );
  mark(chosen);
  return Object.assign(group, { mark });
}

/** A button that is on or off; `turn` gets which. */
export function toggle(text, pressed, turn, tip = null) {
  const button = h("button", { type: "button", class: "toggle", "aria-pressed": String(pressed), title: tip });
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    turn(now);
  });
  return fill(button, text);
}
