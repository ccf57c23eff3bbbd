// The tab of the events in a browser, through Envoy, with a real service and a real database.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { assertCalm, callsOf, close, enter, focused, launch, live, memory, panels, retype, says, text, visit } from "./browser";
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
const UNKNOWN = "6f1c0a52-7d8e-4c8a-9f37-0a6f6f5b1c11";

// An event of a session, just now.
function event(session_id: string, category: string, more: NewEvent = {}): NewEvent {
  return { session_id, category, name: `${category}.done`, data: { some: "thing" }, occurred_at: new Date().toISOString(), ...more };
}

// A team, and a session of it.
async function makeVisit(): Promise<{ team: Team; session: string }> {
  const team = await makeTeam([{ uid: "a" }]);
  return { team, session: await installation.session(team.writer) };
}

async function openEvents(page: Page): Promise<void> {
  await page.click("#tab-events");
  await page.waitForSelector("#event-counts:not([data-busy])");
  await live(page);
}

async function legend(page: Page): Promise<string[]> {
  return page.$$eval("#event-legend li", (items) =>
    items.map((item) => `${item.querySelector(".label")?.textContent ?? ""} ${item.querySelector("strong")?.textContent ?? ""}`),
  );
}

// The groups of refused events: count, reason, and who sent them.
async function groups(page: Page): Promise<string[]> {
  return page.$$eval("#errors > li", (rows) =>
    rows.map((row) =>
      [".toggle .count", ".toggle .reason", ":scope > .meta"].map((part) => row.querySelector(part)?.textContent?.split(" · ")[0]).join(" "),
    ),
  );
}

async function waitForGroups(page: Page, count: number): Promise<void> {
  await page.waitForFunction((count) => document.querySelectorAll("#errors > li").length === count, { timeout: 15_000 }, count);
}

// The ledger as it is shown, which must add up.
async function ledger(page: Page): Promise<Record<string, number>> {
  const rows = await page.$$eval(".sum td", (cells) => cells.map(({ id, textContent }) => [id.slice("ledger-".length), textContent] as const));
  const shown = Object.fromEntries(rows.map(([name, count]) => [name, Number((count ?? "").replaceAll(",", ""))]));
  const { received = NaN, stored = NaN, duplicate = NaN, rejected = NaN, pending = NaN } = shown;
  assert.equal(stored + duplicate + rejected + pending, received, JSON.stringify(shown));
  assert.match(await text(page, "ledger-balance"), new RegExp(` = ${received}$`));
  return shown;
}

async function openDialog(page: Page, row = 1): Promise<void> {
  await page.click(`#errors > li:nth-child(${row}) .replay`);
  await page.waitForSelector("#replay[open]");
}

async function set(page: Page, path: string, value: string): Promise<void> {
  const [first, second] = await page.$$("#replay-set li:last-child input");
  await first?.click({ count: 3 });
  await first?.type(path);
  await second?.click({ count: 3 });
  await second?.type(value);
}

