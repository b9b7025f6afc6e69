// All alarms, warnings and troubles: filters, pages, and the keyboard.
import { api, newest, query as search } from "./api.js";
import { fill, h } from "./dom.js";
import { on } from "./live.js";
import { plant } from "./plant.js";
import { incidentTable } from "./rows.js";
import { T } from "./texts.js";

const LIMIT = 50;
const FILTERS = ["machine", "kind", "state", "verdict", "from", "to"];

export async function show(main, { query, signal }) {
  await plant.load();
  const chosen = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const list = h("div", { class: "list", "aria-live": "off" });
  const news = h("p", { class: "news", hidden: true });
  const pages = [null]; // the cursor of each page up to this one
  const last = newest();
  const load = async () => {
    const found = await last(api.incidents({ ...asked(chosen), limit: LIMIT, cursor: pages.at(-1) }, signal));
    if (!found) return null;
    const first = (pages.length - 1) * LIMIT;
    const more = (cursor) => {
      pages.push(cursor);
      turned();
    };
    const back = () => {
      pages.pop();
      turned();
    };
    news.hidden = true;
    if (!found.incidents.length) return fill(list, nothing(Object.values(chosen).some(Boolean)));
    return fill(
      list,
      incidentTable(found.incidents, { caption: T.alarms.caption, signal }),
      h(
        "nav",
        { class: "pages", "aria-label": T.alarms.pages },
        h("button", { class: "button", disabled: pages.length < 2, on: { click: back } }, T.alarms.newer),
        h("span", {}, T.alarms.range(first + 1, first + found.incidents.length, found.total)),
        h(
          "button",
          { class: "button", disabled: found.next === null, on: { click: () => more(found.next) } },
          T.alarms.older,
        ),
      ),
    );
  };
  const turned = async () => {
    await load();
    scrollTo({ top: 0 });
    list.querySelector(".row-link")?.focus({ preventScroll: true });
  };
  const choose = (name, value) => {
    chosen[name] = value;
    history.replaceState(null, "", `#/alarms${search(chosen)}`);
    pages.length = 1;
    load().catch((error) => fill(list, h("p", { role: "alert", class: "empty" }, error.message)));
  };
  fill(main, h("h1", { tabindex: -1 }, T.views.alarms), filters(chosen, choose), news, list);
  await load();
  const fresh = (one) => {
    const mine = one.cleared === null && pages.length === 1;
    if (mine && list.contains(document.activeElement)) {
      news.hidden = false;
      fill(news, h("button", { class: "button", on: { click: turned } }, T.alarms.fresh));
    } else if (pages.length === 1) load().catch(() => {});
  };
  on("incident", fresh, signal);
  on("again", () => load().catch(() => {}), signal);
  return T.views.alarms;
}

/** The filter as the server takes it: days from the beginning of the first to the end of the last. */
function asked({ machine, kind, state, verdict, from, to }) {
  return { machine, kind, state, verdict, start: midnight(from), end: midnight(to, 1) };
}

/** The beginning of a day, as `<input type="date">` gives it, or of one so many days later; null for none. */
function midnight(text, later = 0) {
  if (!text) return null;
  const [year, month, day] = text.split("-").map(Number);
  return new Date(year, month - 1, day + later).getTime() / 1000;
}

function filters(chosen, choose) {
  const select = (name, options) =>
    h(
      "div",
      { class: "field" },
      h("label", { for: `filter-${name}` }, T.alarms.filters[name]),
      h(
        "select",
        { id: `filter-${name}`, on: { change: (event) => choose(name, event.target.value) } },
        options.map(([value, text]) => h("option", { value, selected: chosen[name] === value }, text)),
      ),
    );
  const date = (name) =>
    h(
      "div",
      { class: "field" },
      h("label", { for: `filter-${name}` }, T.alarms.filters[name]),
      h("input", {
        id: `filter-${name}`,
        type: "date",
        value: chosen[name],
        on: { change: (event) => choose(name, event.target.value) },
      }),
    );
  const all = ["", T.alarms.all];
  return h(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": T.alarms.filter,
      on: { submit: (event) => event.preventDefault() },
    },
    select("machine", [all, ...plant.all().map((one) => [one.name, one.title || one.name])]),
    select("kind", [all, ...["alarm", "warning", "trouble"].map((one) => [one, T.kinds[one]])]),
    select("state", [all, ["open", T.open], ["over", T.over]]),
    select("verdict", [
      all,
      ["none", T.alarms.unheard],
      ["normal", T.note.verdicts.normal],
      ["fault", T.note.verdicts.fault],
    ]),
    date("from"),
    date("to"),
  );
}

function nothing(filtered) {
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, filtered ? T.alarms.noMatch : T.alarms.none),
    h("p", {}, filtered ? T.alarms.noMatchHow : T.alarms.noneHow),
  );
}
