// The page of the imports: a key opens it, a session brings what is shown, and each card has its errands.
import "./page.css";
import { civilOf, ownZone } from "../civil";
import { byId, setText } from "../dom";
import type { Condition } from "../follow";
import type { WhoAmIResponse } from "../gen/tap/v1/api_keys_pb";
import { type Import, ImportState_Value as ImportState } from "../gen/tap/v1/imports_pb";
import { time } from "../names";
import type { ImportCalls } from "./calls";
import { CommitCard } from "./commit";
import { KeyCard } from "./key-card";
import { PastList } from "./past";
import { ReportCard } from "./report";
import { Review } from "./review";
import { hasRows } from "./rows";
import { type Errand, ImportSession, type Shown } from "./session";
import { RowTable } from "./table";
import { UploadCard } from "./upload";
import { READ_ONLY, WRITE, importName, importerProblem, refusedWords, waitingWords } from "./words";

const all = byId("imports", HTMLDivElement);
const sessionBar = byId("session-bar", HTMLDivElement);
const who = byId("who", HTMLParagraphElement);
const readOnly = byId("read-only", HTMLParagraphElement);
const ends = byId("ends", HTMLDivElement);

const keyCard = new KeyCard(admitted);
const upload = new UploadCard({
  upload: (file, sent, signal) => (calls ? calls.upload(file, sent, signal) : Promise.reject(new Error("nobody is signed in"))),
  uploaded: (one) => {
    open(one);
    void session?.list();
  },
});
const past = new PastList({
  open,
  refresh: () => {
    past.say("");
    void session?.list();
  },
  more: () => void session?.more(),
});
const review = new Review({
  filter: (filter) => void session?.filter(filter),
  close: () => {
    session?.close();
    past.focus();
  },
});
const table = new RowTable({
  patch: async (row, change) => {
    table.say("");
    return session?.patch(row, change);
  },
  next: () => void session?.next(),
  previous: () => void session?.previous(),
});
const report = new ReportCard({
  report: async (file, all) => session?.report(file, all),
  name: () => (session?.opened ? importName(session.opened) : "import"),
});
const commit = new CommitCard({
  commit: async (mode, validateOnly) => session?.commit(mode, validateOnly),
  cancel: async () => {
    await session?.cancel();
    if (session?.opened?.state === ImportState.CANCELLED) review.focus();
  },
});
// Where it is said how an errand went.
const places: Record<Errand, { say(message: string, calm?: boolean): void }> = {
  list: past, import: review, rows: table, row: table, report, commit, cancel: commit,
};

let session: ImportSession | undefined;
// With the key.
let calls: ImportCalls | undefined;
let writable = false;
let shown: Shown | undefined;
// What is being waited for.
const waiting = new Set<Errand>();

// --- who is let in ---------------------------------------------------------------------------------

function admitted(admittedCalls: ImportCalls, { team, keyName, scopes }: WhoAmIResponse): void {
  calls = admittedCalls;
  writable = scopes.includes(WRITE);
  session = new ImportSession(calls, {
    imports: ({ imports, more }) => past.show(imports, more),
    opened, rows, trouble,
    refused: (errand, failure) => {
      const words = refusedWords(failure);
      if (!failure.reason.endsWith("NOT_FOUND")) return places[errand].say(words);
      session?.close();
      past.say(words);
      past.focus();
      void session?.list();
    },
    ended: (failure) => leave(importerProblem(failure)),
  });
  setText(who, `${team?.name ?? ""} · ${keyName}`);
  who.title = who.textContent ?? "";
  setText(readOnly, writable ? "" : READ_ONLY);
  readOnly.hidden = writable;
  upload.show(writable);
  all.hidden = sessionBar.hidden = false;
  if (writable) upload.focus();
  else past.focus();
  void session.list();
}

// The key, and what was shown.
function leave(message: string): void {
  session?.stop();
  session = calls = undefined;
  waiting.clear();
  opened(undefined);
  upload.clear();
  past.clear();
  setText(who, "");
  who.title = "";
  all.hidden = sessionBar.hidden = true;
  keyCard.ask(message);
}

// --- what a session brings -------------------------------------------------------------------------

function open(one: Import): void {
  past.say("");
  review.say("");
  session?.open(one);
  past.mark(one.id);
  review.focus();
}

function opened(one: Import | undefined): void {
  past.mark(one?.id ?? "");
  if (!one) {
    shown = undefined;
    ends.hidden = true;
    report.say("");
    for (const part of [review, table, commit]) part.clear();
    return;
  }
  review.show(one);
  ends.hidden = !hasRows(one) && one.state !== ImportState.COMMITTED && one.state !== ImportState.COMMITTING;
  commit.show(one, writable);
  if (!hasRows(one)) table.clear();
  else if (shown) draw(shown, one);
}

function rows(now: Shown | undefined): void {
  shown = now;
  const one = session?.opened;
  if (now && one) draw(now, one);
  else table.ask();
}

function draw(now: Shown, one: Import): void {
  review.mark(now.filter);
  table.show(now, one, writable && one.state === ImportState.READY);
}

function trouble(errand: Errand, condition: Condition | undefined): void {
  const at = (moment: number) => time(civilOf(moment, ownZone()));
  // What was refused stays said.
  if (condition) waiting.add(errand);
  else if (!waiting.delete(errand)) return;
  places[errand].say(waitingWords(condition, at, Date.now()), true);
}

byId("leave", HTMLButtonElement).addEventListener("click", () => leave(""));
// Also for who comes back to the page as it was.
addEventListener("pagehide", () => leave(""));
keyCard.ask("");
