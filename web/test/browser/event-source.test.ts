// What the README shows for pages of others: an EventSource with a token, from another origin, through Envoy.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { assertCalm, close, launch, visit } from "./browser";
import { Installation, SOON, endingIn, makeKey, makeTeam } from "./installation";

let installation: Installation;
let browser: Browser;
// Another origin, with a page that has nothing in it.
let elsewhere: Server;
let snippet: string;

before(async () => {
  const readme = await readFile(resolve(import.meta.dirname, "../../../README.md"), "utf8");
  snippet = /^```js\n(async function follow.*?)^```$/ms.exec(readme)?.[1] ?? assert.fail("the README shows it");
  installation = await Installation.start();
  browser = await launch();
  elsewhere = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end('<!doctype html><link rel="icon" href="data:,">');
  });
  await new Promise<void>((listening) => elsewhere.listen(0, "127.0.0.1", listening));
});

after(async () => {
  elsewhere?.close();
  await browser?.close();
  await installation?.end();
});

interface Shown {
  hello?: object;
  tap?: { tagUid: string };
  end?: { reason: string };
  details?: { reason?: string }[];
}

// A page of somebody else, which runs this with what the snippet takes for granted.
async function run(script: string, given: Record<string, string>): Promise<Page> {
  const here = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  const page = await visit(browser, here, { calls: installation.url });
  const content = `const shown = []; const show = (frame) => shown.push(frame);
    const { url, key, token } = ${JSON.stringify({ url: installation.url, ...given })};
    ${script}`;
  await page.addScriptTag({ content });
  return page;
}

const shown = (page: Page) => page.evaluate("shown") as Promise<Shown[]>;

// Waits until something that was shown is like this, and says how long that took.
async function shows(page: Page, what: string, like: (frame: Shown) => boolean, timeout = 5000): Promise<number> {
  const start = performance.now();
  for (let all: Shown[] = []; !all.some(like); all = await shown(page)) {
    assert.ok(performance.now() - start < timeout, `${what}, in ${JSON.stringify(all)}`);
    await sleep(10);
  }
  return performance.now() - start;
}

test("the example of the README follows the taps, also past a cut, until the key is revoked", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const admin = await makeKey(team.slug, "admin");
  const page = await run(snippet, { key: team.reader });
  await shows(page, "it begins", ({ hello }) => hello !== undefined);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await shows(page, "the tap", ({ tap }) => tap?.tagUid === "a", 1000);
  assertCalm(page);

  // While nobody is there it waits, and then it has missed nothing.
  await installation.stopService();
  await shows(page, "an end", ({ end }) => end?.reason === "DRAINING");
  await sleep(1500);
  await installation.startService();
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "a" }]);
  for (const end = Date.now() + 10_000; (await shown(page)).filter(({ tap }) => tap).length < 3; await sleep(20)) {
    assert.ok(Date.now() < end, "the taps after the cut");
  }

  await installation.call("DELETE", `/v1/apiKeys/${await installation.keyId(team.reader)}`, admin);
  const took = await shows(page, "the end", ({ end }) => end?.reason === "API_KEY_REVOKED", 1000);
  assert.ok(took < 1000, `it took ${took} ms`);
  // And then it stops.
  await shows(page, "why it stops", ({ details }) => details?.[0]?.reason === "API_KEY_INVALID");
  const all = await shown(page);
  assert.equal(all.filter(({ tap }) => tap).length, 3);
  await sleep(1500);
  assert.deepEqual(await shown(page), all);
  await close(page);
});

test("an EventSource whose token ends is told so, and not let in again; one with a key is not let in at all", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const source = `const source = new EventSource(\`\${url}/v1/taps:stream?access_token=\${token}\`);
    source.onmessage = ({ data }) => show(JSON.parse(data));
    source.onerror = () => source.readyState === EventSource.CLOSED && show({ end: { reason: "refused" } });`;
  const page = await run(source, { token: await endingIn(await installation.token(team.reader), SOON) });
  await shows(page, "it begins", ({ hello }) => hello !== undefined);
  await shows(page, "the end", ({ end }) => end?.reason === "ACCESS_TOKEN_EXPIRED", 30_000);
  // It comes back by itself, after some seconds.
  await shows(page, "a refusal", ({ end }) => end?.reason === "refused", 10_000);
  await close(page);

  const other = await run(source, { token: team.reader });
  await shows(other, "a refusal", ({ end }) => end?.reason === "refused");
  assert.equal((await shown(other)).length, 1);
  await close(other);
});
