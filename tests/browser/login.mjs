// The way in: who opens the page is asked for the token, told when it is wrong, let in when it is right, and out again.
// usage: node login.mjs BASE TOKEN FOLDER. It prints what is wrong, a line each, and ends with 1 if anything is.
import assert from "node:assert/strict";
import { complaints, launch, opened } from "./browser.mjs";

const [base, token, folder] = process.argv.slice(2);
const wrong = [];
const browser = await launch();

async function way(size, scheme) {
  const page = await opened(browser, base, wrong, { size, scheme });
  const where = `login, ${size}, ${scheme}`;
  await page.goto(`${base}/#/alarms`);
  await page.waitForSelector("form.login");
  assert.ok(await page.evaluate(() => document.activeElement.id === "token"), "the token has no focus");
  wrong.push(...(await complaints(page, where)));
  await page.screenshot({ path: `${folder}/login-${size}-${scheme}.png` });
  const before = wrong.length;
  await page.fill("#token", "guess");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".wrong-input:not(:empty)");
  wrong.splice(before); // that it is refused stands in the browser's console, too
  wrong.push(...(await complaints(page, `${where}, refused`)));
  await page.screenshot({ path: `${folder}/login-refused-${size}-${scheme}.png` });
  await page.fill("#token", token);
  await page.fill("#name", "Ines");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#filter-kind"); // where one wanted to go
  await page.goto(`${base}/#/about`);
  await page.click("text=Log out");
  await page.waitForSelector("form.login");
  await page.context().close();
}

try {
  for (const scheme of ["light", "dark"]) for (const size of ["desk", "phone"]) await way(size, scheme);
} catch (error) {
  wrong.push(error.stack);
}
await browser.close();
for (const one of wrong) console.log(one);
process.exit(wrong.length ? 1 : 0);
