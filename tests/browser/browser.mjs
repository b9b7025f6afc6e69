// A Chromium that tells on the page: what stands in its console, what it asks of other hosts, what axe finds.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const tools = createRequire(`${process.env.AUSCULT_BROWSER_TOOLS}/package.json`);
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const MORE_FLAGS = ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"];

const PATIENCE = 300_000; // milliseconds: that a machine is busy is no fault of the page

export const SIZES = { desk: [1440, 900], wall: [1920, 1080], phone: [390, 844] };

/** Starts the browser of `AUSCULT_CHROMIUM`. */
export function launch() {
  const executablePath = process.env.AUSCULT_CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: [...FLAGS, ...MORE_FLAGS] });
}

/** A page of a size and colour scheme; what is wrong with it goes into `wrong`. */
export async function opened(browser, base, wrong, { size = "desk", scheme = "light" } = {}) {
  const [width, height] = SIZES[size];
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: size === "phone" ? 2 : 1,
    hasTouch: size === "phone",
    locale: "en-GB",
    timezoneId: "UTC",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(blob|data):/.test(url)) wrong.push(`asked elsewhere: ${url}`);
  });
  return page;
}

/** What axe calls serious or critical on a page, and whether it is wider than its window. */
export async function complaints(page, where) {
  const { violations } = await page.evaluate(`${axe};axe.run()`);
  const found = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${where}: axe ${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
  const over = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
  return over > 0 ? [...found, `${where}: ${over} pixels wider than the window`] : found;
}
