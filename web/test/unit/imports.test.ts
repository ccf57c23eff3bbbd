// What the page of the imports says, and how it reads what the service says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { failureOf } from "../../src/failure";
import {
  CommitMode_Value as CommitMode,
  ImportKind_Value as ImportKind,
  ImportPlanSchema,
  ImportRowSchema,
  ImportSchema,
  ImportState_Value as ImportState,
  RowAction_Value as RowAction,
  RowStatus_Value as RowStatus,
} from "../../src/gen/tap/v1/imports_pb";
import { countOf, firstFilter, hasRows, merged, moves } from "../../src/imports/rows";
import { addressOf, errorOf } from "../../src/imports/send";
import {
  bytes,
  faultWords,
  fileTypo,
  ignoredWords,
  importerProblem,
  importerTypo,
  noRowsWords,
  outcomeWords,
  pageWords,
  planWords,
  progressWords,
  readWords,
  refusedWords,
  reportName,
  rowWords,
  shutOut,
  standsWords,
  storable,
  storedWords,
  uploadProblem,
  waitingWords,
} from "../../src/imports/words";

test("where a file goes", () => {
  const file = { name: "people & tags.xlsx" };
  assert.equal(
    addressOf({ kind: ImportKind.USERS, file, sheet: "", region: "" }),
    "/v1/imports/users:upload?filename=people+%26+tags.xlsx",
  );
  assert.equal(
    addressOf({ kind: ImportKind.TAGS, file, sheet: "Sheet 1", region: "KE" }),
    "/v1/imports/tags:upload?filename=people+%26+tags.xlsx&sheet=Sheet+1&region=KE",
  );
});

const error = (code: number, ...details: object[]) => JSON.stringify({ code, message: "said", details });
const info = (reason: string, metadata = {}) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "tap-analytics", metadata });

test("an error in JSON is one as any other", () => {
  const violations = [{ field: "file", description: "the column nid is missing", reason: "MISSING_COLUMN" }, { field: "region", description: "ZZ is no region" }];
  const bad = { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: violations };
  const failure = failureOf(errorOf(400, error(3, info("INVALID_FIELDS"), bad, { "@type": "type.googleapis.com/other" }, ["odd"])));
  assert.deepEqual([failure.kind, failure.reason], ["refused", "INVALID_FIELDS"]);
  assert.deepEqual(uploadProblem(failure), {
    problem: "The service did not take this file.",
    details: ["The column nid is missing.", "ZZ is no region."],
  });
  const retry = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "30s" };
  const full = failureOf(errorOf(429, error(8, info("IMPORT_MEMORY"), retry)));
  assert.deepEqual([full.kind, full.wait], ["quota", 30_000]);
  assert.match(uploadProblem(full).problem, /^Said\. Store or give up an import/);
  const scope = failureOf(errorOf(403, error(7, info("SCOPE_MISSING", { scope: "imports:write" }))));
  assert.match(uploadProblem(scope).problem, /^This key may not do this: it lacks the scope imports:write\./);
  for (const body of ["", "<html>", "[]", "null"]) {
    const cut = errorOf(502, body);
    assert.equal(cut.code, Code.Unavailable);
    assert.match(uploadProblem(failureOf(cut)).problem, /^There was no answer from the service \(HTTP 502\)\. Nothing was imported/);
  }
  assert.equal(errorOf(500, error(99)).code, Code.Unknown);
});

test("files that are not even sent", () => {
  assert.equal(fileTypo({ name: "a.XLSX", size: 1 }), "");
  assert.equal(fileTypo({ name: "a.b.csv", size: 20 * 1024 ** 2 }), "");
  assert.match(fileTypo({ name: "a.xls", size: 1 }), /another kind/);
  for (const name of ["a.pdf", "csv", "a.csv.exe"]) assert.match(fileTypo({ name, size: 1 }), /neither/);
  assert.match(fileTypo({ name: "a.csv", size: 0 }), /is empty/);
  assert.match(fileTypo({ name: "a.csv", size: 20 * 1024 ** 2 + 1 }), /larger than 20 MiB/);
});

test("keys that are let in, and those that are not", () => {
  assert.equal(importerTypo("tap_1_abc"), "");
  assert.match(importerTypo("tap_1_a.b.c"), /^This is a token/);
  assert.match(importerTypo(""), /^Enter a key/);
  assert.equal(shutOut(["imports:read"]), undefined);
  assert.match(shutOut(["taps:read"]) ?? "", /lacks the scopes imports:read and imports:write/);
  assert.match(shutOut(["imports:write"]) ?? "", /lacks the scope imports:read\./);
  const failure = { kind: "key", reason: "API_KEY_INVALID", message: "" } as const;
  assert.match(importerProblem(failure), /not valid/);
  assert.match(importerProblem({ ...failure, reason: "API_KEY_REVOKED" }), /revoked/);
});

test("what is waited for, and what was refused", () => {
  const at = () => "14:05:00";
  assert.equal(waitingWords(undefined, at, 0), "");
  assert.equal(waitingWords({ is: "live" }, at, 0), "");
  assert.match(waitingWords({ is: "reconnecting" }, at, 0), /cannot be reached/);
  const failure = { kind: "quota", reason: "QUOTA_EXCEEDED", message: "said" } as const;
  assert.match(waitingWords({ is: "waiting", until: 36_000, failure }, at, 0), /used up .* in 36 seconds, at 14:05:00\.$/);
  const refused = (reason: string) => refusedWords({ kind: "refused", reason, message: "said" });
  assert.match(refused("ETAG_MISMATCH"), /changed this import/);
  assert.match(refused("IMPORT_BAD_ROWS"), /^Said\. Mend them/);
  assert.match(refused("IMPORT_NOT_FOUND"), /not there any more/);
  assert.equal(refused("IMPORT_STATE"), "Said.");
});

