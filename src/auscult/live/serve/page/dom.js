// Building the page: elements from plain values. Text is always text: nothing given here is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. props: attributes; `on`: listeners; `style`: CSS properties; a function `ref` gets the element. */
export function h(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/** Appends texts, nodes and lists of them; nothing for null and false. */
export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Replaces all that an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/** Sets a text only where it differs, so that nothing is laid out or announced again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/** A colour of the theme as a canvas understands it: `--name` resolved where `element` stands. */
export function colour(name, element = document.body) {
  const probe = h("span", { style: { color: `var(${name})`, display: "none" } });
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The size of an element in CSS pixels to a handler, now and whenever it changes; ends with the signal. */
export function sized(element, handler, signal) {
  let last = 0;
  const watch = new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== last) requestAnimationFrame(() => handler((last = width)));
  });
  watch.observe(element);
  signal.addEventListener("abort", () => watch.disconnect());
}

/** Calls a handler whenever the colours of the page change. */
export function recoloured(handler, signal) {
  addEventListener("auscult-theme", handler, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", handler, { signal });
}

const memory = new Map();

/** Something kept in the browser; as long as the page is open where storage is forbidden. */
export const kept = {
  get(name, otherwise = "") {
    try {
      return memory.get(name) ?? localStorage.getItem(`auscult-${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    memory.set(name, value);
    try {
      localStorage.setItem(`auscult-${name}`, value);
    } catch {
      // it is kept in memory alone
    }
  },
};
