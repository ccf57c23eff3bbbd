// The tab of the coupons in a browser, through Envoy, with a real service and a real database.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { assertCalm, callsOf, close, enter, focused, launch, live, panels, retype, says, text, visit } from "./browser";
import { Installation, type NewEvent, SOON, type Team, endingIn, makeKey, makeTeam } from "./installation";

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
const HOUR_MS = 3_600_000;

// A team, and a key of it that may do everything.
async function makeShop(): Promise<{ team: Team; admin: string }> {
  const team = await makeTeam([{ uid: "a", label: "Counter" }, { uid: "b", label: "Window" }]);
  const admin = await makeKey(team.slug, "admin");
  // A new key works everywhere within a second.
  await sleep(1000);
  return { team, admin };
}

const inHours = (hours: number) => new Date(Date.now() + hours * HOUR_MS).toISOString();

function view(session_id: string, coupon_id: string): NewEvent {
  return { session_id, category: "coupon", name: "viewed", data: { coupon_id }, occurred_at: new Date().toISOString() };
}

type Stages = Record<"taps" | "sessions" | "couponViews" | "redemptions", number>;

// Waits until the service counts this.
async function counted(key: string, wanted: Stages): Promise<void> {
  const [startDate, endDate] = [inHours(-24).slice(0, 10), inHours(24).slice(0, 10)];
  for (const end = Date.now() + 10_000; ; await sleep(200)) {
    const { total } = await installation.call<{ total: Partial<Stages> }>("POST", "/v1/funnel:query", key, { startDate, endDate });
    const { taps = 0, sessions = 0, couponViews = 0, redemptions = 0 } = total;
    const found = { taps, sessions, couponViews, redemptions };
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    assert.ok(Date.now() < end, JSON.stringify(found));
  }
}

// Taps, sessions, views and redemptions of two tags and two coupons. Gives the id of the first.
async function makeFunnel(admin: string): Promise<string> {
  const taps = ["a", "a", "a", "a", "b", "b"].map((tagUid) => ({ tagUid, tapId: randomUUID(), tappedAt: new Date().toISOString() }));
  await installation.record(admin, taps);
  const tapOf = (at: number) => taps[at]?.tapId ?? "";
  const [first, second, third] = [
    await installation.session(admin, tapOf(0)), await installation.session(admin, tapOf(1)), await installation.session(admin, tapOf(4)),
  ];
  // From no tap.
  await installation.session(admin);
  const coffee = await installation.coupon(admin, { couponcode: "COFFEE", title: "A free espresso", tagUids: ["a"], maxRedemptions: 100 });
  const cake = await installation.coupon(admin, { couponcode: "CAKE", title: "Cake at half the price", tagUids: ["b"] });
  await installation.send(admin, [view(first, coffee), view(second, coffee), view(third, coffee), view(third, cake)]);
  await installation.redeem(admin, coffee, "somebody", "a");
  await installation.redeem(admin, coffee, "somebody else");
  await installation.redeem(admin, cake, "somebody", "b");
  await counted(admin, { taps: 6, sessions: 4, couponViews: 4, redemptions: 3 });
  return coffee;
}

async function upToDate(page: Page): Promise<void> {
  await page.waitForSelector('#status[data-is="fresh"]', { timeout: 15_000 });
  await page.waitForSelector("#funnel:not([data-busy])");
}

async function openCoupons(page: Page): Promise<void> {
  await page.click("#tab-coupons");
  await upToDate(page);
  await page.waitForSelector("#coupons-card:not([data-busy])");
}

// The stages as they are shown: name, count, and share of the one before.
async function stages(page: Page): Promise<string[]> {
  return page.$$eval("#funnel-stages li", (items) =>
    items.map((item) => [...item.querySelectorAll(".label, .count, .share")].map(({ textContent }) => textContent).join(" ").trim()),
  );
}

async function waitForStages(page: Page, wanted: string[]): Promise<void> {
  for (const end = Date.now() + 5000; JSON.stringify(await stages(page)) !== JSON.stringify(wanted); await sleep(20)) {
    if (Date.now() > end) assert.deepEqual(await stages(page), wanted);
  }
}

// The coupons as they are shown.
async function coupons(page: Page): Promise<string[]> {
  return page.$$eval("#coupons > li", (items) => items.map((item) => (item.textContent ?? "").trim()));
}

async function codes(page: Page): Promise<string[]> {
  return page.$$eval("#coupons .code", (some) => some.map(({ textContent }) => textContent ?? ""));
}

