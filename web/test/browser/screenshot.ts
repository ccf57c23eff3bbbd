// Makes the pictures of the pages in the README: a team with two weeks of taps, a week of events and one of coupons,
// and more coming in; and a file of users that is imported.
import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, ElementHandle, Page } from "puppeteer-core";
import { civilOf, weekday } from "../../src/civil";
import { close, enter, launch, live, says, visit } from "./browser";
import { Installation, type NewCoupon, type NewEvent, type NewTap, type Tag, type Team, command, makeKey, makeTeam, seed, sql } from "./installation";

const [folder = ".", scheme = "light", width = "1280", height = "800"] = process.argv.slice(2);

const TAGS: (Tag & { weight: number })[] = [
  { uid: "04A1B2C3D4E501", label: "Counter, espresso bar", weight: 22 },
  { uid: "menu-window", label: "Menu in the window", kind: "qr", weight: 15 },
  { uid: "04A1B2C3D4E502", label: "Table 4", weight: 11 },
  { uid: "receipt", label: "Receipt", kind: "qr", weight: 10 },
  { uid: "04A1B2C3D4E503", label: "Table 2, by the piano", weight: 8 },
  { uid: "newsletter", label: "Newsletter", kind: "link", weight: 7 },
  { uid: "poster-station", label: "Poster at the station", kind: "qr", weight: 6 },
  { uid: "04A1B2C3D4E504", label: "Terrace", weight: 5 },
  { uid: "loyalty-card", label: "Loyalty card", weight: 4 },
  { uid: "04A1B2C3D4E505", label: "Table 7", weight: 3 },
  { uid: "parcel", label: "Parcel insert", kind: "qr", weight: 2 },
  { uid: "profile", label: "Profile link", kind: "link", weight: 2 },
];
const COUNTRIES = ["US", "DE", "FR", "JP", "GB", "CA", ""];
const DEVICES = ["ios", "ios", "android", "android", ""];
const EVENTS = [
  { category: "page", name: "page.viewed", data: { page: "/menu" }, weight: 12 },
  { category: "order", name: "order.placed", data: { items: 2, total: 7.4 }, weight: 7 },
  { category: "loyalty", name: "stamp.given", data: { stamps: 1 }, weight: 4 },
  { category: "form", name: "form.sent", data: { form: "booking" }, weight: 2 },
  { category: "chat", name: "chat.opened", data: { topic: "allergens" }, weight: 1 },
];
const HOUR_MS = 3_600_000;
const COUPONS: (NewCoupon & { weight: number; days?: number })[] = [
  { couponcode: "ESPRESSO", title: "A free espresso with any cake", tagUids: ["04A1B2C3D4E501"], maxRedemptions: 500, days: 12, weight: 9 },
  { couponcode: "WINDOW-10", title: "10% off the menu of the day", tagUids: ["menu-window"], days: 5, weight: 6 },
  { couponcode: "TERRACE", title: "Second drink at half the price on the terrace", tagUids: ["04A1B2C3D4E504"], days: 40, weight: 3 },
  { couponcode: "FIRST-50", title: "A tote bag for the first fifty", maxRedemptions: 50, weight: 4 },
  { couponcode: "STAMPS", title: "Ten stamps, one breakfast", tagUids: ["loyalty-card"], weight: 3 },
  { couponcode: "SPRING", title: "Rhubarb cake at half the price", days: -20, weight: 0 },
  { couponcode: "ADVENT", title: "Mulled cider, one for free", publishedAt: "2199-12-01T00:00:00Z", weight: 0 },
];

// Always the same numbers from 0 to 1.
let state = 20_221;
function random(): number {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
  return state / 2_147_483_648;
}

function pick<T>(some: readonly T[]): T {
  return some[Math.floor(random() * some.length)] as T;
}

function weighed<T extends { weight: number }>(some: readonly T[]): T {
  let left = random() * some.reduce((sum, { weight }) => sum + weight, 0);
  return some.find(({ weight }) => (left -= weight) < 0) ?? (some[0] as T);
}

// How busy a café is in an hour, by its clock and the day of the week, from Monday.
function rhythm(hour: number, day: number): number {
  const peak = (at: number, wide: number) => Math.exp(-(((hour - at) / wide) ** 2));
  const weekend = day >= 5;
  return (weekend ? 1.35 * peak(11.5, 2.4) + peak(16, 2.6) : peak(8.5, 1.3) + 1.3 * peak(12.7, 1.4) + 0.8 * peak(17, 2)) + 0.02;
}

