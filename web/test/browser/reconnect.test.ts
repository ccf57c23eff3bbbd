// The service dies and comes back while taps go on being recorded.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser } from "puppeteer-core";
import { close, enter, launch, live, says, tapIds, text, visit } from "./browser";
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

test("each tap is in the ticker once, in order, and the total is what QueryTaps says", async () => {
  const team = await makeTeam([{ uid: "a" }, { uid: "b" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);

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

  for (let times = 0; times < 2; times++) {
    await sleep(1000);
    await installation.killService();
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
  // To come back costs nothing: two watches and a stream are all that were opened.
  assert.match(await text(page, "quota"), /^9[78] of 100 queries left$/);
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
