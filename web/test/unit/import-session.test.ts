// What the page of the imports asks, and when.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Time } from "../../src/follow";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import {
  CommitImportResponseSchema,
  CommitMode_Value as CommitMode,
  type Import,
  ImportRowSchema,
  ImportSchema,
  ImportState_Value as ImportState,
  ListImportRowsResponseSchema,
  ListImportsResponseSchema,
  RowStatus_Value as RowStatus,
  WatchImportResponseSchema,
} from "../../src/gen/tap/v1/imports_pb";
import { EndReason_Value as EndReason } from "../../src/gen/tap/v1/tap_analytics_pb";
import type { Commit, ImportCalls, RowChange, RowsPage } from "../../src/imports/calls";
import { ImportSession } from "../../src/imports/session";

// Time that does not pass, but for what waits.
const time: Time = { now: () => 0, random: () => 0, sleep: (milliseconds, signal) => sleep(milliseconds > 10_000 ? 1e6 : 1, undefined, { signal, ref: false }).catch(() => undefined) };

function importOf(state: ImportState, more: { id?: string; invalid?: number; etag?: string } = {}): Import {
  const { id = "one", invalid = 0, etag = "1" } = more;
  return create(ImportSchema, { id, state, etag, filename: "people.csv", counts: { total: 120, valid: 120 - invalid, invalid } });
}

// Calls that are noted. The import has 120 rows, of which 3 and 7 are alike.
function play(now: Import) {
  const log: string[] = [];
  const requests: string[] = [];
  let failing: ConnectError | undefined;
  let frames: Import[][] = [];
  const twins = new Set([3, 7]);
  const asked = async <T>(what: string, answer: () => T): Promise<T> => {
    log.push(what);
    await sleep(1);
    if (failing) throw failing;
    return answer();
  };
  const rowOf = (row: number) =>
    create(ImportRowSchema, { row, status: twins.has(row) && twins.size > 1 ? RowStatus.DUPLICATE : RowStatus.INVALID });
  const calls = {
    get: () => asked("get", () => now),
    list: (_: number, token: string) =>
      asked(`list ${token}`, () => create(ListImportsResponseSchema, { imports: [token ? importOf(ImportState.READY, { id: "two" }) : now], nextPageToken: token ? "" : "n" })),
    rows: ({ status, reason, pageSize, pageToken }: RowsPage) =>
      asked(`rows ${RowStatus[status]}${reason} ${pageToken || "0"}`, () => {
        const from = Number(pageToken || 0);
        const rows = Array.from({ length: 120 }, (_, at) => rowOf(at + 1)).filter(
          (row) => status === RowStatus.ANY || row.status === status,
        );
        const to = Math.min(rows.length, from + pageSize);
        return create(ListImportRowsResponseSchema, { rows: rows.slice(from, to), nextPageToken: to < rows.length ? String(to) : "" });
      }),
    patch: (_: string, row: number, change: RowChange) =>
      asked(`patch ${row} ${JSON.stringify(change)}`, () => {
        twins.delete(row);
        return create(ImportRowSchema, { row, status: RowStatus.VALID, changed: true });
      }),
    commit: ({ mode, etag, requestId, validateOnly }: Commit) => {
      requests.push(requestId);
      return asked(`commit ${CommitMode[mode]} ${etag}${validateOnly ? " dry" : ""}`, () =>
        create(CommitImportResponseSchema, { import: validateOnly ? now : importOf(ImportState.COMMITTED), result: { insert: 120 } }),
      );
    },
    cancel: () => asked("cancel", () => importOf(ImportState.CANCELLED)),
    watch: async function* () {
      log.push("watch");
      const some = frames.shift();
      if (!some) throw new ConnectError("cut", Code.Unavailable);
      for (const one of some) {
        await sleep(1);
        yield create(WatchImportResponseSchema, { frame: { case: "import", value: one } });
      }
      yield create(WatchImportResponseSchema, { frame: { case: "end", value: { reason: EndReason.DONE } } });
    },
  } as unknown as ImportCalls;
  const session = new ImportSession(
    calls,
    {
      imports: ({ imports, more }) => log.push(`imports ${imports.map(({ id }) => id).join()}${more ? "+" : ""}`),
      opened: (one) => log.push(one ? `is ${ImportState[one.state]} ${one.progress}` : "none"),
      rows: (shown) => log.push(shown ? `shows ${shown.rows.length} of page ${shown.page}${shown.more ? "+" : ""}` : "rows?"),
      trouble: (errand, condition) => condition && log.push(`${errand} ${condition.is}`),
      refused: (errand, { message }) => log.push(`refused ${errand}: ${message}`),
      ended: ({ reason }) => log.push(`ended ${reason}`),
    },
    time,
  );
  return {
    session,
    requests,
    fail: (error?: ConnectError) => (failing = error),
    set: (one: Import) => (now = one),
    watched: (...some: Import[][]) => (frames = some),
    // What was asked and told since the last time.
    next: async () => {
      await sleep(60);
      return log.splice(0);
    },
  };
}

const refusal = (code: Code, reason: string) => {
  const error = new ConnectError("said", code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason } });
  return error;
};