test("the chart has the events by category, and moves as they come, for one query", async () => {
  const { team, session } = await makeVisit();
  await installation.send(team.writer, [event(session, "order"), event(session, "order"), event(session, "page"), event(session, "form")]);
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Events");
  await enter(page, team.reader);
  await says(page, "quota", "98 of 100 queries left");
  assert.equal(await installation.openStreams(team.reader), 3);
  // Who looks at the taps asks nothing about events.
  assert.deepEqual(calls, []);

  await openEvents(page);
  await says(page, "event-total", "4");
  assert.deepEqual(await legend(page), ["order 2", "form 1", "page 1"]);
  const label = () => page.$eval("#event-chart", (chart) => chart.getAttribute("aria-label") ?? "");
  assert.equal(await label(), "4 events, by hour, 2 order, 1 form, 1 page");
  await says(page, "quota", "97 of 100 queries left");
  for (const end = Date.now() + 3000; (await installation.openStreams(team.reader)) !== 1; ) assert.ok(Date.now() < end);

  await installation.send(team.writer, [event(session, "page"), event(session, "page"), event(session, "late")]);
  await says(page, "event-total", "7", 2000);
  assert.deepEqual(await legend(page), ["order 2", "form 1", "page 3", "late 1"]);
  assert.equal(await label(), "7 events, by hour, 2 order, 1 form, 3 page, 1 late");
  await page.focus("#event-chart");
  await page.keyboard.press("End");
  await says(page, "event-chart-read", /^\d events? so far, .*, \d /);
  // What happened before the range is not in it.
  await installation.send(team.writer, [event(session, "page", { occurred_at: "2024-05-01T10:00:00Z" }), event(session, "page")]);
  await says(page, "event-total", "8", 2000);
  assert.deepEqual(calls.filter((call) => call === "QueryEvents"), ["QueryEvents"]);

  // Another view is asked for, and says the same.
  for (const range of ["day", "today", "month", "year", "custom", "all"]) {
    await page.select("#event-range", range);
    await page.waitForFunction(() => !document.querySelector("[data-busy]"));
    await says(page, "event-total", range === "all" ? "9" : "8");
  }
  await page.select("#event-range", "week");
  await page.select("#event-interval", "3");
  await says(page, "event-total", "8");
  await page.waitForFunction(() => document.getElementById("event-chart")?.getAttribute("aria-label")?.startsWith("8 events, by day,"));
  await page.click("#event-table summary");
  await page.waitForFunction(() => document.querySelectorAll("#event-table-body tr").length === 7);
  assert.equal(await text(page, "event-table-head"), "TimeEventspageorderformlate");

  // The taps are as they were; what comes meanwhile is there afterwards, and nothing of it costs a query.
  const before = await text(page, "quota");
  await page.click("#tab-taps");
  await live(page);
  for (const end = Date.now() + 3000; (await installation.openStreams(team.reader)) !== 3; ) assert.ok(Date.now() < end);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await installation.send(team.writer, [event(session, "form")]);
  const asked = calls.length;
  await page.click("#tab-events");
  await says(page, "event-total", "9");
  assert.deepEqual(calls.slice(asked).sort(), ["GetIngestLedger", "GroupEventErrors", "StreamEvents"]);
  assert.equal(await page.$eval("#event-interval", (field) => (field as HTMLSelectElement).value), "3");
  assert.equal(await text(page, "quota"), before);
  assertCalm(page);
  await close(page);
});

test("events that come while the view or the tab changes are counted once", async () => {
  const { team, session } = await makeVisit();
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  let sent = 0;
  let sending = true;
  // Each time before the stream is opened, and after what it goes on from was counted, there is one more event.
  let between = 0;
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (!request.url().endsWith("/StreamEvents")) return void request.continue();
    void installation.send(team.writer, [event(session, "between")]).then(() => {
      between++;
      return request.continue();
    });
  });
  const opened = async (times: number) => {
    for (const end = Date.now() + 10_000; between < times; await sleep(20)) assert.ok(Date.now() < end, `${between}, not ${times}`);
  };
  const sender = (async () => {
    for (; sending; sent += 2) {
      await installation.call("POST", "/v1/events", team.writer, { events: [event(session, "order"), event(session, "page")] });
    }
  })();
  await openEvents(page);
  await opened(1);
  for (const [at, range] of ["day", "today", "month", "week", "year"].entries()) {
    await page.select("#event-range", range);
    await opened(2 * at + 2);
    await page.click("#tab-taps");
    await live(page);
    await page.click("#tab-events");
    await opened(2 * at + 3);
  }
  sending = false;
  await sender;
  assert.ok(sent > 50, `only ${sent} events were sent`);
  await says(page, "event-total", (sent + between).toLocaleString("en"));
  // Nothing more comes.
  await sleep(500);
  await says(page, "event-total", (sent + between).toLocaleString("en"));
  const half = (sent / 2).toLocaleString("en");
  assert.deepEqual((await legend(page)).sort(), [`between ${between}`, `order ${half}`, `page ${half}`]);
  assertCalm(page);
  await close(page);
});

