// The page in a browser, through Envoy, with a real service and a real database.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { civilOf } from "../../src/civil";
import { assertCalm, close, enter, launch, live, retype, says, tapIds, text, visit } from "./browser";
import { Installation, makeKey, makeTeam, revokeReaders } from "./installation";

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

test("a tap that is recorded elsewhere is in the total, the chart, the top tags and the ticker within a second", async () => {
  const team = await makeTeam([{ uid: "table-1", label: "Table 1" }, { uid: "door", kind: "qr" }]);
  await installation.record(team.writer, [{ tagUid: "door" }, { tagUid: "door" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await says(page, "total", "2");
  assert.deepEqual(await tapIds(page), []);

  const tapId = randomUUID();
  const start = Date.now();
  await installation.record(team.writer, [
    { tagUid: "table-1", tapId, tappedAt: new Date().toISOString(), country: "DE", device: "ios" },
  ]);
  await Promise.all([
    says(page, "total", "3", 2000),
    page.waitForSelector(`#ticker li[data-tap-id="${tapId}"]`, { timeout: 2000 }),
  ]);
  const took = Date.now() - start;
  assert.ok(took < 1000, `it took ${took} ms`);

  const row = await page.$eval("#ticker li.tap", (row) => row.textContent ?? "");
  assert.match(row, /^Table 1\d\d:\d\d:\d\dNFC · table-1 · DE · ios$/);
  assert.deepEqual(await bars(page), ["door 2", "Table 1 1"]);
  const chart = await page.$eval("#chart", (chart) => chart.getAttribute("aria-label"));
  assert.match(chart ?? "", /^3 taps, by hour: the most, 3, /);
  await says(page, "heat-read", /^Busiest: \w{3} \d\d:00–\d\d:00$/);
  assert.match(await text(page, "quota"), /^9[0-9] of 100 queries left$/);
  assertCalm(page);
  await close(page);
});

test("the controls ask for what they say, and nothing wrong happens on the way", async () => {
  const team = await makeTeam([{ uid: "a", label: "First" }, { uid: "b", kind: "qr" }]);
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "b" }, { tagUid: "b" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await says(page, "total", "3");

  for (const range of ["hour", "day", "today", "month", "year", "all", "custom"]) {
    await page.select("#range", range);
    await page.waitForFunction(() => !document.querySelector("[data-busy]"));
    await says(page, "total", "3");
    await live(page);
  }
  await page.select("#compare", "0");
  await says(page, "change", "");
  await page.select("#compare", "2");
  await says(page, "change", /a year before/);

  await retype(page, "zone", "asia/tokyo\n");
  await says(page, "span", /Asia\/Tokyo$/);
  const widths = () => page.$$eval("#controls select", (selects) => selects.map((select) => select.getBoundingClientRect().width));
  const wide = await widths();
  await retype(page, "zone", "Mars/Olympus\n");
  await says(page, "notice", /no such time zone/);
  assert.deepEqual(await widths(), wide);
  await retype(page, "zone", "UTC\n");
  await says(page, "total", "3");
  await says(page, "notice", "");

  await page.click("#groups button");
  await says(page, "total", "2");
  await says(page, "total-title", "Taps of b");
  await says(page, "spoken", /^2 taps /, 500);
  assert.deepEqual(await bars(page), ["NFC 0", "QR code 2", "Link 0"]);

  // The ticker has taps of this tag only, also of the time in between.
  await installation.record(team.writer, [{ tagUid: "a" }, { tagUid: "b" }]);
  await says(page, "total", "3");
  await page.waitForFunction(() => document.querySelectorAll("#ticker li.tap").length === 1);
  await page.click("#all-tags");
  await says(page, "total", "5");
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "6");
  await page.waitForFunction(() => document.querySelectorAll("#ticker li.tap").length === 2);
  assert.match(await text(page, "ticker"), /^First.*All tags from here on.*b/);
  assertCalm(page);

  await page.type("#tag", "nobody\n");
  await says(page, "notice", /nobody/);
  // What is still shown is no answer to that, whatever is recorded meanwhile.
  const stale = () => page.$$eval("[data-busy] h2", (titles) => titles.map(({ id }) => id));
  assert.deepEqual(await stale(), ["total-title", "groups-title", "hours-title"]);
  await says(page, "spoken", "");
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await sleep(500);
  assert.deepEqual(await stale(), ["total-title", "groups-title", "hours-title"]);
  await retype(page, "tag", "\n");
  await says(page, "total", "7");
  await page.waitForFunction(() => !document.querySelector("[data-busy]"));
  await close(page);
});

test("everything can be done with the keyboard", async () => {
  const team = await makeTeam([{ uid: "a", label: "First" }]);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  // Where the first hours of the day are over.
  const zone = ["Europe/Berlin", "America/New_York"].find((zone) => civilOf(Date.now(), zone).hour >= 3) ?? "UTC";
  const page = await visit(browser, installation.url, { zone });
  const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent || "");
  const press = (...keys: Parameters<Page["keyboard"]["press"]>[0][]) =>
    keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

  assert.equal(await focused(), "key");
  await page.keyboard.type(team.reader);
  await press("Tab");
  assert.equal(await focused(), "start");
  await press("Enter");
  await live(page);
  assert.equal(await focused(), "range");

  await press("ArrowUp");
  await says(page, "span", /^\d+ \w{3} \d{4} · /);
  assert.equal(await page.$eval("#range", (range) => (range as HTMLSelectElement).value), "today");

  const order: string[] = [];
  for (let presses = 0; presses < 14 && order.at(-1) !== "ticker-scroll"; presses++) {
    await press("Tab");
    order.push(await focused());
    const seen = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement ?? document.body);
      return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
    });
    assert.ok(seen, `the focus on ${order.at(-1) ?? ""} can be seen`);
  }
  assert.deepEqual(order, ["interval", "compare", "tag", "zone", "chart", "As a table", "First1", "heat", "ticker-scroll"]);

  await page.focus("#chart");
  await press("Home");
  await says(page, "chart-read", /^0 taps, \w{3} \d+ \w{3}, 00:00–01:00, 0 before$/);
  await press("ArrowRight");
  await says(page, "chart-read", /, 01:00–02:00, 0 before$/);
  await press("Escape");

  await page.focus("summary");
  await press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#table-body tr").length > 0);

  await page.focus("#heat");
  await press("Home");
  await says(page, "heat-read", /^Mon 00:00–01:00: \d+ taps?/);
  await press("ArrowDown", "ArrowRight");
  await says(page, "heat-read", /^Tue 01:00–02:00: /);

  await page.focus("#groups button");
  await press("Enter");
  await says(page, "groups-title", "How it was read");
  assert.equal(await focused(), "all-tags");
  await press("Enter");
  await says(page, "groups-title", "Top tags");
  assert.equal(await focused(), "First1");
  await page.focus("#leave");
  await press("Enter");
  await page.waitForSelector("#sign-in:not([hidden])");
  assert.equal(await focused(), "key");
  assertCalm(page);
  await close(page);
});