async function pressed(page: Page): Promise<string[]> {
  return page.$$eval('#coupons [aria-pressed="true"] .code', (some) => some.map(({ textContent }) => textContent ?? ""));
}

const TEAM = ["Taps 6", "Sessions 4 66.7% of taps", "Coupon views 4 100% of sessions", "Redemptions 3 75% of coupon views"];
const TAG_A = ["Taps 4", "Sessions 2 50% of taps", "Coupon views 2 100% of sessions", "Redemptions 1 50% of coupon views"];
const COFFEE = ["Taps 4", "Sessions 2 50% of taps", "Coupon views 3 150% of sessions", "Redemptions 2 66.7% of coupon views"];

test("the funnel of the team, of a tag and of a coupon has the numbers, for one query each", async () => {
  const { team, admin } = await makeShop();
  const coffee = await makeFunnel(admin);
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Coupons");
  await enter(page, team.reader);
  await says(page, "quota", "98 of 100 queries left");
  // Who looks at the taps asks nothing about coupons.
  assert.deepEqual(calls, []);

  await openCoupons(page);
  await waitForStages(page, TEAM);
  assert.deepEqual(calls.sort(), ["ListCoupons", "QueryFunnel"]);
  await says(page, "quota", "97 of 100 queries left");
  await says(page, "status", "Up to date");
  await says(page, "funnel-title", "From taps to redemptions: the whole team");
  await says(page, "funnel-span", / · Europe\/Berlin · as of \d\d:\d\d:\d\d$/);
  await says(page, "funnel-spoken", "6 taps, 4 sessions, 4 coupon views, 3 redemptions");
  const label = () => page.$eval("#funnel-chart", (chart) => chart.getAttribute("aria-label") ?? "");
  assert.equal(await label(), "6 taps, 4 sessions, 4 coupon views, 3 redemptions, by hour");
  const lengths = await page.$$eval("#funnel-stages .fill", (bars) => bars.map((bar) => Math.round(bar.getBoundingClientRect().width)));
  assert.ok(lengths.every((length, at) => length > 0 && length <= (lengths[at - 1] ?? Infinity)), lengths.join());
  // The streams of the other tabs are not open.
  for (const end = Date.now() + 3000; (await installation.openStreams(team.reader)) > 0; ) assert.ok(Date.now() < end);

  await retype(page, "funnel-tag", "a\n");
  await says(page, "funnel-title", "From taps to redemptions: tag Counter");
  await waitForStages(page, TAG_A);
  await says(page, "quota", "96 of 100 queries left");

  await page.click(`#coupons [data-coupon-id="${coffee}"] button`);
  await says(page, "funnel-title", "From taps to redemptions: coupon COFFEE, A free espresso");
  await waitForStages(page, COFFEE);
  assert.deepEqual(await pressed(page), ["COFFEE"]);
  assert.equal(await page.$eval("#funnel-tag", (field) => (field as HTMLInputElement).value), "");
  await says(page, "quota", "95 of 100 queries left");

  // What was answered is not asked again for who looks elsewhere.
  const [before, asked] = [await text(page, "quota"), calls.length];
  await page.click("#tab-taps");
  await live(page);
  await page.click("#tab-coupons");
  await upToDate(page);
  await says(page, "funnel-title", /coupon COFFEE/);
  await sleep(500);
  assert.deepEqual([await text(page, "quota"), calls.length], [before, asked]);
  // Counted again it is another query.
  await page.click("#funnel-refresh");
  await upToDate(page);
  await page.waitForFunction((before) => document.getElementById("quota")?.textContent !== before, { timeout: 5000 }, before);
  await waitForStages(page, COFFEE);

  // Back to the team, and other times.
  await page.click("#funnel-all");
  assert.equal(await focused(page), "funnel-title");
  await waitForStages(page, TEAM);
  assert.deepEqual(await pressed(page), []);
  for (const range of ["day", "today", "month", "year", "custom", "all"]) {
    const asked = calls.length;
    await page.select("#funnel-range", range);
    for (const end = Date.now() + 5000; calls.length === asked; await sleep(20)) assert.ok(Date.now() < end, range);
    await upToDate(page);
    assert.match((await stages(page))[3] ?? "", /^Redemptions 3 /, range);
  }
  await page.select("#funnel-range", "week");
  await page.select("#funnel-interval", "3");
  await page.waitForFunction(() => document.getElementById("funnel-chart")?.getAttribute("aria-label")?.endsWith(", by day"));
  await page.click("#funnel-table summary");
  await page.waitForFunction(() => document.querySelectorAll("#funnel-table-body tr").length === 7);
  const today = await page.$eval("#funnel-table-body tr", (row) => [...row.querySelectorAll("td")].map(({ textContent }) => textContent));
  assert.deepEqual(today, ["6", "4", "4", "3"]);
  assertCalm(page);

  // A tag that is not there is told.
  await retype(page, "funnel-tag", "nobody\n");
  await says(page, "funnel-notice", /nobody/);
  await says(page, "status", "Stopped");
  await retype(page, "funnel-tag", "\n");
  await waitForStages(page, TEAM);
  await says(page, "funnel-notice", "");
  await close(page);
});