test("an import in words", () => {
  assert.deepEqual([1, 999, 1234, 123_456, 2_345_678].map(bytes), ["1 byte", "999 bytes", "1.2 kB", "123 kB", "2.3 MB"]);
  const one = create(ImportSchema, {
    kind: ImportKind.USERS, sheet: "People", headerRow: 3, fileBytes: 2048, region: "RW", progress: 0.499,
    counts: { total: 1204, valid: 1000, invalid: 200, duplicate: 4, committed: 990 },
    columns: [{ letter: "A", title: "Names", field: "names" }, { letter: "B", title: "Note" }, { letter: "D", title: "Age" }],
  });
  assert.equal(readWords(one), "Users · sheet People · titles in row 3 · region RW · 2.0 kB");
  assert.equal(ignoredWords(one.columns), "Not known, and ignored: columns Note (B) and Age (D).");
  assert.equal(ignoredWords(one.columns.slice(0, 1)), "");
  assert.equal(progressWords({ ...one, state: ImportState.CHECKING }), "Checking: 49%, 1,204 rows so far");
  assert.equal(standsWords({ ...one, state: ImportState.READY }), "1,204 rows, 204 not good");
  assert.equal(standsWords({ ...one, state: ImportState.COMMITTED }), "990 rows stored");
  const plan = create(ImportPlanSchema, { insert: 3, update: 1, unchanged: 2, conflict: 1 });
  assert.equal(planWords(plan), "3 new, 1 changed, 2 there already and 1 in conflict with somebody else's");
  assert.equal(planWords(create(ImportPlanSchema)), "none");
  assert.equal(outcomeWords({ result: plan, leftOut: 1 }, true), `Stored: ${planWords(plan)}. 1 row was left out.`);
  assert.equal(outcomeWords({ leftOut: 0 }, false), "Would be stored: none.");
  assert.equal(storedWords(create(ImportSchema, { ...one, result: plan })), `Stored: ${planWords(plan)}. 214 rows were left out.`);
  assert.deepEqual([faultWords("nid", "NID_BIRTH_YEAR"), faultWords("email", "REQUIRED"), faultWords("", "BROKEN")], ["NID birth year", "email: required", "broken"]);
  assert.equal(reportName("people.XLSX", "report.csv", false), "people-errors.csv");
  assert.equal(reportName("people", "report.xlsx", true), "people-all.xlsx");
});

test("rows in words", () => {
  assert.equal(rowWords({ status: RowStatus.VALID, action: RowAction.INSERT, changed: true }), "Good · new · mended");
  assert.equal(rowWords({ status: RowStatus.INVALID, action: RowAction.NONE, changed: false }), "Bad");
  assert.equal(pageWords(1, 50, 50, true, 1204), "Rows 51 to 100 of 1,204");
  assert.equal(pageWords(0, 50, 1, false, 1), "Row 1 of 1");
  assert.equal(pageWords(0, 50, 50, true, undefined), "Rows 1 to 50, and more");
  assert.equal(pageWords(0, 50, 0, false, 0), "");
  assert.equal(noRowsWords(ImportState.COMMITTED, { status: RowStatus.ANY, reason: "" }), "No row was left out.");
});

test("what can be stored", () => {
  const one = create(ImportSchema, { counts: { valid: 8, invalid: 3, duplicate: 2 } });
  assert.deepEqual(storable(one, CommitMode.VALID_ONLY), { rows: 8, problem: "" });
  assert.match(storable(one, CommitMode.ALL_OR_NOTHING).problem, /^5 rows are not good\. Mend them/);
  const good = create(ImportSchema, { counts: { valid: 10, skipped: 3 }, plan: { insert: 10 } });
  assert.deepEqual(storable(good, CommitMode.ALL_OR_NOTHING), { rows: 10, problem: "" });
  assert.match(storable(create(ImportSchema), CommitMode.VALID_ONLY).problem, /no good row/);
});

test("which rows are shown", () => {
  const one = create(ImportSchema, {
    state: ImportState.READY, filename: "a.csv", counts: { total: 10, invalid: 2, skipped: 3 },
    faults: [{ field: "nid", reason: "REQUIRED", rows: 2 }, { field: "phone", reason: "REQUIRED", rows: 1 }, { field: "nid", reason: "NID_LENGTH", rows: 4 }],
  });
  assert.equal(firstFilter(one).status, RowStatus.INVALID);
  assert.equal(firstFilter({ state: ImportState.COMMITTED, counts: one.counts! }).status, RowStatus.ANY);
  assert.ok(hasRows(one) && !hasRows({ ...one, state: ImportState.CHECKING }) && !hasRows({ ...one, state: ImportState.COMMITTED, filename: "" }));
  const count = (status: RowStatus, reason = "") => countOf(one, { status, reason });
  assert.deepEqual([count(RowStatus.ANY), count(RowStatus.SKIPPED), count(RowStatus.ANY, "NID_LENGTH")], [10, 3, 4]);
  assert.equal(count(RowStatus.ANY, "REQUIRED"), undefined);

  const row = (row: number, changed = false) => create(ImportRowSchema, { row, changed });
  const now = merged([row(1), row(2), row(3)], [row(1, true), row(9)], 2);
  assert.deepEqual(now.map(({ row, changed }) => [row, changed]), [[1, true], [2, false]]);
  assert.ok(moves({ status: RowStatus.INVALID, violations: create(ImportRowSchema, { violations: [{ reason: "DUPLICATE_IN_FILE" }] }).violations }));
  assert.ok(!moves(row(1)));
});
