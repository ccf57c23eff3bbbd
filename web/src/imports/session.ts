// What is asked with a key: the imports of the team, and one of them that is looked at, with a page of its rows.
import type { Failure } from "../failure";
import { type Condition, Follower, realTime } from "../follow";
import {
  type CommitImportResponse,
  type CommitMode_Value as CommitMode,
  type Import,
  type ImportRow,
  RowStatus_Value as RowStatus,
  type WatchImportResponse,
} from "../gen/tap/v1/imports_pb";
import { newId } from "../ids";
import { insist } from "../insist";
import type { Commit, ImportCalls, ReportFile, RowChange } from "./calls";
import { type Filter, ROWS_OF_A_PAGE, firstFilter, hasRows, inTheWay, merged, moves } from "./rows";

// A page of rows.
export interface Shown {
  rows: ImportRow[];
  filter: Filter;
  // From 0.
  page: number;
  more: boolean;
}

// What was asked for.
export type Errand = "list" | "import" | "rows" | "row" | "report" | "commit" | "cancel";

export interface Listener {
  // Those that were read so far, and whether there are more.
  imports(listed: { imports: Import[]; more: boolean }): void;
  // The one that is looked at, as it is now. Undefined: none is.
  opened(one: Import | undefined): void;
  // Undefined while the rows are on their way, or there are none to be seen.
  rows(shown: Shown | undefined): void;
  // What is being waited for, and undefined once it has come.
  trouble(errand: Errand, condition: Condition | undefined): void;
  refused(errand: Errand, failure: Failure): void;
  // The key is no good.
  ended(failure: Failure): void;
}

const IMPORTS_OF_A_PAGE = 20;

export class ImportSession {
  readonly #calls: ImportCalls;
  readonly #listener: Listener;
  readonly #time: typeof realTime;
  // Ends all that is asked.
  readonly #life = new AbortController();
  // Ends what is asked about the import that is looked at; and about its rows.
  #look = new AbortController();
  #paging = new AbortController();
  #listing = new AbortController();
  #follower: Follower<WatchImportResponse> | undefined;
  #imports: Import[] = [];
  #next = "";
  #import: Import | undefined;
  #filter: Filter = { status: RowStatus.ANY, reason: "" };
  #shown: Shown | undefined;
  // Where each page up to the one that is shown begins, and the next one, if there is one.
  #tokens = [""];
  // The last try to store it: to do that again is to do it once.
  #commit: Commit | undefined;

  constructor(calls: ImportCalls, listener: Listener, time = realTime) {
    this.#calls = calls;
    this.#listener = listener;
    this.#time = time;
  }

  get opened(): Import | undefined {
    return this.#import;
  }

  // Lists the imports anew.
  async list(): Promise<void> {
    await this.#list("", []);
  }