test("the coupons are listed as they stand, all, those that are valid, or those that are not", async () => {
  const { team, admin } = await makeShop();
  const bad = '<img src=x onerror="document.title=\'bad\'">';
  await installation.coupon(admin, { couponcode: "ACTIVE", title: bad, expireAt: inHours(50) });
  await installation.coupon(admin, { couponcode: "SCHEDULED", title: "Soon", publishedAt: inHours(5), expireAt: inHours(60), maxRedemptions: 1000 });
  await installation.coupon(admin, { couponcode: "EXPIRED", title: "Over", expireAt: "2024-05-01T10:00:00Z" });
  await installation.coupon(admin, { couponcode: "DISABLED", title: "Out of use", expireAt: inHours(70), disabled: true });
  const once = await installation.coupon(admin, { couponcode: "EXHAUSTED", title: "Once", maxRedemptions: 1 });
  await installation.redeem(admin, once, "somebody");
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Coupons");
  await enter(page, team.reader);
  await openCoupons(page);

  await says(page, "coupons-count", "5 coupons");
  const all = await coupons(page);
  const wanted = [
    /^EXPIRED Over Expired 0 redeemed expired 1 May 2024, 12:00$/,
    /^ACTIVE <img src=x .* Active 0 redeemed expires \d+ \w{3} \d{4}, \d\d:\d\d$/,
    /^SCHEDULED Soon Scheduled 0 of 1,000 redeemed expires /,
    /^DISABLED Out of use Disabled 0 redeemed expires /,
    /^EXHAUSTED Once Exhausted 1 of 1 redeemed never expires$/,
  ];
  assert.equal(all.length, wanted.length);
  for (const [at, pattern] of wanted.entries()) assert.match(all[at] ?? "", pattern);
  assert.equal(await page.evaluate(() => document.querySelectorAll("main img").length), 0);
  assert.equal(await page.title(), "tap-analytics");

  await page.select("#coupon-filter", "2");
  await says(page, "coupons-count", "1 coupon");
  assert.deepEqual(await codes(page), ["EXPIRED"]);
  await page.select("#coupon-filter", "1");
  await says(page, "coupons-count", "4 coupons");
  assert.deepEqual(await codes(page), ["ACTIVE", "SCHEDULED", "DISABLED", "EXHAUSTED"]);
  await page.select("#coupon-order", "0");
  await page.waitForFunction(() => document.querySelector("#coupons .code")?.textContent === "EXHAUSTED");
  assert.deepEqual(await codes(page), ["EXHAUSTED", "DISABLED", "SCHEDULED", "ACTIVE"]);
  // None of this is a query.
  assert.deepEqual(calls.filter((call) => call === "QueryFunnel"), ["QueryFunnel"]);

  // Times are those of the zone that was chosen.
  await page.select("#coupon-filter", "2");
  await says(page, "coupons-count", "1 coupon");
  await retype(page, "funnel-zone", "Asia/Tokyo\n");
  await page.waitForFunction(() => document.querySelector("#coupons .expiry")?.textContent === "expired 1 May 2024, 19:00");
  // What is chosen stays chosen when it is not listed any more; pressed once more it is the team again.
  await page.click("#coupons button");
  await says(page, "funnel-title", "From taps to redemptions: coupon EXPIRED, Over");
  await page.select("#coupon-filter", "1");
  await says(page, "coupons-count", "4 coupons");
  await says(page, "funnel-title", /EXPIRED/);
  await page.select("#coupon-filter", "0");
  await says(page, "coupons-count", "5 coupons");
  assert.deepEqual(await pressed(page), ["EXPIRED"]);
  await page.click('#coupons [aria-pressed="true"]');
  await says(page, "funnel-title", /the whole team$/);
  assertCalm(page);
  await close(page);
});

