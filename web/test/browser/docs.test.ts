// The documentation of the API in a browser, through Envoy: what it shows can be tried.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "puppeteer-core";
import { assertCalm, close, launch, visit } from "./browser";
import { Installation, makeTeam } from "./installation";

let installation: Installation;
let browser: Browser;

before(async () => {
  installation = await Installation.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await installation?.end();
});

const block = (operation: string) => `#operations-TapAnalytics-${operation}`;

// Opens an operation, and waits until it is there.
async function open(page: Page, operation: string): Promise<void> {
  await page.click(`${block(operation)} .opblock-summary-control`);
  await page.waitForSelector(`${block(operation)} .responses-inner`);
}

async function textOf(page: Page, selector: string): Promise<string> {
  await page.waitForSelector(selector);
  return page.$eval(selector, (element) => element.textContent ?? "");
}

test("an operation is tried with a key, and nothing is kept or asked of others", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  await installation.record(team.writer, [{ tagUid: "a", tappedAt: "2023-05-01T12:00:00Z" }]);
  const page = await visit(browser, `${installation.url}/docs`);
  await page.waitForSelector(block("QueryTaps"));

  await page.click(".auth-wrapper .authorize");
  await page.type(".auth-container input", team.reader);
  await page.click(".auth-btn-wrapper .authorize");
  await page.click(".auth-btn-wrapper .btn-done");

  await open(page, "QueryTaps");
  await page.click(`${block("QueryTaps")} .execute`);
  const answer = `${block("QueryTaps")} .live-responses-table .response`;
  assert.match(await textOf(page, `${answer} .response-col_status`), /^200/);
  const body = JSON.parse(await textOf(page, `${answer} .response-col_description .highlight-code code`)) as { total: number };
  assert.equal(body.total, 1);
  assert.match(await textOf(page, `${answer} .response-col_description`), /x-ratelimit-remaining: 99/);

  // A stream has no end to wait for.
  await open(page, "StreamTaps");
  assert.equal(await page.$(`${block("StreamTaps")} .execute`), null);
  assert.match(await textOf(page, block("StreamTaps")), /RESUME_TOKEN_EXPIRED/);

  const kept = await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length);
  assert.equal(kept, 0);
  await page.reload();
  await page.waitForSelector(".auth-wrapper .authorize.unlocked");
  assertCalm(page);
  await close(page);
});

test("a reason in an answer leads to what is said of it", async () => {
  const page = await visit(browser, `${installation.url}/docs`);
  await page.waitForSelector(block("QueryTaps"));
  await open(page, "QueryTaps");
  const link = `${block("QueryTaps")} a[href$="/docs/errors#TAG_NOT_FOUND"]`;
  await page.goto(await page.$eval(link, (link) => (link as HTMLAnchorElement).href));
  assert.match(await textOf(page, "tr:target"), /^TAG_NOT_FOUND.*404/);
  assert.match(await textOf(page, "h1"), /^Errors$/);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false);
  assertCalm(page);
  await close(page);
});
