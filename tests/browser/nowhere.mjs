// As much of a browser as modules of the page need without one: elements that remember what they were given.

class Element extends EventTarget {
  attributes = {};
  children = [];
  dataset = {};
  style = { setProperty() {} };
  classList = { add() {}, remove() {}, toggle() {} };
  #text = "";

  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  append(...nodes) {
    this.children.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.children = nodes;
  }
  get textContent() {
    return this.#text + this.children.map((one) => one.textContent).join(" ");
  }
  set textContent(text) {
    [this.children, this.#text] = [[], text];
  }
  contains() {
    return false;
  }
  querySelector() {
    return null;
  }
  querySelectorAll() {
    return [];
  }
}

class Sound extends Element {
  static all = [];
  paused = true;

  constructor() {
    super();
    Sound.all.push(this);
  }

  async play() {
    this.paused = false;
  }
  pause() {
    this.paused = true;
  }
}

/** The first element with an attribute of a value, at or below another one. */
export function find(element, name, value) {
  if (element.attributes[name] === value) return element;
  return element.children.map((one) => find(one, name, value)).find(Boolean);
}

const made = () => new Element();
Object.assign(globalThis, {
  Node: Element,
  Audio: Sound,
  document: Object.assign(new Element(), {
    createElement: made,
    createElementNS: made,
    createTextNode: (text) => Object.assign(made(), { textContent: text }),
  }),
  history: { replaceState() {} },
  addEventListener() {},
  requestAnimationFrame() {},
  setInterval() {},
});
