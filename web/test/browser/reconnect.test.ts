// The service dies and comes back while taps go on being recorded.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser } from "puppeteer-core";
import { assertCalm, close, enter, launch, live, says, tapIds, text, visit } from "./browser";
import { Installation, database, makeTeam } from "./installation";

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

test("each tap is in the ticker once, in order, and the total is what QueryTaps says", async () => {
  const team = await makeTeam([{ uid: "a" }, { uid: "b" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  const quotas = new Set<string | undefined>();
  page.on("response", (response) => quotas.add(response.headers()["ratelimit-policy"]?.split(";")[0]));

  // Records a tap again until it is taken; its id keeps it from being counted twice.
  const recorded: string[] = [];
  let recording = true;
  const recorder = (async () => {
    while (recording) {
      const tap = { tagUid: recorded.length % 2 ? "a" : "b", tapId: randomUUID(), tappedAt: new Date().toISOString() };
      while (!(await installation.record(team.writer, [tap]).then(() => true, () => false))) await sleep(100);
      recorded.push(tap.tapId);
      await sleep(60);
    }
  })();

  for (const end of [() => installation.killService(), () => installation.stopService()]) {
    await sleep(1000);
    await end();
    await says(page, "status", "Reconnecting");
    await sleep(500);
    await installation.startService();
    await sleep(1000);
  }
  recording = false;
  await recorder;

  await live(page);
  const wanted = recorded.length;
  assert.ok(wanted > 20, `only ${wanted} taps were recorded`);
  await page.waitForFunction((wanted) => document.querySelectorAll("#ticker li.tap").length >= wanted, { timeout: 20_000 }, wanted);
  await says(page, "total", String(wanted), 20_000);
  // Nothing more comes.
  await sleep(1000);
  assert.deepEqual(await tapIds(page), recorded);
  const today = new Date();
  const day = (days: number) => new Date(today.getTime() + days * 86_400_000).toISOString().slice(0, 10);
  assert.equal(await installation.total(team.reader, day(-7), day(1)), wanted);
  assert.equal(await text(page, "total"), String(wanted));
  assert.equal(await page.$$eval("#ticker li.note", (notes) => notes.length), 0);
  // To come back cost no query.
  quotas.delete(undefined);
  assert.deepEqual([...quotas], ['"stream"']);
  await close(page);
});

test("a page that nobody looks at lets go of its connections, and misses nothing", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  // A minute is too long for a test.
  await page.evaluate("{ const real = setTimeout; window.setTimeout = (work, ms) => real(work, ms === 60000 ? 50 : ms); }");
  // As text: what the compiler makes of a function in a function does not run in the page.
  const look = (away: boolean) =>
    page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, value: ${String(away)} });
      document.dispatchEvent(new Event("visibilitychange"))`);
  await enter(page, team.reader);
  await look(true);
  await says(page, "status", "Paused");
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "a" }]);
  await sleep(500);
  assert.equal(await text(page, "total"), "0");
  await look(false);
  await says(page, "total", "2");
  await page.waitForFunction(() => document.querySelectorAll("#ticker li.tap").length === 2);
  assertCalm(page);
  await close(page);
});

test("a key is entered while the service is down: the page opens when it is back", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  await installation.killService();
  await page.type("#key", `${team.reader}\n`);
  await says(page, "key-message", /cannot be reached\. Trying again/);
  await installation.startService();
  await live(page);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await close(page);
});

test("a key is entered while the database is down: the page says so, and opens when it is back", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  await database("stop");
  try {
    await page.type("#key", `${team.reader}\n`);
    await says(page, "key-message", /does not reach its database\. Trying again/, 15_000);
  } finally {
    await database("start");
  }
  await live(page);
  await close(page);
});
