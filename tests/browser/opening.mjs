// Milliseconds from asking for the page to the last machine's card, five times in a fresh browser context, as JSON.
// usage: node opening.mjs BASE
import { launch, opened } from "./browser.mjs";

const [base] = process.argv.slice(2);
const browser = await launch();
const times = [];
for (let turn = 0; turn < 6; turn++) {
  const page = await opened(browser, base, []);
  const begun = performance.now();
  await page.goto(`${base}/`);
  await page.waitForFunction(() => document.querySelectorAll(".card").length >= 20, null, { polling: "raf", timeout: 60_000 });
  if (turn) times.push(performance.now() - begun);
  await page.context().close();
}
await browser.close();
console.log(JSON.stringify(times));
