// What went wrong with a call, and what there is to do about it. Pure.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb";

export type Failure = {
  // key: the key is no good.  lapsed: the token of the page has ended, its key may be good.  scope: it may
  // not do this.  refused: the question is wrong.  quota: come back later.  token: the place in the taps is
  // gone, begin anew.  passing: try again.
  kind: "key" | "lapsed" | "scope" | "refused" | "quota" | "token" | "passing";
  // For programs, such as API_KEY_EXPIRED. May be empty.
  reason: string;
  // What the service says. May be empty.
  message: string;
  // The scope that is lacking, where that was said.
  lacks?: string;
  // How long to wait, in milliseconds, where that was said.
  wait?: number;
  // Which calls were too many, where that was said: query, stream, change.
  calls?: string;
  // What is wrong with which field, where that was said.
  fields?: { field: string; description: string }[];
};

export function failureOf(error: unknown): Failure {
  const failed = ConnectError.from(error);
  const { reason = "", metadata } = failed.findDetails(ErrorInfoSchema)[0] ?? {};
  const fields = failed.findDetails(BadRequestSchema).flatMap((details) => details.fieldViolations);
  const message = fields.length > 0 ? fields.map((field) => field.description).join("; ") : failed.rawMessage;
  const failure: Failure = { kind: kindOf(failed.code, reason), reason, message };
  const lacks = metadata?.["scope"];
  if (lacks) failure.lacks = lacks;
  const wait = waitOf(failed);
  if (wait !== undefined) failure.wait = wait;
  const calls = failed.findDetails(QuotaFailureSchema)[0]?.violations[0]?.quotaMetric.split("/")[1];
  if (calls) failure.calls = calls;
  if (fields.length > 0) failure.fields = fields.map(({ field, description }) => ({ field, description }));
  return failure;
}

function kindOf(code: Code, reason: string): Failure["kind"] {
  switch (code) {
    case Code.Unauthenticated:
      return reason === "TOKEN_EXPIRED" ? "lapsed" : "key";
    case Code.PermissionDenied:
      return "scope";
    case Code.InvalidArgument:
    case Code.NotFound:
    case Code.FailedPrecondition:
    case Code.AlreadyExists:
    case Code.Unimplemented:
      return "refused";
    case Code.Aborted:
      return reason === "ETAG_MISMATCH" ? "refused" : "passing";
    case Code.ResourceExhausted:
      // What there is too much of does not go away by itself.
      return reason.endsWith("_LIMIT") ? "refused" : "quota";
    case Code.OutOfRange:
      return reason === "RESUME_TOKEN_EXPIRED" ? "token" : "refused";
    case Code.DeadlineExceeded:
      // The same question would take as long again.
      return reason === "QUERY_TOO_SLOW" ? "refused" : "passing";
    default:
      return "passing";
  }
}

function waitOf(failed: ConnectError): number | undefined {
  const delay = failed.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay) return Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  const header = failed.metadata.get("retry-after");
  return header && /^\d+$/.test(header) ? Number(header) * 1000 : undefined;
}