test("refused events are grouped, shown, mended and sent again", async () => {
  const { team, session } = await makeVisit();
  const nameless: NewEvent = { session_id: session, category: "page", data: { some: "thing" }, occurred_at: new Date().toISOString() };
  const bad = '<img src=x onerror="document.title=\'bad\'">';
  const orders = [1, 2, 3].map((count) => event(UNKNOWN, "order", { data: { count, note: bad } }));
  const once = event(session, "page", { event_id: randomUUID() });
  await installation.send(team.writer, [...orders, nameless, event(session, "order"), event(session, "form"), once]);
  const page = await visit(browser, installation.url);
  const keys = sendersOf(page, team.writer);
  await enter(page, team.reader);
  await openEvents(page);
  await says(page, "event-total", "3");
  await waitForGroups(page, 2);
  assert.deepEqual(await groups(page), ["3 UNKNOWN_SESSION writer", "1 REQUIRED writer"]);
  await says(page, "errors-count", "4 events");
  assert.deepEqual(await ledger(page), { stored: 3, duplicate: 0, rejected: 4, pending: 0, received: 7 });
  const wrong = await page.$$eval("#errors > li > .violations", (lists) => lists.map(({ textContent }) => textContent ?? ""));
  assert.match(wrong[0] ?? "", new RegExp(`^session_id .*${UNKNOWN}`));
  assert.match(wrong[1] ?? "", /^name /);

  // One that is opened shows what was sent, as text.
  await page.click("#errors > li:first-child .toggle");
  await page.waitForFunction(() => document.querySelectorAll("#errors > li:first-child article").length === 3);
  const payloads = await page.$$eval("#errors > li:first-child pre", (some) => some.map(({ textContent }) => textContent ?? ""));
  assert.deepEqual(payloads.map((payload) => JSON.parse(payload) as object), [...orders].reverse());
  assert.match(payloads[0] ?? "", /^\{\n {2}"/);
  assert.equal(await page.evaluate(() => document.querySelectorAll("main img, dialog img").length), 0);
  assert.equal(await page.title(), "tap-analytics");

  // It takes a key that may write, of this team.
  await openDialog(page);
  await says(page, "replay-what", "3 events of writer, refused with UNKNOWN_SESSION.");
  await page.click("#replay-check");
  await says(page, "replay-message", "Enter a key with the scope events:write.");
  const wrongKeys: [string, RegExp][] = [
    ["secret", /does not look like a key/],
    [await installation.token(team.reader), /token, which can only read/],
    [(await makeTeam([])).writer, /key of another team/],
    [team.writer.slice(0, -1), /not valid/],
    [team.reader, /^This key may not send events: it lacks the scope events:write\./],
  ];
  for (const [key, message] of wrongKeys) {
    await retype(page, "replay-key", `${key}\n`);
    await says(page, "replay-message", message);
  }
  await waitForGroups(page, 2);
  await retype(page, "replay-key", team.writer);
  await set(page, "session_id", session);
  await page.click("#replay-check");
  await says(page, "replay-message", /^The value of session_id is not JSON/);
  // As it is, all would be refused again.
  await set(page, "data.count", "1");
  await page.click("#replay-check");
  await says(page, "replay-verdict", "0 events would be stored, 3 would be refused again.");
  assert.match(await text(page, "replay-wrong"), new RegExp(`^3 × session_id .*${UNKNOWN}`));
  await set(page, "session_id", JSON.stringify(session));
  await page.click("#replay-check");
  await says(page, "replay-verdict", "3 events would be stored, none would be refused again.");
  await waitForGroups(page, 2);
  await says(page, "event-total", "3");

  // A patch that does more: it clears a field, and sets another one.
  await page.click("#replay-add-remove");
  await page.type("#replay-remove li:last-child input", "data.note");
  await page.click("#replay-add-set");
  await set(page, "data.mended", '{"by": ["hand"]}');
  await page.click("#replay-send");
  await says(page, "replay-verdict", "3 events were sent again.");
  await says(page, "event-total", "6");
  await waitForGroups(page, 1);
  assert.deepEqual(await groups(page), ["1 REQUIRED writer"]);
  assert.deepEqual((await legend(page)).filter((line) => line.startsWith("order")), ["order 4"]);
  const { events } = await installation.call<{ events: { data: object; sessionId: string }[] }>(
    "GET", `/v1/events?session_id=${session}&category=order&order=SESSION`, team.reader,
  );
  const mended = events.map(({ data }) => data).filter((data) => "mended" in data);
  assert.deepEqual(mended, [1, 2, 3].map((count) => ({ count, mended: { by: ["hand"] } })));

  // Sent again there is nothing left, and Escape closes it.
  await page.click("#replay-send");
  await says(page, "replay-verdict", "There are none left to send.");
  await page.keyboard.press("Escape");
  await page.waitForSelector("#replay:not([open])");
  // What it was opened from is gone.
  assert.equal(await focused(page), "errors-title");

  // Three replays, a duplicate, and they add up.
  await installation.send(team.writer, [once, nameless]);
  await says(page, "ledger-received", "12", 15_000);
  assert.deepEqual(await ledger(page), { stored: 6, duplicate: 1, rejected: 5, pending: 0, received: 12 });
  assert.deepEqual(await groups(page), ["2 REQUIRED writer"]);

  // What is sent again without being mended comes back.
  await openDialog(page);
  await page.type("#replay-key", team.writer);
  await page.click("#replay-send");
  await says(page, "replay-verdict", "2 events were sent again.");
  await page.keyboard.press("Escape");
  await says(page, "ledger-received", "14");
  await waitForGroups(page, 1);
  assert.deepEqual(await groups(page), ["2 REQUIRED writer"]);
  assert.deepEqual([...new Set(keys)], ["/tap.v1.Events/ReplayEventErrors"]);
  await close(page);
});

test("the key that sends events again is nowhere once the dialog is closed", async () => {
  const { team } = await makeVisit();
  await installation.send(team.writer, [event(UNKNOWN, "order")]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  await openEvents(page);
  await waitForGroups(page, 1);
  await openDialog(page);
  const field = await page.$eval("#replay-key", (field) => [(field as HTMLInputElement).type, field.getAttribute("autocomplete")]);
  assert.deepEqual(field, ["password", "off"]);
  await page.type("#replay-key", team.writer);
  await page.click("#replay-check");
  await says(page, "replay-verdict", "0 events would be stored, 1 would be refused again.");
  await page.click("#replay-close");
  await page.waitForSelector("#replay:not([open])");
  assert.match(await focused(page), /replay/);

  await openDialog(page);
  assert.equal(await page.$eval("#replay-key", (field) => (field as HTMLInputElement).value), "");
  assert.equal(await text(page, "replay-verdict"), "");
  await page.focus("#replay-key");
  await page.keyboard.down("Control");
  await page.keyboard.press("z");
  await page.keyboard.up("Control");
  const places = await page.evaluate(() => ({
    document: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll("input")].map((input) => input.value).join(),
    storage: JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
    address: location.href,
  }));
  const secret = team.writer.slice(`tap_${team.number}_`.length);
  for (const [place, content] of Object.entries({ ...places, memory: await memory(page) })) {
    for (const part of [secret.slice(0, 12), secret.slice(-12)]) assert.ok(!content.includes(part), place);
  }
  assertCalm(page);
  await close(page);
});

test("a key that may not read events is told so, and sees its taps", async () => {
  const { team, session } = await makeVisit();
  const admin = await makeKey(team.slug, "admin");
  const [few, used] = [await makeKey(team.slug, "reader", "few"), await makeKey(team.slug, "reader", "used")];
  // New keys work everywhere within a second.
  await sleep(1000);
  await installation.call("PATCH", `/v1/apiKeys/${await installation.keyId(few)}`, admin, { scopes: ["taps:read"] });
  await installation.send(team.writer, [event(session, "order")]);
  const page = await visit(browser, installation.url);
  const calls = callsOf(page, "Events");
  await enter(page, few);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await page.click("#tab-events");
  await says(page, "events-barred", /^This key may not read events: it lacks the scope events:read\./);
  assert.equal(await page.$eval("#events-seen", (seen) => seen.hasAttribute("hidden")), true);
  assert.deepEqual(calls, []);
  await page.click("#tab-taps");
  await live(page);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "2");
  assertCalm(page);

  // A token that is limited to some tags may not either.
  await page.click("#leave");
  await retype(page, "key", `${await installation.token(team.reader, { tagUids: ["a"] })}\n`);
  await live(page);
  await page.click("#tab-events");
  await says(page, "events-barred", /limited to some tags/);
  // Nor one whose key may not any more.
  await page.click("#leave");
  await enter(page, used);
  await openEvents(page);
  await says(page, "event-total", "1");
  await installation.call("PATCH", `/v1/apiKeys/${await installation.keyId(used)}`, admin, { scopes: ["taps:read"] });
  await says(page, "events-barred", /lacks the scope events:read/, 15_000);
  await close(page);
});

test("when the token ends on the tab of the events it goes on there with the key", async () => {
  const { team, session } = await makeVisit();
  await installation.send(team.writer, [event(session, "order")]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  const ending = await endingIn((await page.evaluate((place) => sessionStorage.getItem(place), PLACE)) ?? "", SOON);
  await page.evaluate((place, token) => sessionStorage.setItem(place, token), PLACE, ending);
  await page.reload();
  await live(page);
  await openEvents(page);
  await page.select("#event-interval", "3");
  await says(page, "event-total", "1");
  await says(page, "key-message", /^You were signed in until/, 30_000);
  assert.deepEqual([await text(page, "event-total"), await text(page, "status")], ["1", "Stopped"]);
  // Nothing is tried meanwhile, on either tab.
  const calls = callsOf(page, "Events");
  await page.click("#tab-taps");
  await page.click("#tab-events");
  await installation.send(team.writer, [event(session, "form")]);
  assert.deepEqual([calls, await text(page, "status")], [[], "Stopped"]);
  await retype(page, "key", `${team.reader}\n`);
  await live(page);
  await says(page, "event-total", "2");
  assert.deepEqual(await legend(page), ["order 1", "form 1"]);
  assert.ok(!calls.includes("QueryEvents"), calls.join());
  await page.click("#tab-taps");
  await live(page);
  await installation.record(team.writer, [{ tagUid: "a" }]);
  await says(page, "total", "1");
  await page.click("#leave");
  await enter(page, team.reader);
  assert.equal(await page.$eval("#tab-taps", (tab) => tab.getAttribute("aria-selected")), "true");
  await close(page);
});

test("tabs, refused events and the dialog can be used with the keyboard", async () => {
  const { team } = await makeVisit();
  await installation.send(team.writer, [event(UNKNOWN, "order")]);
  const page = await visit(browser, installation.url);
  await enter(page, team.reader);
  const tabs = () => page.$$eval("[role=tab]", (some) => some.map((tab) => [tab.getAttribute("aria-selected"), tab.getAttribute("tabindex")].join(" ")));
  await page.focus("#tab-taps");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(page), "tab-events");
  assert.deepEqual(await tabs(), ["false -1", "true 0", "false -1"]);
  assert.deepEqual(await panels(page), ["panel-events"]);
  await page.keyboard.press("Home");
  assert.deepEqual([await focused(page), await panels(page)], ["tab-taps", ["panel-taps"]]);
  await page.keyboard.press("ArrowLeft");
  assert.deepEqual([await focused(page), await panels(page)], ["tab-coupons", ["panel-coupons"]]);
  await page.keyboard.press("ArrowLeft");
  assert.deepEqual([await focused(page), await panels(page)], ["tab-events", ["panel-events"]]);
  const roles = await page.$$eval("[role=tab]", (some) =>
    some.map((tab) => {
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      return [tab.parentElement?.getAttribute("role"), panel?.getAttribute("role"), panel?.getAttribute("aria-labelledby") === tab.id];
    }),
  );
  assert.deepEqual(roles, Array.from({ length: 3 }, () => ["tablist", "tabpanel", true]));

  await waitForGroups(page, 1);
  await page.focus("#errors .toggle");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#errors article");
  assert.equal(await page.$eval("#errors .toggle", (toggle) => toggle.getAttribute("aria-expanded")), "true");
  await page.keyboard.press("Tab");
  assert.match(await focused(page), /replay/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#replay[open]");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Path");
  // The focus stays in it.
  for (let presses = 0; presses < 12; presses++) {
    await page.keyboard.press("Tab");
    const inside = await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest("dialog") !== null);
    assert.ok(inside);
  }
  await page.keyboard.press("Escape");
  await page.waitForSelector("#replay:not([open])");
  assert.match(await focused(page), /replay/);
  await page.keyboard.down("Shift");
  await page.keyboard.press("Tab");
  await page.keyboard.up("Shift");
  await page.keyboard.press("Space");
  await page.waitForSelector("#errors .some[hidden]");
  assertCalm(page);
  await close(page);
});

test("a narrow screen does not scroll sideways on the tab of the events", async () => {
  const { team, session } = await makeVisit();
  const long = "a category that is much too long for a telephone".padEnd(50, "x");
  await installation.send(team.writer, [
    event(session, long), event(session, "W".repeat(50)), event(UNKNOWN, "order", { data: { ["x".repeat(200)]: "y".repeat(300) } }),
  ]);
  for (const width of [390, 1280]) {
    const page = await visit(browser, installation.url, { width, height: 740, zone: "America/Argentina/ComodRivadavia" });
    const fits = async () => {
      const [inner, ...outer] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]);
      assert.deepEqual(outer, [inner, inner]);
    };
    await enter(page, team.reader);
    await openEvents(page);
    await says(page, "event-total", "2");
    await waitForGroups(page, 1);
    await page.click("#errors .toggle");
    await page.waitForSelector("#errors article");
    for (const summary of await page.$$("#panel-events summary")) await summary.click();
    await page.waitForFunction(() => document.querySelectorAll("#ledger-body tr, #event-table-body tr").length > 1);
    await fits();
    await openDialog(page);
    await fits();
    const box = await page.$eval("#replay", (dialog) => {
      const { left, right, top, bottom } = dialog.getBoundingClientRect();
      return [left >= 0, right <= innerWidth, top >= 0, bottom <= innerHeight, dialog.scrollWidth <= dialog.clientWidth];
    });
    assert.deepEqual(box, [true, true, true, true, true]);
    await page.keyboard.press("Escape");
    assertCalm(page);
    await close(page);
  }
});

// The paths of the requests that a key is in.
function sendersOf(page: Page, key: string): string[] {
  const paths: string[] = [];
  page.on("request", (request) => {
    const sent = `${request.url()} ${JSON.stringify(request.headers())} ${request.postData() ?? ""}`;
    if (sent.includes(key)) paths.push(new URL(request.url()).pathname);
  });
  return paths;
}
