// Sends a file, with word of how much of it is on its way: `fetch` has none.
import { type JsonObject, type JsonValue, fromJson, fromJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";
import { type Import, ImportKind_Value as ImportKind, ImportSchema } from "../gen/tap/v1/imports_pb";

export interface Upload {
  file: File;
  kind: ImportKind;
  // Empty: as the service has it.
  sheet: string;
  region: string;
}

const TYPES = { csv: "text/csv", xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" };

// Where the file goes, without anything of what is in it.
export function addressOf({ kind, file, sheet, region }: Pick<Upload, "kind" | "sheet" | "region"> & { file: { name: string } }): string {
  const query = new URLSearchParams({ filename: file.name });
  if (sheet) query.set("sheet", sheet);
  if (region) query.set("region", region);
  return `/v1/imports/${ImportKind[kind].toLowerCase()}:upload?${query}`;
}

export function send(key: string, upload: Upload, sent: (share: number) => void, signal: AbortSignal): Promise<Import> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    const done = () => signal.removeEventListener("abort", stop);
    request.open("POST", addressOf(upload));
    request.setRequestHeader("x-api-key", key);
    request.setRequestHeader("content-type", upload.file.name.toLowerCase().endsWith(".csv") ? TYPES.csv : TYPES.xlsx);
    request.upload.addEventListener("progress", ({ loaded, total }) => sent(total > 0 ? loaded / total : 0));
    request.addEventListener("load", () => {
      done();
      try {
        if (request.status < 200 || request.status >= 300) throw errorOf(request.status, request.responseText);
        resolve(fromJsonString(ImportSchema, request.responseText, { ignoreUnknownFields: true }));
      } catch (error) {
        reject(ConnectError.from(error));
      }
    });
    request.addEventListener("error", () => {
      done();
      reject(new ConnectError("the connection was cut while the file was sent", Code.Unavailable));
    });
    request.addEventListener("abort", () => {
      done();
      reject(new ConnectError("given up", Code.Canceled));
    });
    if (signal.aborted) return reject(new ConnectError("given up", Code.Canceled));
    signal.addEventListener("abort", stop);
    request.send(upload.file);
  });
}

const DETAILS = [ErrorInfoSchema, BadRequestSchema, QuotaFailureSchema, RetryInfoSchema];

// An error in JSON, as the gRPC calls have it.
export function errorOf(status: number, body: string): ConnectError {
  let said: JsonValue;
  try {
    said = JSON.parse(body) as JsonValue;
  } catch {
    said = null;
  }
  if (!isObject(said)) return new ConnectError(`there was no answer from the service (HTTP ${status})`, Code.Unavailable);
  const { code, message, details } = said;
  const error = new ConnectError(typeof message === "string" ? message : "", codeOf(code));
  for (const detail of Array.isArray(details) ? details : []) {
    if (!isObject(detail)) continue;
    const { "@type": type, ...rest } = detail;
    const desc = DETAILS.find(({ typeName }) => type === `type.googleapis.com/${typeName}`);
    if (desc) error.details.push({ desc, value: fromJson(desc, rest, { ignoreUnknownFields: true }) });
  }
  return error;
}

function codeOf(code: unknown): Code {
  return typeof code === "number" && Code[code] !== undefined ? code : Code.Unknown;
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
