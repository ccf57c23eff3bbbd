// The API of imports, by a key: a token may not do this. The key is in these calls, and nowhere else.
import { type CallOptions, type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ApiKeys, type WhoAmIResponse } from "../gen/tap/v1/api_keys_pb";
import {
  type CommitImportResponse,
  type CommitMode_Value as CommitMode,
  type Import,
  Imports,
  type ImportRow,
  type ListImportRowsResponse,
  type ListImportsResponse,
  type RowStatus_Value as RowStatus,
  type WatchImportResponse,
} from "../gen/tap/v1/imports_pb";
import { type Upload, send } from "./send";

// Who does not answer for so long is asked again.
const TIMEOUT_MS = 10_000;
const SLOW_TIMEOUT_MS = 60_000;

// Which rows to list.
export interface RowsPage {
  importId: string;
  status: RowStatus;
  // Empty: any.
  reason: string;
  pageSize: number;
  pageToken: string;
}

// What to change of a row.
export interface RowChange {
  cells?: Record<string, string>;
  skipped?: boolean;
}

// How to store an import.
export interface Commit {
  importId: string;
  mode: CommitMode;
  // By which a call that is repeated is known.
  requestId: string;
  // Of the import that was looked at.
  etag: string;
  // Count what would come of it, and store nothing.
  validateOnly: boolean;
}

export type ReportFile = "report.xlsx" | "report.csv";

export class ImportCalls {
  readonly #key: string;
  readonly #keys: Client<typeof ApiKeys>;
  readonly #imports: Client<typeof Imports>;

  constructor(key: string) {
    this.#key = key;
    const transport = createGrpcWebTransport({ baseUrl: location.origin });
    this.#keys = createClient(ApiKeys, transport);
    this.#imports = createClient(Imports, transport);
  }

  whoAmI(signal: AbortSignal): Promise<WhoAmIResponse> {
    return this.#keys.whoAmI({}, this.#once(signal));
  }

  // A page cannot stream a file by gRPC: it is the body of a plain request. `sent` is told how much of it is on its
  // way, from 0 to 1.
  upload(upload: Upload, sent: (share: number) => void, signal: AbortSignal): Promise<Import> {
    return send(this.#key, upload, sent, signal);
  }

  get(importId: string, signal: AbortSignal): Promise<Import> {
    return this.#imports.getImport({ importId }, this.#once(signal));
  }

  list(pageSize: number, pageToken: string, signal: AbortSignal): Promise<ListImportsResponse> {
    return this.#imports.listImports({ pageSize, pageToken }, this.#once(signal));
  }

  watch(importId: string, signal: AbortSignal): AsyncIterable<WatchImportResponse> {
    return this.#imports.watchImport({ importId }, this.#options(signal));
  }

  rows(page: RowsPage, signal: AbortSignal): Promise<ListImportRowsResponse> {
    return this.#imports.listImportRows(page, this.#once(signal));
  }

  patch(importId: string, row: number, change: RowChange, signal: AbortSignal): Promise<ImportRow> {
    return this.#imports.patchImportRow({ importId, row, ...change }, this.#once(signal));
  }

  async report(importId: string, file: ReportFile, all: boolean, signal: AbortSignal): Promise<Blob> {
    const parts: BlobPart[] = [];
    let type = "";
    for await (const { contentType, data } of this.#imports.getImportReport({ importId, file, all }, this.#options(signal))) {
      type ||= contentType;
      parts.push(new Uint8Array(data));
    }
    return new Blob(parts, { type });
  }

  commit(commit: Commit, signal: AbortSignal): Promise<CommitImportResponse> {
    return this.#imports.commitImport(commit, this.#once(signal, SLOW_TIMEOUT_MS));
  }

  cancel(importId: string, signal: AbortSignal): Promise<Import> {
    return this.#imports.cancelImport({ importId }, this.#once(signal));
  }

  // For calls that have one answer.
  #once(signal: AbortSignal, timeoutMs = TIMEOUT_MS): CallOptions {
    return { ...this.#options(signal), timeoutMs };
  }

  #options(signal: AbortSignal): CallOptions {
    return { signal, headers: { "x-api-key": this.#key } };
  }
}