// Moments of so many days until now, as many as a café has by its clock.
function* moments(days: number, often: number, zone: string, now: number): Iterable<string> {
  for (let at = now - days * 24 * HOUR_MS; at < now; at += HOUR_MS / 4) {
    const civil = civilOf(at, zone);
    const growth = 1 + (0.25 * (at - now)) / (days * 24 * HOUR_MS);
    const mean = often * growth * rhythm(civil.hour + civil.minute / 60, weekday(civil));
    const count = Math.floor(mean * (0.6 + 0.8 * random()) + random());
    for (let one = 0; one < count; one++) yield new Date(Math.min(now - 1000, at + (random() * HOUR_MS) / 4)).toISOString();
  }
}

// Gives the taps as lines of the file.
async function makeTaps(team: Team, zone: string, now: number): Promise<string[][]> {
  const taps = [...moments(15, 9, zone, now)].map((when) => [randomUUID(), weighed(TAGS).uid, "1", when]);
  const tags = TAGS.map(({ uid }) => `${uid},${team.number},2022-01-01T00:00:00Z`).join("\n");
  await seed("taps", ["id", "tag_uid", "count", "created_at"], taps, `tag_uid,team_id,created_at\n${tags}\n`);
  return taps;
}

// A week of events of two applications. One of them has a few of sessions that nobody made, and the other one
// some whose data is not as it must be.
async function makeEvents(installation: Installation, team: Team, zone: string, now: number): Promise<() => Promise<void>> {
  const [kiosk, shop] = [await makeKey(team.slug, "writer", "kiosk"), await makeKey(team.slug, "writer", "web shop")];
  await sleep(1000);
  const schema = { type: "object", required: ["items", "total"], properties: { items: { type: "integer" }, total: { type: "number" } } };
  await installation.call("PUT", "/v1/eventTypes/order/order.placed", shop, { schema });
  const sessions: string[] = [];
  for (let session = 0; session < 40; session++) sessions.push(await installation.session(kiosk));
  const one = (occurred_at: string, more: NewEvent = {}): NewEvent => {
    const { category, name, data } = weighed(EVENTS);
    return { session_id: pick(sessions), category, name, data, occurred_at, event_id: randomUUID(), ...more };
  };
  const events = [...moments(8, 11, zone, now)].map((when) => one(when));
  for (let at = 0; at < events.length; at += 1000) await installation.send(kiosk, events.slice(at, at + 1000));
  await installation.send(kiosk, events.slice(-12));
  const lately = () => new Date(now - random() * 40 * HOUR_MS).toISOString();
  const order = { category: "order", name: "order.placed" };
  const lost = randomUUID();
  await installation.send(kiosk, Array.from({ length: 23 }, () => one(lately(), { session_id: lost })));
  await installation.send(shop, Array.from({ length: 3 }, () => one(lately(), { ...order, data: { items: "two", total: 7.4 } })));
  await installation.send(shop, [one(lately(), { ...order, data: { items: 1 } })]);
  return () => installation.send(kiosk, [one(new Date().toISOString())]);
}

// A week in which some of the taps became sessions, some of these looked at a coupon, and some redeemed it. The API
// takes sessions and redemptions only as they happen, so that they are moved in the database.
async function makeCoupons(installation: Installation, team: Team, taps: string[][], now: number): Promise<void> {
  const shop = await makeKey(team.slug, "admin", "coupons");
  await sleep(1000);
  const made: { id: string; weight: number; tagUids: string[]; left: number }[] = [];
  for (const { weight, days, ...coupon } of COUPONS) {
    const expiry = days === undefined ? {} : { expireAt: new Date(now + days * 24 * HOUR_MS).toISOString() };
    const id = await installation.coupon(shop, { ...coupon, ...expiry });
    made.push({ id, weight, tagUids: coupon.tagUids ?? [], left: coupon.maxRedemptions ?? Infinity });
  }
  const week = taps.filter(([, , , when = ""]) => Date.parse(when) > now - 7.5 * 24 * HOUR_MS && random() < 0.22);
  const [sessions, views, redemptions]: [string[], NewEvent[], string[]] = [[], [], []];
  for (const [tapId = "", tagUid = "", , when = ""] of week) {
    const session = await installation.session(shop, tapId);
    sessions.push(`('${session}'::uuid, '${when}'::timestamptz)`);
    const some = made.filter(({ tagUids, weight }) => weight > 0 && (tagUids.length === 0 || tagUids.includes(tagUid)));
    if (random() < 0.35) continue;
    const coupon = weighed(some);
    views.push({ session_id: session, category: "coupon", name: "viewed", data: { coupon_id: coupon.id }, occurred_at: when });
    if (coupon.left === 0 || random() < 0.6) continue;
    coupon.left--;
    const subject = randomUUID();
    await installation.redeem(shop, coupon.id, subject, tagUid);
    redemptions.push(`('${subject}', '${when}'::timestamptz)`);
  }
  for (let at = 0; at < views.length; at += 1000) await installation.send(shop, views.slice(at, at + 1000));
  await sql(`
    update sessions set created_at = moved.at from (values ${sessions.join()}) as moved (id, at)
    where team_id = ${team.number} and session_id = moved.id;
    update redemptions set redeemed_at = moved.at from (values ${redemptions.join()}) as moved (subject, at)
    where team_id = ${team.number} and redemptions.subject = moved.subject;
    delete from redemption_quarters where team_id = ${team.number};
    insert into redemption_quarters (team_id, quarter, coupon_id, tag_id, redemptions)
    select team_id, date_bin('15 minutes', redeemed_at, 'epoch'), coupon_id, tag_id, count(*)
    from redemptions where team_id = ${team.number} and released_at is null group by 1, 2, 3, 4;
  `);
}

