// Who is let in: keys, tokens, how long, and what is left of a key in the page.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import type { Browser, Page } from "puppeteer-core";
import { assertCalm, close, enter, launch, live, memory, retype, says, tapIds, text, visit } from "./browser";
import { Installation, SOON, endingIn, makeKey, makeTeam, revokeReaders } from "./installation";

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

const PLACE = "tap-analytics-token";
const stored = (page: Page) => page.evaluate((place) => sessionStorage.getItem(place), PLACE);
const hidden = (page: Page, id: string) => page.$eval(`#${id}`, (element) => element.hasAttribute("hidden"));
// Loads the page again with another token in the place of its own.
async function swap(page: Page, token: string): Promise<void> {
  await page.evaluate((place, token) => sessionStorage.setItem(place, token), PLACE, token);
  await page.reload();
}

test("the key is traded for a token, and then it is nowhere any more", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  const [withKey, withToken]: [string[], string[]] = [[], []];
  page.on("request", (request) => {
    const sent = `${request.url()} ${JSON.stringify(request.headers())} ${request.postData() ?? ""}`;
    if (sent.includes(team.reader)) withKey.push(new URL(request.url()).pathname);
    if (request.headers()["authorization"]?.startsWith(`Bearer tap_${team.number}_ey`)) withToken.push(request.url());
  });
  await page.type("#key", team.reader);
  const shows = await page.$eval("input#key", (field) => [getComputedStyle(field).getPropertyValue("-webkit-text-security"), field.type]);
  assert.deepEqual(shows, ["disc", "text"]);
  await page.keyboard.press("Enter");
  await live(page);
  await says(page, "who", `${team.slug} · reader`);
  await says(page, "until", /^signed in until \d\d:\d\d$/);
  await says(page, "quota", "98 of 100 queries left");
  assert.deepEqual(withKey, ["/tap.v1.ApiKeys/IssueToken"]);
  assert.equal(withToken.length, 4, withToken.join());

  await page.click("#leave");
  // Not by "undo" either.
  await page.focus("#key");
  for (const keys of [["Control", "z"], ["Control", "Shift", "z"]] as const) {
    for (const key of keys) await page.keyboard.down(key);
    for (const key of keys) await page.keyboard.up(key);
  }
  const second = await makeKey(team.slug, "reader");
  await enter(page, second);
  const token = (await stored(page)) ?? "no token";
  const places = await page.evaluate(async () => ({
    document: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll("input")].map((input) => input.value).join(),
    address: location.href,
    history: JSON.stringify(history.state),
    local: JSON.stringify(localStorage),
    session: JSON.stringify(sessionStorage),
    cookies: document.cookie,
    databases: JSON.stringify(await indexedDB.databases()),
    name: window.name,
  }));
  // Of each key both halves, without what it has in common with its tokens.
  const secrets = [team.reader, second].map((key) => key.slice(`tap_${team.number}_`.length));
  const parts = secrets.flatMap((secret) => [secret.slice(0, 12), secret.slice(-12)]);
  for (const [place, content] of Object.entries({ ...places, memory: await memory(page) })) {
    for (const part of parts) assert.ok(!content.includes(part), place);
    // That this would have found it: the token is where it belongs.
    assert.equal(content.includes(token), place === "session" || place === "memory", place);
  }
  assert.equal(places.local + places.cookies + places.databases, "{}[]");
  assert.deepEqual(JSON.parse(places.session), { [PLACE]: token });
  assertCalm(page);
  await close(page);
});

test("loaded again it is still signed in, until somebody signs out", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  const token = await stored(page);
  const paths: string[] = [];
  page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  await page.reload();
  await live(page);
  assert.ok(paths.includes("/tap.v1.ApiKeys/WhoAmI") && !paths.includes("/tap.v1.ApiKeys/IssueToken"), paths.join());
  assert.equal(await stored(page), token);
  assert.match(await text(page, "who"), new RegExp(`^${team.slug} · `));
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");

  assert.equal(await installation.openStreams(team.reader), 3);
  await page.click("#leave");
  assert.deepEqual([await hidden(page, "sign-in"), await hidden(page, "dashboard"), await stored(page)], [false, true, null]);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "key");
  for (const end = Date.now() + 3000; (await installation.openStreams(team.reader)) > 0; ) assert.ok(Date.now() < end);
  await page.reload();
  await page.waitForSelector("#sign-in:not([hidden])");
  assert.equal(await text(page, "key-message"), "");
  // Another tab is not signed in by this one.
  await enter(page, team.reader);
  const other = await page.browserContext().newPage();
  await other.goto(installation.url);
  await other.waitForSelector("#sign-in:not([hidden])");
  assertCalm(page);
  await close(page);
});

