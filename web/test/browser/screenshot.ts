// Makes the picture of the page in the README: a team with two weeks of taps, and more coming in.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { civilOf, weekday } from "../../src/civil";
import { close, enter, launch, visit } from "./browser";
import { Installation, type NewTap, type Tag, makeKey, makeTeam, seed } from "./installation";

const [file = "page.png", scheme = "light", width = "1280", height = "800"] = process.argv.slice(2);

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

// Always the same numbers from 0 to 1.
let state = 20_221;
function random(): number {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
  return state / 2_147_483_648;
}

function pick<T>(some: readonly T[]): T {
  return some[Math.floor(random() * some.length)] as T;
}

function pickTag(): Tag {
  let left = random() * TAGS.reduce((sum, { weight }) => sum + weight, 0);
  return TAGS.find(({ weight }) => (left -= weight) < 0) ?? (TAGS[0] as Tag);
}

// How busy a café is in an hour, by its clock and the day of the week, from Monday.
function rhythm(hour: number, day: number): number {
  const peak = (at: number, wide: number) => Math.exp(-(((hour - at) / wide) ** 2));
  const weekend = day >= 5;
  return (weekend ? 1.35 * peak(11.5, 2.4) + peak(16, 2.6) : peak(8.5, 1.3) + 1.3 * peak(12.7, 1.4) + 0.8 * peak(17, 2)) + 0.02;
}

const installation = await Installation.start();
const browser = await launch();
try {
  const now = Date.now();
  const hour = 3_600_000;
  const team = await makeTeam(TAGS, "Acme Cafés");
  const key = await makeKey(team.slug, "reader", "dashboard");
  const taps: string[][] = [];
  // Where it is afternoon just now, so that the last day of the picture is well under way.
  const zone = ["Europe/Berlin", "America/New_York", "Australia/Sydney"].reduce((one, other) =>
    Math.abs(civilOf(now, other).hour - 15) < Math.abs(civilOf(now, one).hour - 15) ? other : one,
  );
  for (let at = now - 15 * 24 * hour; at < now; at += hour / 4) {
    const civil = civilOf(at, zone);
    const growth = 1 + (0.25 * (at - now)) / (15 * 24 * hour);
    const mean = 9 * growth * rhythm(civil.hour + civil.minute / 60, weekday(civil));
    const count = Math.floor(mean * (0.6 + 0.8 * random()) + random());
    for (let tap = 0; tap < count; tap++) {
      const when = new Date(Math.min(now - 1000, at + (random() * hour) / 4));
      taps.push([randomUUID(), pickTag().uid, "1", when.toISOString()]);
    }
  }
  const tags = TAGS.map(({ uid }) => `${uid},${team.number},2022-01-01T00:00:00Z`).join("\n");
  await seed("taps", ["id", "tag_uid", "count", "created_at"], taps, `tag_uid,team_id,created_at\n${tags}\n`);

  const page = await visit(browser, installation.url, { width: Number(width), height: Number(height), zone, scale: 1.5 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await enter(page, key);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  for (let tap = 0; tap < 18; tap++) {
    const one: NewTap = { tagUid: pickTag().uid, country: pick(COUNTRIES), device: pick(DEVICES) };
    await sleep(300 + 900 * random());
    await installation.record(team.writer, [one]);
  }
  await sleep(350);
  // The last one has just come.
  await page.screenshot({ path: file as `${string}.png`, fullPage: true });
  await close(page);
} finally {
  await browser.close();
  await installation.end();
}