async function open(browser: Browser, url: string, zone: string, key: string, scale: number): Promise<Page> {
  const page = await visit(browser, url, { width: Number(width), height: Number(height), zone, scale });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await enter(page, key);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  return page;
}

async function keep(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(folder, name) as `${string}.png`, fullPage: true });
  await close(page);
}

const installation = await Installation.start();
const browser = await launch();
try {
  const now = Date.now();
  const team = await makeTeam(TAGS, "Acme Cafés");
  const key = await makeKey(team.slug, "reader", "dashboard");
  // Where it is afternoon just now, so that the last day of the picture is well under way.
  const zone = ["Europe/Berlin", "America/New_York", "Australia/Sydney"].reduce((one, other) =>
    Math.abs(civilOf(now, other).hour - 15) < Math.abs(civilOf(now, one).hour - 15) ? other : one,
  );
  const seeded = await makeTaps(team, zone, now);
  const taps = await open(browser, installation.url, zone, key, 1.5);
  for (let tap = 0; tap < 18; tap++) {
    const one: NewTap = { tagUid: weighed(TAGS).uid, country: pick(COUNTRIES), device: pick(DEVICES) };
    await sleep(300 + 900 * random());
    await installation.record(team.writer, [one]);
  }
  await sleep(350);
  // The last one has just come.
  await keep(taps, "page.png");

  const more = await makeEvents(installation, team, zone, now);
  const events = await open(browser, installation.url, zone, key, 1);
  await events.click("#tab-events");
  await live(events);
  await says(events, "event-total", /\d/);
  for (let event = 0; event < 8; event++) await more();
  await events.waitForSelector("#errors > li:nth-child(3)");
  await events.click("#errors > li:nth-child(2) .toggle");
  await events.waitForSelector("#errors article");
  await events.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  // Not in the middle of what is being counted.
  await says(events, "ledger-pending", "0", 15_000);
  await keep(events, "events.png");

  await makeCoupons(installation, team, seeded, now);
  const coupons = await open(browser, installation.url, zone, key, 1);
  await coupons.click("#tab-coupons");
  await coupons.waitForSelector('#status[data-is="fresh"]');
  await coupons.waitForSelector("#coupons > li:nth-child(7)");
  await coupons.select("#funnel-interval", "3");
  await coupons.waitForFunction(() => document.getElementById("funnel-chart")?.getAttribute("aria-label")?.endsWith(", by day"));
  await coupons.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await sleep(350);
  await keep(coupons, "coupons.png");

  const users = join(tmpdir(), `tap-users-${randomUUID()}`);
  await mkdir(users);
  const file = join(users, "users.xlsx");
  await command("sample-users", "--rows", "50000", "--seed", "1", file);
  const importer = await makeKey(team.slug, "admin", "imports");
  await sleep(1000);
  const imports = await visit(browser, installation.url, { width: Number(width), height: Number(height), zone, path: "imports" });
  await imports.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await imports.type("#key", importer);
  await imports.keyboard.press("Enter");
  await imports.waitForSelector("#imports:not([hidden])");
  const field = (await imports.$("#file")) as ElementHandle<HTMLInputElement>;
  await field.uploadFile(file);
  await says(imports, "review-state", "Ready", 60_000);
  await imports.waitForSelector("#rows-card:not([hidden]):not([data-busy])");
  await imports.click("#mode-valid");
  await imports.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await sleep(350);
  await keep(imports, "imports.png");
  await rm(users, { recursive: true });
} finally {
  await browser.close();
  await installation.end();
}