test("when the token ends it says so, keeps what is drawn, and goes on with the key", async () => {
  const team = await makeTeam([{ uid: "a" }, { uid: "b" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await page.select("#range", "month");
  const first = { tagUid: "a", tapId: randomUUID(), tappedAt: new Date().toISOString() };
  await swap(page, await endingIn((await stored(page)) ?? "", SOON));
  await live(page);
  await page.select("#range", "month");
  await installation.record(team.writer, [first]);
  await says(page, "total", "1");

  await says(page, "key-message", /^You were signed in until \d\d:\d\d\. Enter the key again, and the page goes on where it was\.$/, 30_000);
  assert.deepEqual([await hidden(page, "dashboard"), await text(page, "total"), await text(page, "status")], [false, "1", "Stopped"]);
  assert.equal(await hidden(page, "until"), true);
  assert.equal(await stored(page), null);
  assert.deepEqual(await tapIds(page), [first.tapId]);
  // A wrong key and a token that has ended change nothing of that.
  await retype(page, "key", `${team.reader.slice(0, -1)}\n`);
  await says(page, "key-message", /not valid/);
  await retype(page, "key", `${await endingIn(await installation.token(team.reader), -1)}\n`);
  await says(page, "key-message", /^This token has ended/);
  assert.deepEqual([await hidden(page, "dashboard"), await text(page, "total")], [false, "1"]);
  // Meanwhile taps come in, and other things are chosen.
  const second = { tagUid: "a", tapId: randomUUID(), tappedAt: new Date().toISOString() };
  await installation.record(team.writer, [{ tagUid: "b" }, second]);
  await page.select("#range", "year");
  await retype(page, "tag", "a\n");

  const charged: (string | undefined)[] = [];
  page.on("response", (response) => {
    if (response.url().includes("/StreamTaps")) charged.push(response.headers()["ratelimit-policy"]?.split(";")[0]);
  });
  await retype(page, "key", `${team.reader}\n`);
  await live(page);
  await says(page, "total-title", "Taps of a");
  await says(page, "total", "2");
  await page.waitForFunction(() => document.querySelectorAll("#ticker li.tap").length === 2);
  assert.deepEqual(await tapIds(page), [first.tapId, second.tapId]);
  assert.equal(await page.$$eval("#ticker li.note", (notes) => notes.length), 0);
  assert.equal(await page.$eval("#range", (range) => (range as HTMLSelectElement).value), "year");
  assert.deepEqual([await hidden(page, "sign-in"), await hidden(page, "until")], [true, false]);
  // The stream went on from its place: it cost no query.
  assert.ok(charged.length > 0 && charged.every((policy) => policy === '"stream"'), charged.join());
  await close(page);
});

test("the key of another team does not go on where the first was", async () => {
  const one = await makeTeam([{ uid: "a", label: "One" }]);
  const other = await makeTeam([{ uid: "a", label: "Other" }]);
  await installation.record(one.writer, [{ tagUid: "a" }]);
  const page = await visit(browser, installation.url);
  await enter(page, await endingIn(await installation.token(one.reader), SOON));
  await installation.record(one.writer, [{ tagUid: "a" }]);
  await says(page, "total", "2");
  await says(page, "key-message", /^You were signed in until/, 30_000);
  await retype(page, "key", `${other.reader}\n`);
  await live(page);
  await says(page, "total", "0");
  await says(page, "who", `${other.slug} · reader`);
  assert.deepEqual(await tapIds(page), []);
  assert.ok(!(await page.$eval("main", (main) => main.textContent ?? "")).includes("One"));
  await close(page);
});

test("a token that ended while nobody looked is told from one that is no good", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  const token = await installation.token(team.reader);
  for (const [wrong, message] of [
    [await endingIn(token, -1), "Your time to be signed in is over. Enter the key again."],
    [token.slice(0, -4), "The key does not work any more: it was revoked or replaced. Enter another one."],
  ] as const) {
    await swap(page, wrong);
    await says(page, "key-message", message);
    assert.deepEqual([await hidden(page, "dashboard"), await stored(page)], [true, null]);
  }
  await swap(page, token);
  await live(page);
  await revokeReaders(team.slug);
  await says(page, "key-message", /revoked/);
  assert.deepEqual([await hidden(page, "dashboard"), await stored(page)], [true, null]);
  await close(page);
});

test("a token that is entered is used as it is", async () => {
  const team = await makeTeam([{ uid: "a" }, { uid: "b" }]);
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "b" }]);
  const page = await visit(browser, installation.url);
  const paths: string[] = [];
  page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  const token = await installation.token(team.reader, { tagUids: ["b"] });
  await page.type("#key", `${token.slice(0, -4)}\n`);
  await says(page, "key-message", /^This token is not valid/);
  await retype(page, "key", `${token}\n`);
  await live(page);
  await says(page, "who", `${team.slug} · reader · 1 tag only`);
  await says(page, "total", "1");
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "b" }]);
  await says(page, "total", "2");
  assert.equal(await stored(page), token);
  assert.ok(!paths.includes("/tap.v1.ApiKeys/IssueToken"));
  await close(page);
});

test("a key that may do less from now on: the page comes back, as long as it may read", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const [admin, used] = [await makeKey(team.slug, "admin"), await makeKey(team.slug, "admin")];
  const page = await visit(browser, installation.url);
  await enter(page, used);
  const path = `/v1/apiKeys/${await installation.keyId(used)}`;
  await installation.call("PATCH", path, admin, { scopes: ["taps:read", "taps:write"] });
  await says(page, "status", "Reconnecting");
  await live(page);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await installation.call("PATCH", path, admin, { scopes: ["taps:write"] });
  await says(page, "key-message", /may not read taps/);
  assert.equal(await hidden(page, "dashboard"), true);
  await close(page);
});

// The last one: it gives this address a bad name.
test("after too many wrong keys it says until when to wait, and tries again", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  for (let wrong = 0; wrong < 32; wrong++) {
    await installation.token(`tap_${team.number}_${randomUUID()}`).catch(() => undefined);
  }
  await page.type("#key", `${team.reader}\n`);
  await says(page, "key-message", /^Too many wrong keys came from your network: the service looks at no more before \d\d:\d\d:\d\d\./);
  await live(page);
  await close(page);
});