  async more(): Promise<void> {
    if (this.#next) await this.#list(this.#next, this.#imports);
  }

  // Looks at an import, by what is known of it so far.
  open(one: Import): void {
    this.#leave();
    this.#look = new AbortController();
    this.#take(one);
    if (inTheWay(one.state)) this.#follow(one.id);
    else void this.#renew();
  }

  // Looks at none.
  close(): void {
    this.#leave();
    this.#listener.opened(undefined);
  }

  async filter(filter: Filter): Promise<void> {
    this.#filter = filter;
    this.#tokens = [""];
    await this.#page(0);
  }

  async next(): Promise<void> {
    if (this.#shown?.more) await this.#page(this.#shown.page + 1);
  }

  async previous(): Promise<void> {
    if (this.#shown && this.#shown.page > 0) await this.#page(this.#shown.page - 1);
  }

  // Changes a row. Gives it as it is then, unless that was refused, which was said.
  async patch(row: number, change: RowChange): Promise<ImportRow | undefined> {
    const { id } = this.#import ?? {};
    if (id === undefined) return undefined;
    const { signal } = this.#look;
    const now = await this.#ask("row", () => this.#calls.patch(id, row, change, signal), signal);
    if (!now) return undefined;
    const before = this.#shown?.rows.find((one) => one.row === row);
    if (this.#shown) this.#show({ ...this.#shown, rows: this.#shown.rows.map((one) => (one.row === row ? now : one)) });
    // What is like it may be a duplicate no more, or has become one.
    if ([before, now].some((one) => one && moves(one))) void this.#mend(row);
    void this.#renew();
    return now;
  }

  // Stores the import as it was looked at, or counts what would come of it.
  async commit(mode: CommitMode, validateOnly: boolean): Promise<CommitImportResponse | undefined> {
    const one = this.#import;
    if (!one) return undefined;
    const { signal } = this.#look;
    const again = this.#commit?.etag === one.etag && this.#commit.mode === mode;
    const requestId = again && this.#commit && !validateOnly ? this.#commit.requestId : newId();
    const commit: Commit = { importId: one.id, mode, etag: one.etag, validateOnly, requestId };
    if (!validateOnly) this.#commit = commit;
    const answer = await this.#ask("commit", () => this.#calls.commit(commit, signal), signal);
    if (signal.aborted) return undefined;
    // Somebody may have changed it, or it is stored already.
    if (!answer) void this.#renew();
    else if (!validateOnly && answer.import) this.#settle(answer.import);
    return answer;
  }

  // Gives it up.
  async cancel(): Promise<void> {
    const { id } = this.#import ?? {};
    if (id === undefined) return;
    const { signal } = this.#look;
    const gone = await this.#ask("cancel", () => this.#calls.cancel(id, signal), signal);
    if (gone) this.#settle(gone);
  }

  async report(file: ReportFile, all: boolean): Promise<Blob | undefined> {
    const { id } = this.#import ?? {};
    if (id === undefined) return undefined;
    const { signal } = this.#look;
    return this.#ask("report", () => this.#calls.report(id, file, all, signal), signal);
  }

  stop(): void {
    this.#life.abort();
    this.#listing.abort();
    this.#leave();
  }

  async #list(pageToken: string, before: Import[]): Promise<void> {
    this.#listing.abort();
    const { signal } = (this.#listing = new AbortController());
    const page = await this.#ask("list", () => this.#calls.list(IMPORTS_OF_A_PAGE, pageToken, signal), signal);
    if (!page) return;
    this.#next = page.nextPageToken;
    this.#imports = [...before, ...page.imports];
    this.#listed();
  }

  #listed(): void {
    this.#listener.imports({ imports: this.#imports, more: this.#next !== "" });
  }

  #leave(): void {
    this.#follower?.stop();
    this.#look.abort();
    this.#paging.abort();
    this.#import = this.#shown = this.#follower = this.#commit = undefined;
    this.#tokens = [""];
    this.#listener.rows(undefined);
  }

  // Reads the import again.
  async #renew(): Promise<void> {
    const { id } = this.#import ?? {};
    if (id === undefined) return;
    const { signal } = this.#look;
    const one = await this.#ask("import", () => this.#calls.get(id, signal), signal);
    if (!one) return;
    this.#take(one);
    if (inTheWay(one.state)) this.#follow(id);
  }

  // Until nothing more happens to it by itself.
  #follow(importId: string): void {
    if (this.#follower) return;
    const follower = (this.#follower = new Follower<WatchImportResponse>(
      {
        open: (_, signal) => this.#calls.watch(importId, signal),
        signs: ({ frame }) => (frame.case === "end" ? { end: frame.value.reason } : {}),
        frame: ({ frame }) => {
          if (frame.case !== "import") return;
          if (!inTheWay(frame.value.state)) {
            follower.stop();
            this.#follower = undefined;
            this.#listener.trouble("import", undefined);
            void this.list();
          }
          this.#take(frame.value);
        },
        condition: (condition) => {
          if (condition.is === "over") return this.#fail("import", condition.failure);
          const passing = condition.is === "reconnecting" || condition.is === "waiting";
          this.#listener.trouble("import", passing ? condition : undefined);
        },
        missed: () => undefined,
      },
      "",
      this.#time,
    ).start());
  }

  // What came of a call that ends it.
  #settle(one: Import): void {
    this.#take(one);
    if (inTheWay(one.state)) this.#follow(one.id);
    void this.list();
  }

  // The import as it is now.
  #take(one: Import): void {
    const before = this.#import;
    this.#import = one;
    this.#listener.opened(one);
    const at = this.#imports.findIndex(({ id }) => id === one.id);
    if (at >= 0) {
      this.#imports = this.#imports.with(at, one);
      this.#listed();
    }
    if (before?.state === one.state) return;
    if (hasRows(one)) void this.filter(firstFilter(one));
    else if (this.#shown) {
      this.#shown = undefined;
      this.#listener.rows(undefined);
    }
  }

  async #page(page: number): Promise<void> {
    this.#paging.abort();
    const { signal } = (this.#paging = new AbortController());
    this.#listener.rows(undefined);
    const found = await this.#rows(page, signal);
    if (!found) return;
    const { rows, nextPageToken } = found;
    this.#tokens = [...this.#tokens.slice(0, page + 1), ...(nextPageToken ? [nextPageToken] : [])];
    this.#show({ rows, filter: this.#filter, page, more: nextPageToken !== "" });
  }

  // Reads the rows that are shown again, as others of them follow from a change. The one that was changed stays,
  // whatever the filter: who has mended it wants to see that.
  async #mend(row: number): Promise<void> {
    const { shown, signal } = { shown: this.#shown, signal: this.#paging.signal };
    const found = shown && (await this.#rows(shown.page, signal));
    if (found && this.#shown) this.#show({ ...this.#shown, rows: merged(this.#shown.rows, found.rows, row) });
  }

  #rows(page: number, signal: AbortSignal) {
    const { id = "" } = this.#import ?? {};
    const wanted = { importId: id, ...this.#filter, pageSize: ROWS_OF_A_PAGE, pageToken: this.#tokens[page] ?? "" };
    return this.#ask("rows", () => this.#calls.rows(wanted, signal), signal);
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    this.#listener.rows(shown);
  }

  async #ask<T>(errand: Errand, call: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const trouble = (condition: Condition) => this.#listener.trouble(errand, condition);
    const outcome = await insist(call, trouble, signal, this.#time);
    if (!outcome || this.#life.signal.aborted) return undefined;
    this.#listener.trouble(errand, undefined);
    if ("answer" in outcome) return outcome.answer;
    this.#fail(errand, outcome.failure);
    return undefined;
  }

  #fail(errand: Errand, failure: Failure): void {
    if (this.#life.signal.aborted) return;
    if (failure.kind !== "key" && failure.kind !== "lapsed") return this.#listener.refused(errand, failure);
    this.stop();
    this.#listener.ended(failure);
  }
}
