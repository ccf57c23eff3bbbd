// The list of live taps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { TapSchema } from "../../src/gen/tap/v1/tap_analytics_pb";
import { MOST_ROWS, type Ticker, addNote, addTaps, emptyTicker, narrow } from "../../src/ticker";

const tap = (tapId: string, tagUid = "a") => create(TapSchema, { tapId, tagUid });
const words = ({ rows }: Ticker) => rows.map((row) => ("tap" in row ? row.tap.tapId : row.note));

test("the newest is on top", () => {
  const one = addTaps(emptyTicker, [tap("1"), tap("2")]);
  assert.deepEqual(words(addTaps(one, [tap("3")])), ["3", "2", "1"]);
  assert.deepEqual(words(one), ["2", "1"]);
});

test("ids grow and never come twice", () => {
  let ticker = addTaps(emptyTicker, [tap("1"), tap("2")]);
  ticker = addNote(ticker, "note");
  ticker = narrow(ticker, "", "b");
  ticker = addTaps(ticker, [tap("3", "b")]);
  assert.deepEqual(ticker.rows.map(({ id }) => id), [4]);
});

test("it holds so many rows and no more", () => {
  const many = Array.from({ length: MOST_ROWS + 5 }, (_, index) => tap(String(index)));
  const ticker = addTaps(addTaps(emptyTicker, many), [tap("last")]);
  assert.equal(ticker.rows.length, MOST_ROWS);
  assert.equal(words(ticker)[0], "last");
});

test("the same note is not repeated", () => {
  const once = addNote(addTaps(emptyTicker, [tap("1")]), "missed");
  assert.deepEqual(words(addNote(once, "missed")), ["missed", "1"]);
});

test("from all tags to one keeps that tag's taps", () => {
  const all = addTaps(emptyTicker, [tap("1", "a"), tap("2", "b"), tap("3", "a")]);
  assert.deepEqual(words(narrow(all, "", "a")), ["3", "1"]);
});

test("from one tag to another keeps nothing", () => {
  assert.deepEqual(words(narrow(addTaps(emptyTicker, [tap("1", "a")]), "a", "b")), []);
});

test("from one tag to all says from where on it has all", () => {
  const one = addTaps(emptyTicker, [tap("1", "a")]);
  assert.deepEqual(words(narrow(one, "a", "")), ["All tags from here on", "1"]);
  assert.deepEqual(words(narrow(emptyTicker, "a", "")), []);
});
