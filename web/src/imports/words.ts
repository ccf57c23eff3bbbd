// What the page says about imports. Pure.
import { civilOf, clock, dateText, dayMonth, ownZone } from "../civil";
import { isToken } from "../access";
import type { Failure } from "../failure";
import type { Condition } from "../follow";
import {
  CommitMode_Value as CommitMode,
  type CommitImportResponse,
  type Import,
  ImportKind_Value as ImportKind,
  type ImportPlan,
  type ImportRow,
  ImportState_Value as ImportState,
  RowAction_Value as RowAction,
  RowStatus_Value as RowStatus,
} from "../gen/tap/v1/imports_pb";
import { counted, duration, number, sentence } from "../names";
import { keyTypo } from "../words";

export const READ = "imports:read";
export const WRITE = "imports:write";
const MOST_MIB = 20;

const list = new Intl.ListFormat("en-GB");

export const KINDS: Record<ImportKind, string> = {
  [ImportKind.UNSET]: "",
  [ImportKind.USERS]: "Users",
  [ImportKind.TAGS]: "Tags",
};

export const STATES: Record<ImportState, string> = {
  [ImportState.UPLOADING]: "Uploading",
  [ImportState.CHECKING]: "Checking",
  [ImportState.READY]: "Ready",
  [ImportState.COMMITTING]: "Storing",
  [ImportState.COMMITTED]: "Stored",
  [ImportState.CANCELLED]: "Given up",
  [ImportState.FAILED]: "Failed",
  [ImportState.EXPIRED]: "Expired",
};

export const STATUSES: Record<RowStatus, string> = {
  [RowStatus.ANY]: "All",
  [RowStatus.VALID]: "Good",
  [RowStatus.INVALID]: "Bad",
  [RowStatus.DUPLICATE]: "Duplicate",
  [RowStatus.SKIPPED]: "Left out",
  [RowStatus.WARNED]: "With warnings",
};

// --- the key ---------------------------------------------------------------------------------------

// What is wrong with what was entered as a key, or nothing.
export function importerTypo(key: string): string {
  if (isToken(key)) return `This is a token, which may not import. Enter a key with the scopes ${READ} and ${WRITE}.`;
  return keyTypo(key);
}

// Why that key does not open the page, or no longer keeps it open.
export function importerProblem({ kind, reason, message }: Failure): string {
  switch (reason) {
    case "API_KEY_REVOKED":
      return "This key was revoked. Enter another one.";
    case "API_KEY_EXPIRED":
      return "This key has expired. Enter another one.";
  }
  if (kind === "key") return "This key is not valid. Check that it is complete, or get a new one.";
  return message ? `The service refused: ${message}.` : "The service refused this key.";
}

// Why a key with these scopes is let in for nothing, or undefined.
export function shutOut(scopes: readonly string[]): string | undefined {
  if (scopes.includes(READ)) return undefined;
  const lacking = [READ, WRITE].filter((scope) => !scopes.includes(scope));
  return `This key may not import: it lacks the ${lacking.length === 1 ? "scope" : "scopes"} ${list.format(lacking)}. Make one that has both.`;
}

export const READ_ONLY = `This key may look at imports, but not upload, mend or store: it lacks the scope ${WRITE}. Sign in with a key that has it to do so.`;

// --- waiting, and what went wrong --------------------------------------------------------------------

// What is being waited for. `at` writes a moment as a time of day.
export function waitingWords(condition: Condition | undefined, at: (moment: number) => string, now: number): string {
  if (condition?.is === "waiting") {
    const { until, failure } = condition;
    const wait = `It goes on by itself in ${duration(until - now)}, at ${at(until)}.`;
    if (failure.reason === "QUOTA_EXCEEDED") return `This key has used up what it may ask in an hour. ${wait}`;
    return `The service asks to wait: ${failure.message}. ${wait}`;
  }
  if (condition?.is !== "reconnecting") return "";
  return condition.failure?.reason === "STORE_UNAVAILABLE"
    ? "The service does not reach its database. Trying again."
    : "The service cannot be reached. Trying again.";
}

// Why something was refused, and what there is to do.
export function refusedWords({ kind, reason, message, lacks }: Failure): string {
  if (kind === "scope") return `This key may not do this: it lacks the scope ${lacks ?? WRITE}. Sign in with a key that has it.`;
  switch (reason) {
    case "ETAG_MISMATCH":
      return "Somebody has changed this import meanwhile. It was read again: look at it, and then store it.";
    case "IMPORT_BAD_ROWS":
      return `${sentence(message)} Mend them, leave them out, or store the good rows only.`;
    case "IMPORT_MEMORY":
      return `${sentence(message)} Store or give up an import that is ready, and upload the file again.`;
  }
  if (reason.endsWith("NOT_FOUND")) {
    return "This import is not there any more: it was given up, nobody came for it, or the service was started again. Upload the file again.";
  }
  return sentence(message);
}

