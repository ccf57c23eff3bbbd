// A session whose token ends, and that goes on with another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Api } from "../../src/api";
import {
  Compare_Value as Compare,
  EndReason_Value as EndReason,
  Interval_Value as Interval,
  StreamTapsResponseSchema,
  WatchTapsResponseSchema,
} from "../../src/gen/tap/v1/tap_analytics_pb";
import type { Query, Settings } from "../../src/plan";
import { Session } from "../../src/session";

const settings: Settings = {
  range: { preset: "week", from: "", to: "" },
  interval: Interval.TOTAL,
  zone: "UTC",
  tag: "",
  compare: Compare.NONE,
};

// An API that notes what is asked of it. Its watches stay open until `expire`, and its streams until nobody
// reads them.
function api(name: string, log: string[]) {
  const open = new Set<() => void>();
  const expired = (signal: AbortSignal) =>
    new Promise<boolean>((resolve) => {
      open.add(() => resolve(true));
      signal.addEventListener("abort", () => resolve(false));
    });
  const cut = new ConnectError("aborted", Code.Canceled);
  const watch = async function* (query: Query, token: string, signal: AbortSignal) {
    const what = query.groupBy === 3 ? "hours" : `counts ${query.tagUids?.join() ?? ""}`.trim();
    log.push(`${name}: ${what} from ${token || "now"}`);
    const value = { query: {}, resumeToken: `${what} ${name}` };
    yield create(WatchTapsResponseSchema, { frame: { case: "answer", value } });
    if (!(await expired(signal))) throw cut;
    yield create(WatchTapsResponseSchema, { frame: { case: "end", value: { reason: EndReason.ACCESS_TOKEN_EXPIRED } } });
  };
  const stream = async function* (tagUids: string[], token: string, signal: AbortSignal) {
    log.push(`${name}: taps ${tagUids.join()}`.trim() + ` from ${token || "now"}`);
    yield create(StreamTapsResponseSchema, { frame: { case: "hello", value: { resumeToken: `taps ${name}`, heartbeatSeconds: 15 } } });
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    throw cut;
  };
  return { api: { watch, stream } as unknown as Api, expire: () => open.forEach((end) => end()) };
}

test("it goes on where it was, for what the controls say by then", async () => {
  for (const tag of ["", "a"]) {
    const log: string[] = [];
    const one = api("one", log);
    const two = api("two", log);
    const nothing = () => undefined;
    const session = new Session(one.api, settings, {
      plan: nothing, counts: nothing, hours: nothing, tap: nothing, missed: () => log.push("missed"), refused: nothing,
      condition: ({ is }) => log.at(-1) !== is && log.push(is),
      lapsed: ({ kind }) => log.push(kind),
      ended: () => log.push("ended"),
    });
    await sleep(20);
    assert.deepEqual(log.splice(0).filter((line) => line.startsWith("one")), [
      "one: counts from now", "one: hours from now", "one: taps from counts one",
    ]);

    one.expire();
    await sleep(20);
    // Once, and nothing is tried meanwhile, whatever the controls say.
    session.change({ ...settings, tag });
    session.hurry();
    session.pause();
    session.resume();
    await sleep(20);
    assert.deepEqual(log.splice(0), ["lapsed"]);

    session.goOn(two.api);
    await sleep(20);
    const asked = log.filter((line) => line.startsWith("two")).sort();
    if (tag === "") {
      assert.deepEqual(asked, ["two: counts from counts one", "two: hours from hours one", "two: taps from taps one"]);
    } else {
      assert.deepEqual(asked.filter((line) => line.includes(" a ")), ["two: counts a from now", "two: taps a from taps one"]);
    }
    assert.deepEqual([log[0], log.at(-1)], ["opening", "live"]);
    assert.ok(!log.includes("ended") && !log.includes("missed"), log.join());
    session.stop();
  }
});
