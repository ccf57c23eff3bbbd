// Civil time in zones with odd offsets and at clock changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addDays, civilOf, civilOfText, dateText, startOfDay, weekday, zoneNamed } from "../../src/civil";

const iso = (instant: number) => new Date(instant).toISOString();

test("a moment in a zone", () => {
  const civil = civilOf(Date.parse("2026-11-22T18:20:30Z"), "Asia/Kathmandu");
  assert.deepEqual(civil, { year: 2026, month: 11, day: 23, hour: 0, minute: 5, second: 30 });
});

test("the text of an instant is read by its own offset", () => {
  assert.deepEqual(civilOfText("2026-03-29T01:59:58.5+01:00"), {
    year: 2026, month: 3, day: 29, hour: 1, minute: 59, second: 58,
  });
});

test("a day begins at its first instant", () => {
  assert.equal(iso(startOfDay("2026-01-01", "UTC")), "2026-01-01T00:00:00.000Z");
  assert.equal(iso(startOfDay("2026-03-30", "Europe/Berlin")), "2026-03-29T22:00:00.000Z");
  // Midnight was skipped: the day begins at 01:00.
  assert.equal(iso(startOfDay("2024-03-31", "Asia/Beirut")), "2024-03-30T22:00:00.000Z");
  assert.equal(iso(startOfDay("2026-06-01", "Pacific/Kiritimati")), "2026-05-31T10:00:00.000Z");
  assert.equal(iso(startOfDay("2026-06-01", "Pacific/Pago_Pago")), "2026-06-01T11:00:00.000Z");
});

test("days are added in the calendar", () => {
  assert.equal(addDays("2026-03-01", -1), "2026-02-28");
  assert.equal(addDays("2025-12-31", 1), "2026-01-01");
});

test("weeks begin on Monday", () => {
  assert.equal(weekday({ year: 2026, month: 11, day: 23 }), 0);
  assert.equal(weekday({ year: 2026, month: 11, day: 22 }), 6);
});

test("names of zones get their spelling", () => {
  assert.equal(zoneNamed(" europe/berlin "), "Europe/Berlin");
  assert.equal(zoneNamed("utc"), "UTC");
  assert.match(zoneNamed("asia/kathmandu") ?? "", /^Asia\/Kath?mandu$/);
  for (const wrong of ["Mars/Olympus", "", "+01:00", "<b>"]) assert.equal(zoneNamed(wrong), undefined);
});

test("dates are written with all their digits", () => {
  assert.equal(dateText({ year: 812, month: 3, day: 4 }), "0812-03-04");
});