// Why a file could not be sent.
export function uploadProblem(failure: Failure): { problem: string; details: string[] } {
  const { kind, message, fields = [] } = failure;
  if (fields.length > 0) {
    return { problem: "The service did not take this file.", details: fields.map(({ description }) => sentence(description)) };
  }
  if (kind === "passing") return { problem: `${sentence(message)} Nothing was imported: try again.`, details: [] };
  return { problem: refusedWords(failure), details: [] };
}

// What is wrong with a file before anything of it is sent, or nothing.
export function fileTypo({ name, size }: { name: string; size: number }): string {
  const ending = /\.[^.]+$/.exec(name.toLowerCase())?.[0] ?? "";
  if ([".xls", ".xlsm", ".xlsb", ".ods", ".numbers"].includes(ending)) {
    return `${name} is a workbook of another kind: save it as an Excel workbook (.xlsx) or as CSV, and choose that.`;
  }
  if (ending !== ".xlsx" && ending !== ".csv") {
    return `${name} is neither an Excel workbook (.xlsx) nor CSV (.csv). Choose such a file.`;
  }
  if (size === 0) return `${name} is empty. Choose a file with a row of titles and rows below it.`;
  if (size > MOST_MIB * 1024 ** 2) return `${name} is larger than ${MOST_MIB} MiB. Split it into several files.`;
  return "";
}

// --- an import ---------------------------------------------------------------------------------------

// 2.4 MB
export function bytes(count: number): string {
  if (count < 1000) return counted(count, "byte");
  const [unit, size] = count < 1e6 ? ["kB", 1e3] : ["MB", 1e6];
  return `${(count / Number(size)).toFixed(count / Number(size) < 10 ? 1 : 0)} ${unit}`;
}

// 14:05, or 3 Mar, 14:05.
export function moment(instant: string, now: number, zone = ownZone()): string {
  const civil = civilOf(Date.parse(instant), zone);
  const today = dateText(civilOf(now, zone)) === dateText(civil);
  return today ? clock(civil) : `${dayMonth(civil)}, ${clock(civil)}`;
}

// What an import is called.
export function importName({ filename, kind, id }: Pick<Import, "filename" | "kind" | "id">): string {
  return filename || `${KINDS[kind]} ${id.slice(0, 8)}`;
}

// What was read, and how.
export function readWords({ kind, sheet, headerRow, fileBytes, region }: Pick<Import, "kind" | "sheet" | "headerRow" | "fileBytes" | "region">): string {
  return [
    KINDS[kind],
    ...(sheet ? [`sheet ${sheet}`] : []),
    ...(headerRow > 0 ? [`titles in row ${number(headerRow)}`] : []),
    ...(region ? [`region ${region}`] : []),
    ...(fileBytes > 0 ? [bytes(fileBytes)] : []),
  ].join(" · ");
}

// How an import stands, in the list of them.
export function standsWords({ state, progress, counts, errors }: Pick<Import, "state" | "progress" | "counts" | "errors">): string {
  switch (state) {
    case ImportState.UPLOADING:
    case ImportState.CHECKING:
    case ImportState.COMMITTING:
      return `${number(Math.floor(progress * 100))}%`;
    case ImportState.READY: {
      const bad = (counts?.invalid ?? 0) + (counts?.duplicate ?? 0);
      return `${counted(counts?.total ?? 0, "row")}${bad > 0 ? `, ${number(bad)} not good` : ""}`;
    }
    case ImportState.COMMITTED:
      return `${counted(counts?.committed ?? 0, "row")} stored`;
    case ImportState.FAILED:
      return errors[0] ? sentence(errors[0].description) : "";
    default:
      return "";
  }
}

// What happens to it, for who waits.
export function progressWords({ state, counts, progress }: Pick<Import, "state" | "counts" | "progress">): string {
  const share = `${number(Math.floor(progress * 100))}%`;
  switch (state) {
    case ImportState.UPLOADING:
      return `The file is on its way: ${share}`;
    case ImportState.CHECKING:
      return `Checking: ${share}${counts?.total ? `, ${counted(counts.total, "row")} so far` : ""}`;
    case ImportState.COMMITTING:
      return `Storing: ${share}`;
    default:
      return "";
  }
}

// What became of an import with which nothing can be done any more.
export function overWords(state: ImportState): string {
  switch (state) {
    case ImportState.CANCELLED:
      return "This import was given up, and nothing of it is held any more.";
    case ImportState.EXPIRED:
      return "Nobody came for this import, and nothing of it is held any more. Upload the file again.";
    case ImportState.FAILED:
      return "This file cannot be read. Mend what is named here, and upload it again.";
    default:
      return "";
  }
}