test("more coupons come by the page", async () => {
  const { team, admin } = await makeShop();
  const some = Array.from({ length: 60 }, (_, at) => ({ couponcode: `C-${at}`, title: `Coupon ${at}`, expireAt: inHours(10 + at) }));
  await installation.call("POST", "/v1/coupons:batchCreate", admin, { coupons: some });
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Coupons");
  await enter(page, team.reader);
  await openCoupons(page);
  await says(page, "coupons-count", "50 coupons, and more");
  await page.focus("#coupons-more");
  await page.keyboard.press("Enter");
  await says(page, "coupons-count", "60 coupons");
  assert.deepEqual(await codes(page), some.map(({ couponcode }) => couponcode));
  // The button is gone: the focus is where it goes on.
  assert.equal(await page.$eval("#coupons-more", (more) => more.hasAttribute("hidden")), true);
  assert.equal(await page.evaluate(() => document.activeElement?.querySelector(".code")?.textContent), "C-50");
  // What was shown comes again at once.
  await page.click("#funnel-refresh");
  await upToDate(page);
  await says(page, "coupons-count", "60 coupons");
  assert.equal(calls.filter((call) => call === "ListCoupons").length, 3);
  assertCalm(page);
  await close(page);
});

test("a key that may not read coupons is told so, and sees its taps and events", async () => {
  const { team, admin } = await makeShop();
  const [few, taps, used] = [
    await makeKey(team.slug, "reader", "few"), await makeKey(team.slug, "reader", "taps"), await makeKey(team.slug, "reader", "used"),
  ];
  await sleep(1000);
  const limit = async (key: string, ...scopes: string[]) =>
    installation.call("PATCH", `/v1/apiKeys/${await installation.keyId(key)}`, admin, { scopes });
  await limit(few, "taps:read", "events:read");
  await limit(taps, "taps:read");
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Coupons");
  const issued = callsOf(page, "ApiKeys");
  await enter(page, few);
  assert.deepEqual(issued, ["IssueToken", "IssueToken", "WhoAmI"]);
  await page.click("#tab-coupons");
  await says(page, "coupons-barred", /^This key may not read coupons and what becomes of them: it lacks the scope coupons:read\./);
  assert.equal(await page.$eval("#coupons-seen", (seen) => seen.hasAttribute("hidden")), true);
  await page.click("#tab-events");
  await live(page);
  await says(page, "event-total", "0");
  await page.click("#tab-taps");
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");

  await page.click("#leave");
  await enter(page, taps);
  await page.click("#tab-coupons");
  await says(page, "coupons-barred", /it lacks the scopes events:read and coupons:read\./);
  // A token that is limited to some tags may not either.
  await page.click("#leave");
  await retype(page, "key", `${await installation.token(team.reader, { tagUids: ["a"] })}\n`);
  await live(page);
  await page.click("#tab-coupons");
  await says(page, "coupons-barred", /limited to some tags/);
  assert.deepEqual(calls, []);
  assertCalm(page);

  // Nor one whose key may not any more.
  await page.click("#leave");
  await enter(page, used);
  await openCoupons(page);
  await says(page, "coupons-barred", "");
  await limit(used, "taps:read", "events:read");
  // It takes effect within a second.
  await sleep(1000);
  await page.click("#funnel-refresh");
  await says(page, "coupons-barred", /lacks the scope coupons:read/);
  await close(page);
});

test("without queries left it says when to come back, and lists the coupons", async () => {
  const { team, admin } = await makeShop();
  await installation.coupon(admin, { couponcode: "COFFEE", title: "A free espresso" });
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await says(page, "quota", "98 of 100 queries left");
  await assert.rejects(async () => {
    for (;;) await installation.total(team.reader, "2026-01-01", "2026-01-01");
  }, /429/);
  await page.click("#tab-coupons");
  await says(page, "funnel-notice", /^This key has used up its queries\. The next one is free in \d+ seconds?, at \d\d:\d\d:\d\d/);
  await says(page, "status", "Out of queries");
  await says(page, "coupons-count", "1 coupon");
  assert.match((await coupons(page)).join(), /^COFFEE A free espresso Active 0 redeemed never expires$/);
  await close(page);
});