test("an import that is checked is followed until it is ready, and then its rows are listed", async () => {
  const { session, next, watched, set } = play(importOf(ImportState.READY, { invalid: 60 }));
  const checking = (progress: number) => ({ ...importOf(ImportState.CHECKING), progress });
  // The stream is cut once in between.
  watched([checking(0.25)], [checking(0.75), importOf(ImportState.READY, { invalid: 60 })]);
  session.open(checking(0));
  const log = await next();
  assert.deepEqual(log.filter((line) => line.startsWith("is")), ["is CHECKING 0", "is CHECKING 0.25", "is CHECKING 0.75", "is READY 0"]);
  assert.equal(log.filter((line) => line === "watch").length, 2);
  // Those that are bad come first.
  assert.ok(log.includes("rows INVALID 0"), log.join());
  assert.ok(log.includes("list "));
  assert.ok(log.includes("imports one+") && log.includes("shows 50 of page 0+"), log.join());
  set(importOf(ImportState.READY));
  assert.deepEqual(await next(), []);
  session.stop();
});

test("pages go on and back, and a filter begins anew", async () => {
  const { session, next } = play(importOf(ImportState.READY));
  session.open(importOf(ImportState.READY));
  assert.deepEqual((await next()).filter((line) => /^(rows \w|shows)/.test(line)), ["rows ANY 0", "shows 50 of page 0+"]);
  await session.previous();
  assert.deepEqual(await next(), []);
  await session.next();
  assert.deepEqual(await next(), ["rows?", "rows ANY 50", "shows 50 of page 1+"]);
  await session.next();
  assert.deepEqual(await next(), ["rows?", "rows ANY 100", "shows 20 of page 2"]);
  await session.next();
  assert.deepEqual(await next(), []);
  await session.previous();
  assert.deepEqual(await next(), ["rows?", "rows ANY 50", "shows 50 of page 1+"]);
  await session.filter({ status: RowStatus.DUPLICATE, reason: "" });
  assert.deepEqual(await next(), ["rows?", "rows DUPLICATE 0", "shows 2 of page 0"]);
  // What was asked before does not come in its place.
  void session.filter({ status: RowStatus.ANY, reason: "" });
  await session.filter({ status: RowStatus.VALID, reason: "" });
  assert.equal((await next()).filter((line) => line.startsWith("shows")).length, 1);
  session.stop();
});

test("a change of a row brings the row and the counters, and what follows from it of others", async () => {
  const { session, next } = play(importOf(ImportState.READY));
  session.open(importOf(ImportState.READY));
  await session.filter({ status: RowStatus.INVALID, reason: "" });
  await next();
  const mended = await session.patch(12, { cells: { phone: "0788" } });
  assert.equal(mended?.changed, true);
  assert.deepEqual(await next(), ['patch 12 {"cells":{"phone":"0788"}}', "shows 50 of page 0+", "get", "is READY 0"]);
  await session.filter({ status: RowStatus.DUPLICATE, reason: "" });
  await next();
  await session.patch(3, { skipped: true });
  // The other one is not alone any more, and goes; the one that was changed stays.
  assert.deepEqual((await next()).filter((line) => /^(rows \w|shows)/.test(line)), ["shows 2 of page 0", "rows DUPLICATE 0", "shows 1 of page 0"]);
  session.stop();
});

test("to store it again is to store it once, unless it was changed", async () => {
  const { session, next, requests, fail, set } = play(importOf(ImportState.READY));
  session.open(importOf(ImportState.READY));
  await next();
  assert.ok(await session.commit(CommitMode.VALID_ONLY, true));
  fail(refusal(Code.FailedPrecondition, "IMPORT_BAD_ROWS"));
  assert.equal(await session.commit(CommitMode.ALL_OR_NOTHING, false), undefined);
  fail();
  const log = await next();
  assert.ok(log.includes("refused commit: said"), log.join());
  fail(refusal(Code.Aborted, "ETAG_MISMATCH"));
  set(importOf(ImportState.READY, { etag: "2" }));
  await session.commit(CommitMode.ALL_OR_NOTHING, false);
  fail();
  await next();
  await session.commit(CommitMode.ALL_OR_NOTHING, false);
  const [dry, first, again, other] = requests;
  assert.equal(first, again);
  assert.equal(new Set([dry, first, other]).size, 3);
  const end = await next();
  for (const line of ["commit ALL_OR_NOTHING 2", "is COMMITTED 0", "list "]) assert.ok(end.includes(line), end.join());
  session.stop();
});

test("what passes is tried again, and a key that ends, ends it", async () => {
  const { session, next, fail } = play(importOf(ImportState.READY));
  fail(new ConnectError("away", Code.Unavailable));
  void session.list();
  const log = await next();
  assert.ok(log.filter((line) => line === "list ").length > 1 && log.includes("list reconnecting"), log.join());
  fail();
  assert.ok((await next()).includes("imports one+"));
  await session.more();
  assert.deepEqual(await next(), ["list n", "imports one,two"]);
  session.open(importOf(ImportState.READY));
  await next();
  fail(refusal(Code.Unauthenticated, "API_KEY_REVOKED"));
  void session.next();
  void session.patch(1, { skipped: true });
  assert.deepEqual((await next()).filter((line) => line.startsWith("ended")), ["ended API_KEY_REVOKED"]);
  await session.list();
  session.open(importOf(ImportState.READY));
  assert.ok(!(await next()).some((line) => /^(list|refused|shows)/.test(line) && line !== "list "));
});
