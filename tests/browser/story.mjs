// The story of a morning: a fault raises an alarm; it is heard, seen, called a fault; another one is called normal; undone.
// usage: node story.mjs BASE MACHINE. It prints what is wrong, a line each, and ends with 1 if anything is.
import assert from "node:assert/strict";
import { complaints, launch, opened } from "./browser.mjs";

const [base, machine] = process.argv.slice(2);
const wrong = [];
const browser = await launch();
const page = await opened(browser, base, wrong);
const text = (selector) => page.textContent(selector);
const step = (name) => console.log(`# ${name}`);

async function story() {
  step("machines at a glance");
  await page.goto(`${base}/`);
  await page.waitForSelector(`.card[href="#/machine/${machine}"] .spark`);

  step("the machine, live");
  await page.click(`.card[href="#/machine/${machine}"]`);
  await page.waitForSelector(".uplot");
  await page.waitForSelector(".spectrum-wait", { state: "hidden" });

  step("the alarm appears in the open list, by itself");
  await page.click("nav >> text=Alarms");
  await page.selectOption("#filter-kind", "alarm");
  await page.goto(`${base}/#/alarms?kind=alarm&machine=${machine}`);
  await page.waitForSelector(`#filter-machine >> text=${machine}`, { state: "attached" });
  await page.waitForFunction(() => document.querySelectorAll(".row-link").length > 1, null, { timeout: 1_800_000 });
  const alarms = await page.$$eval(".row-link", (links) => links.map((link) => link.getAttribute("href")));

  step("by keyboard: down, space plays, Enter opens");
  await page.focus(".row-link");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press(" ");
  await page.waitForSelector('.play[aria-pressed="true"]');
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/${alarms[1]}`);

  step("play it, and louder");
  await page.waitForSelector(".picture canvas");
  const player = page.locator(".sound .player").first();
  const second = () => player.locator(".seek").inputValue().then(Number);
  await player.locator(".play").click();
  await page.waitForFunction(() => Number(document.querySelector(".seek").value) > 0.2);
  await player.locator('text="+24 dB"').click();
  await page.click("text=Play the worst window");
  const before = await second();
  await page.waitForFunction((then) => Number(document.querySelector(".seek").value) > then, before);
  await player.locator(".play").click();

  step("see the evidence");
  const orange = () =>
    page.$eval(".picture canvas", (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += data[at] > 200 && data[at + 2] < 90;
      return count;
    });
  assert.ok((await orange()) > 50, "no evidence in the picture");
  await page.click('.picture-foot button:text-is("Evidence")');
  assert.equal(await orange(), 0, "evidence stays when it is switched off");
  const beside = page.locator(".sound .player").nth(1).or(page.getByText("No normal sound can be shown"));
  assert.ok(await beside.isVisible(), "neither the nearest normal sound nor why there is none");

  step("it was a fault");
  await page.fill(".note-form textarea", "the rail <b>was</b> worn");
  await page.fill(".note-form input", "Ines");
  await page.click("text=This was a fault");
  await page.waitForSelector(".note-fault");
  assert.match(await text(".note-text"), /<b>was<\/b>/, "what people write is text");

  step("another one was normal, and the threshold that follows from it");
  await page.goto(`${base}/${alarms[0]}`);
  await page.click("text=This was normal");
  await page.waitForSelector(".proposal");
  const choice = page.locator('.proposal [data-choice="take"]');
  const offered = await choice.count();
  if (offered) {
    await choice.click();
    await page.waitForSelector("text=The threshold is now");
  }

  step("reload, undo");
  await page.reload();
  await page.waitForSelector(".note-normal");
  await page.click(".note-normal button");
  await page.waitForSelector(".note-undone");
  if (offered) await page.waitForSelector("text=The threshold goes back");
  await page.reload();
  await page.waitForSelector(".note-undone");

  step("how many faults were heard");
  await page.goto(`${base}/#/machine/${machine}`);
  assert.match(await text(".panel-heard .big-figure"), /^1 \/ 1/);

  step("the trend, from a minute to a year, by keyboard and by mouse");
  await page.waitForSelector(".uplot");
  for (const span of ["1 min", "1 h", "1 w", "1 y", "1 d"]) {
    const answered = page.waitForResponse((answer) => answer.url().includes("/scores?"));
    await page.click(`.trend-bar button:text-is("${span}")`);
    assert.equal((await answered).status(), 200);
  }
  const answered = page.waitForResponse((answer) => answer.url().includes("/scores?"));
  await page.focus(".trend-chart");
  await page.keyboard.press("+");
  await answered;
  await page.keyboard.press("m");
  await page.click(".mark-panel >> text=This was a fault");
  await page.waitForSelector(".marking .said-it");
  return alarms;
}

async function views(alarm) {
  const places = { machines: "#/", machine: `#/machine/${machine}`, alarms: "#/alarms", alarm, about: "#/about" };
  for (const [size, scheme] of [
    ["desk", "light"],
    ["desk", "dark"],
    ["phone", "light"],
  ]) {
    step(`axe: ${size}, ${scheme}`);
    const other = await opened(browser, base, wrong, { size, scheme });
    for (const [name, hash] of Object.entries(places)) {
      await other.goto(`${base}/${hash}`);
      await other.waitForSelector({ machine: ".uplot", alarm: ".picture canvas" }[name] ?? "main h1");
      wrong.push(...(await complaints(other, `${name}, ${size}, ${scheme}`)));
    }
    await other.context().close();
  }
}

try {
  const alarms = await story();
  await views(alarms[1]);
} catch (error) {
  wrong.push(error.stack);
  await page.screenshot({ path: process.env.AUSCULT_BROWSER_PICTURE ?? "story.png" }).catch(() => {});
}
await browser.close();
for (const one of wrong) console.log(one);
process.exit(wrong.length ? 1 : 0);
