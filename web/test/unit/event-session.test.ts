// What the tab of the events asks, and when: as little as it can.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Api } from "../../src/api";
import type { EventQuery } from "../../src/events/plan";
import { EventSession } from "../../src/events/session";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import {
  GetIngestLedgerResponseSchema,
  GroupEventErrorsResponseSchema,
  QueryEventsResponseSchema,
  StreamEventsResponseSchema,
} from "../../src/gen/tap/v1/events_pb";
import { EndReason_Value as EndReason, Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";

const settings = { range: { preset: "week", from: "", to: "" }, interval: Interval.TOTAL, zone: "UTC" } as const;

// An API that notes what is asked of it. Its streams bring one event and stay open until `end`, or until nobody
// reads them.
function play() {
  const log: string[] = [];
  const ends = new Set<(reason: EndReason | undefined) => void>();
  let failing: ConnectError | undefined;
  let open = 0;
  const asked = <T>(what: string, answer: T): Promise<T> => {
    log.push(what);
    return failing ? Promise.reject(failing) : Promise.resolve(answer);
  };
  const api = {
    queryEvents: ({ interval }: EventQuery) =>
      asked(`query ${interval}`, create(QueryEventsResponseSchema, { total: 1, resumeToken: "counted" })),
    ledger: () => asked("ledger", create(GetIngestLedgerResponseSchema)),
    groupErrors: () => asked("errors", create(GroupEventErrorsResponseSchema)),
    async *streamEvents(token: string, signal: AbortSignal) {
      log.push(`stream from ${token}`);
      if (failing) throw failing;
      open++;
      try {
        yield create(StreamEventsResponseSchema, { frame: { case: "hello", value: { resumeToken: token, heartbeatSeconds: 15 } } });
        yield create(StreamEventsResponseSchema, { frame: { case: "event", value: { event: { category: "a" }, resumeToken: "later" } } });
        const reason = await new Promise<EndReason | undefined>((resolve) => {
          ends.add(resolve);
          signal.addEventListener("abort", () => resolve(undefined));
        });
        if (reason === undefined) throw new ConnectError("aborted", Code.Canceled);
        yield create(StreamEventsResponseSchema, { frame: { case: "end", value: { reason } } });
      } finally {
        open--;
      }
    },
  } as unknown as Api;
  const session = new EventSession(api, settings, {
    plan: () => undefined,
    counts: (answer) => log.push(answer ? `counts ${answer.total}` : "counts?"),
    event: () => log.push("event"),
    account: () => log.push("account"),
    trouble: () => undefined,
    condition: ({ is }) => log.push(is),
    refused: ({ message }) => log.push(`refused ${message}`),
    barred: ({ reason }) => log.push(`barred ${reason}`),
    lapsed: () => log.push("lapsed"),
    ended: () => log.push("ended"),
  });
  return {
    session,
    api,
    open: () => open,
    end: (reason: EndReason) => ends.forEach((end) => end(reason)),
    fail: (error?: ConnectError) => (failing = error),
    // What was asked and told since the last time.
    next: async () => {
      await sleep(20);
      return log.splice(0);
    },
  };
}

const questions = (log: string[]) => log.filter((line) => /^(query|stream|ledger|errors)/.test(line));

test("nothing is asked before somebody looks; then one query, and a stream that goes on from it", async () => {
  const { session, next, open } = play();
  session.change({ ...settings, interval: Interval.DAY });
  session.hurry();
  session.passTime();
  session.replayed();
  assert.deepEqual(await next(), []);
  session.look(true);
  const log = await next();
  assert.deepEqual(questions(log).sort(), ["errors", "ledger", "query 3", "stream from counted"]);
  assert.deepEqual(log.filter((line) => /^(counts|event)/.test(line)), ["counts?", "counts 1", "event"]);
  assert.equal(open(), 1);
  session.stop();
});

test("while nobody looks nothing is open; then the stream goes on where it was, without a query", async () => {
  const { session, next, open } = play();
  session.look(true);
  await next();
  session.look(false);
  await next();
  assert.equal(open(), 0);
  session.look(true);
  assert.deepEqual(questions(await next()).sort(), ["errors", "ledger", "stream from later"]);
  assert.equal(open(), 1);
  session.stop();
  await next();
  assert.equal(open(), 0);
});

test("another view is another query, also one that was chosen while nobody looked", async () => {
  const { session, next, open } = play();
  session.look(true);
  await next();
  session.change({ ...settings, interval: Interval.DAY });
  assert.deepEqual(questions(await next()), ["query 3", "stream from counted"]);
  assert.equal(open(), 1);
  session.look(false);
  session.change({ ...settings, interval: Interval.HOUR });
  assert.deepEqual(questions(await next()), []);
  session.look(true);
  assert.deepEqual(questions(await next()).sort(), ["errors", "ledger", "query 2", "stream from counted"]);
  session.stop();
});

test("what was sent again is looked for at once, and once more soon", async () => {
  const { session, next } = play();
  session.look(true);
  await next();
  session.replayed();
  assert.deepEqual((await next()).sort(), ["account", "errors", "ledger"]);
  await sleep(600);
  assert.deepEqual((await next()).sort(), ["account", "errors", "ledger"]);
  session.stop();
});

test("a token that ends is told once; with another one it goes on without a query", async () => {
  const { session, api, next, end } = play();
  session.look(true);
  await next();
  end(EndReason.ACCESS_TOKEN_EXPIRED);
  assert.deepEqual((await next()).filter((line) => line !== "paused"), ["lapsed"]);
  session.goOn(api);
  session.look(true);
  assert.deepEqual(questions(await next()).sort(), ["errors", "ledger", "stream from later"]);
  session.stop();
});

test("who may not see events is told so, and nothing is tried any more before somebody looks again", async () => {
  const { session, next, fail } = play();
  const refusal = new ConnectError("no", Code.PermissionDenied);
  refusal.details.push({ desc: ErrorInfoSchema, value: { reason: "SCOPE_MISSING", metadata: { scope: "events:read" } } });
  fail(refusal);
  session.look(true);
  assert.ok((await next()).includes("barred SCOPE_MISSING"));
  session.passTime();
  assert.deepEqual(questions(await next()), []);
  fail();
  session.look(true);
  assert.deepEqual(questions(await next()).sort(), ["errors", "ledger", "query 2", "stream from counted"]);
  session.stop();
});

test("a bad question is told; a bad key ends it", async () => {
  const { session, next, fail } = play();
  fail(new ConnectError("too long ago", Code.InvalidArgument));
  session.look(true);
  assert.ok((await next()).includes("refused too long ago"));
  fail();
  session.change({ ...settings, interval: Interval.DAY });
  assert.ok((await next()).includes("counts 1"));
  fail(new ConnectError("no", Code.Unauthenticated));
  session.replayed();
  assert.ok((await next()).includes("ended"));
  fail();
  session.look(false);
  session.look(true);
  assert.deepEqual(questions(await next()), []);
});