test("a key that is revoked brings back the field for the key, and says so", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await revokeReaders(team.slug);
  await says(page, "key-message", /revoked/);
  assert.equal(await page.$eval("#dashboard", (dashboard) => dashboard.hasAttribute("hidden")), true);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "key");

  // Another key opens it again.
  await enter(page, await makeKey(team.slug, "reader"));
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await close(page);
});

test("a wrong key is told from one that may not read", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  const wrong: [string, RegExp][] = [
    ["", /Enter a key/],
    ["secret", /does not look like a key/],
    ["tap_1_abcdefghijklmnopqrstuvwxyz_abc", /not valid/],
    [team.reader.slice(0, -1), /not valid/],
    [team.writer, /may not read taps/],
  ];
  for (const [key, message] of wrong) {
    await retype(page, "key", `${key}\n`);
    await says(page, "key-message", message);
    assert.equal(await page.$eval("#dashboard", (dashboard) => dashboard.hasAttribute("hidden")), true);
  }
  // That one is of use elsewhere: it is not left in the page.
  assert.equal(await page.$eval("input#key", ({ value }) => value), "");
  await retype(page, "key", `${team.reader}\n`);
  await live(page);
  await close(page);
});

test("a key without queries left says when to come back", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  for (let query = 0; query < 100; query++) await installation.total(team.reader, "2026-01-01", "2026-01-01");
  const page = await visit(browser, installation.url);
  await page.type("#key", `${team.reader}\n`);
  await says(page, "key-message", /^This key has used up its queries\. The next one is free in \d+ seconds, at \d\d:\d\d:\d\d/);
  await close(page);
});

test("a narrow screen does not scroll sideways", async () => {
  const label = "A label that is much too long to fit into one line of a telephone of any kind";
  const team = await makeTeam([{ uid: "x".repeat(64), label }, { uid: "y".repeat(64) }]);
  await installation.record(team.writer, [{ tagUid: "x".repeat(64) }, { tagUid: "y".repeat(64) }]);
  const page = await visit(browser, installation.url, { width: 360, height: 740, zone: "America/Argentina/ComodRivadavia" });
  const fits = async () => {
    const [inner, ...outer] = await page.evaluate(() => [
      innerWidth,
      document.documentElement.scrollWidth,
      document.body.scrollWidth,
    ]);
    assert.deepEqual(outer, [inner, inner]);
  };
  await fits();
  await enter(page, team.reader);
  await installation.record(team.writer, [{ tagUid: "x".repeat(64) }, { tagUid: "y".repeat(64) }]);
  await says(page, "total", "4");
  for (const range of ["custom", "hour", "all"]) {
    await page.select("#range", range);
    await page.waitForFunction(() => !document.querySelector("[data-busy]"));
    await fits();
  }
  await page.click("summary");
  await page.click("#groups button");
  await says(page, "total", "2");
  await fits();
  assertCalm(page);
  await close(page);
});

test("a label is shown as the text that it is", async () => {
  const label = `<img src=x onerror="document.title='bad'"><script>document.title='bad'</script>&amp;`;
  const team = await makeTeam([{ uid: "a", label }]);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "2");
  await page.waitForSelector("#ticker li.tap");
  assert.equal(await page.$eval("#ticker li.tap .label", (element) => element.textContent), label);
  assert.deepEqual(await bars(page), [`${label} 2`]);
  await page.click("#groups button");
  await says(page, "total-title", `Taps of ${label}`);
  assert.equal(await page.evaluate(() => document.querySelectorAll("main img, main script").length), 0);
  assert.equal(await page.title(), "tap-analytics");
  assertCalm(page);
  await close(page);
});

test("without taps it says so, and the first one changes that", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await says(page, "total", "0");
  const shown = () => page.$$eval(".empty:not([hidden])", (elements) => elements.map(({ id }) => id));
  assert.deepEqual(await shown(), ["chart-empty", "groups-empty", "ticker-empty"]);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await page.waitForFunction(() => document.querySelectorAll(".empty:not([hidden])").length === 0);
  assertCalm(page);
  await close(page);
});

// The rows of the list of bars.
async function bars(page: Page): Promise<string[]> {
  return page.$$eval("#groups .row", (rows) =>
    rows.map((row) => `${row.querySelector(".label")?.textContent ?? ""} ${row.querySelector(".count")?.textContent ?? ""}`),
  );
}