test("when the token ends on the tab of the coupons it goes on there with the key", async () => {
  const { team, admin } = await makeShop();
  await makeFunnel(admin);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  const ending = await endingIn((await page.evaluate((place) => sessionStorage.getItem(place), PLACE)) ?? "", SOON);
  await page.evaluate((place, token) => sessionStorage.setItem(place, token), PLACE, ending);
  await page.reload();
  await live(page);
  await openCoupons(page);
  await waitForStages(page, TEAM);
  await sleep(SOON * 1000);
  await retype(page, "funnel-tag", "a\n");
  await says(page, "key-message", /^You were signed in until/);
  assert.deepEqual([await stages(page), await text(page, "status")], [TEAM, "Stopped"]);
  // Nothing is tried meanwhile.
  const calls = callsOf(page, "Coupons");
  await page.click("#tab-taps");
  await page.click("#tab-coupons");
  assert.deepEqual([calls, await text(page, "status")], [[], "Stopped"]);
  await retype(page, "key", `${team.reader}\n`);
  await upToDate(page);
  await waitForStages(page, TAG_A);
  assert.deepEqual(await panels(page), ["panel-coupons"]);
  // Of who was signed in nothing is left.
  await page.click("#leave");
  assert.ok(!(await page.$eval("#panel-coupons", (panel) => panel.textContent ?? "")).includes("COFFEE"));
  assert.equal(await page.$eval("#funnel-tag", (field) => (field as HTMLInputElement).value), "");
  await close(page);
});

test("the funnel and the coupons can be used with the keyboard", async () => {
  const { team, admin } = await makeShop();
  const coffee = await makeFunnel(admin);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await page.focus("#tab-taps");
  await page.keyboard.press("End");
  assert.deepEqual([await focused(page), await panels(page)], ["tab-coupons", ["panel-coupons"]]);
  await upToDate(page);
  await page.waitForSelector("#coupons > li:nth-child(2)");

  await page.focus("#funnel-range");
  const order: string[] = [];
  for (let presses = 0; presses < 14 && order.at(-1) !== "coupon"; presses++) {
    await page.keyboard.press("Tab");
    order.push(await focused(page));
    const seen = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement ?? document.body);
      return style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
    });
    assert.ok(seen, `the focus on ${order.at(-1) ?? ""} can be seen`);
  }
  // The summary has neither.
  assert.deepEqual(order, [
    "funnel-interval", "funnel-tag", "funnel-zone", "funnel-refresh", "funnel-chart", "", "coupon-filter", "coupon-order", "coupon",
  ]);

  // A row that was chosen keeps the focus.
  await page.focus(`#coupons [data-coupon-id="${coffee}"] button`);
  await page.keyboard.press("Enter");
  await waitForStages(page, COFFEE);
  assert.deepEqual(await pressed(page), ["COFFEE"]);
  assert.equal(await focused(page), "coupon");
  await page.keyboard.press("Space");
  await waitForStages(page, TEAM);
  await page.keyboard.press("Space");
  await waitForStages(page, COFFEE);
  await page.focus("#funnel-all");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "funnel-title");
  await waitForStages(page, TEAM);

  await page.focus("#funnel-chart");
  await page.keyboard.press("End");
  await says(page, "funnel-chart-read", /^\d+ taps? so far, .*, \d+ sessions?, \d+ coupon views?, \d+ redemptions?$/);
  await page.keyboard.press("Home");
  await says(page, "funnel-chart-read", /^0 taps, .*, 00:00–01:00, 0 sessions, 0 coupon views, 0 redemptions$/);
  await page.keyboard.press("Escape");
  await page.focus("#funnel-table summary");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#funnel-table-body tr").length > 0);
  assertCalm(page);
  await close(page);
});

test("without anything to count it says so", async () => {
  const { team } = await makeShop();
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await openCoupons(page);
  assert.deepEqual(await stages(page), ["Taps 0", "Sessions 0 —", "Coupon views 0 —", "Redemptions 0 —"]);
  await page.waitForSelector("#funnel-chart-empty:not([hidden])");
  await page.waitForSelector("#coupons-empty:not([hidden])");
  await says(page, "coupons-count", "0 coupons");
  assertCalm(page);
  await close(page);
});

test("a narrow screen does not scroll sideways on the tab of the coupons", async () => {
  const { team, admin } = await makeShop();
  await installation.coupon(admin, { couponcode: "W".repeat(64), title: "M".repeat(200), maxRedemptions: 2_000_000_000, expireAt: inHours(24) });
  await makeFunnel(admin);
  for (const width of [360, 390, 800, 1280]) {
    const page = await visit(browser, installation.url, { width, height: 740, zone: "America/Argentina/ComodRivadavia" });
    const fits = async () => {
      const [inner, ...outer] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]);
      assert.deepEqual(outer, [inner, inner]);
    };
    await enter(page, team.reader);
    await openCoupons(page);
    await waitForStages(page, TEAM);
    await fits();
    await page.click("#coupons > li:first-child button");
    await says(page, "funnel-title", /W{64}/);
    await page.click("#funnel-table summary");
    await upToDate(page);
    await fits();
    assertCalm(page);
    await close(page);
  }
});