// The columns that nothing comes of.
export function ignoredWords(columns: Import["columns"]): string {
  const ignored = columns.filter(({ field }) => field === "").map(({ letter, title }) => `${title} (${letter})`);
  if (ignored.length === 0) return "";
  return `Not known, and ignored: ${ignored.length === 1 ? "column" : "columns"} ${list.format(ignored)}.`;
}

// 3 new, 1 changed, 2 as they are, 1 in conflict
export function planWords({ insert, update, unchanged, conflict }: ImportPlan): string {
  const parts: [number, string][] = [
    [insert, "new"],
    [update, "changed"],
    [unchanged, "there already"],
    [conflict, "in conflict with somebody else's"],
  ];
  const some = parts.filter(([count]) => count > 0).map(([count, what]) => `${number(count)} ${what}`);
  return some.length > 0 ? list.format(some) : "none";
}

// What is wrong with which column: NID length; email: required
export function faultWords(field: string, reason: string): string {
  const plain = reason.toLowerCase().replaceAll("_", " ");
  const words = plain.replace(/\b(nid|uid|url)\b/g, (name) => name.toUpperCase());
  return field === "" || plain.startsWith(`${field} `) ? words : `${field}: ${words}`;
}

// --- rows --------------------------------------------------------------------------------------------

export const ACTIONS: Record<RowAction, string> = {
  [RowAction.NONE]: "",
  [RowAction.INSERT]: "new",
  [RowAction.UPDATE]: "changes one that is there",
  [RowAction.UNCHANGED]: "there already",
  [RowAction.CONFLICT]: "conflict: something of it is somebody else's",
};

// What a row is, in a word or two.
export function rowWords({ status, action, changed }: Pick<ImportRow, "status" | "action" | "changed">): string {
  return [STATUSES[status], ...(ACTIONS[action] ? [ACTIONS[action]] : []), ...(changed ? ["mended"] : [])].join(" · ");
}

// Rows 51 to 100 of 1,204
export function pageWords(page: number, pageSize: number, rows: number, more: boolean, of: number | undefined): string {
  if (rows === 0) return page === 0 ? "" : "No more rows";
  const first = page * pageSize + 1;
  const last = first + rows - 1;
  const which = first === last ? `Row ${number(first)}` : `Rows ${number(first)} to ${number(last)}`;
  if (of !== undefined && of >= last) return `${which} of ${number(of)}`;
  return more ? `${which}, and more` : which;
}

// Why no rows are shown.
export function noRowsWords(state: ImportState, { status, reason }: { status: RowStatus; reason: string }): string {
  if (state === ImportState.COMMITTED) return "No row was left out.";
  return status === RowStatus.ANY && reason === "" ? "There are no rows." : "No row is like this.";
}

// --- storing -----------------------------------------------------------------------------------------

// How many rows would be stored; undefined when nothing would be, as `problem` says.
export interface Storable {
  rows: number;
  problem: string;
}

// What can be stored of an import. Rows that are left out by hand are nobody's fault, and keep it from nothing.
export function storable({ counts }: Pick<Import, "counts">, mode: CommitMode): Storable {
  const bad = (counts?.invalid ?? 0) + (counts?.duplicate ?? 0);
  const rows = counts?.valid ?? 0;
  if (mode === CommitMode.ALL_OR_NOTHING && bad > 0) {
    const problem = `${counted(bad, "row")} ${bad === 1 ? "is" : "are"} not good. Mend ${bad === 1 ? "it" : "them"}, leave ${bad === 1 ? "it" : "them"} out, or store the good rows only.`;
    return { rows: 0, problem };
  }
  return rows === 0 ? { rows, problem: "There is no good row to store." } : { rows, problem: "" };
}

// What would come of it, or has.
export function outcomeWords({ result, leftOut }: Pick<CommitImportResponse, "result" | "leftOut">, done: boolean): string {
  const came = result ? planWords(result) : "none";
  const left = leftOut > 0 ? ` ${counted(leftOut, "row")} ${done ? (leftOut === 1 ? "was" : "were") : "would be"} left out.` : "";
  return `${done ? "Stored" : "Would be stored"}: ${came}.${left}`;
}

// What came of an import that is stored.
export function storedWords({ counts, result }: Pick<Import, "counts" | "result">): string {
  const leftOut = Math.max(0, (counts?.total ?? 0) - (counts?.committed ?? 0));
  return result ? outcomeWords({ result, leftOut }, true) : `${counted(counts?.committed ?? 0, "row")} stored.`;
}

// people.xlsx: people-errors.csv
export function reportName(name: string, file: "report.xlsx" | "report.csv", all: boolean): string {
  return `${name.replace(/\.(xlsx|csv)$/i, "")}-${all ? "all" : "errors"}${file.slice("report".length)}`;
}
