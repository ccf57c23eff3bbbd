// The API of the service that this page comes from, for one key.
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  type StreamTapsResponse,
  TapAnalytics,
  type WatchTapsResponse,
} from "./gen/tap/v1/tap_analytics_pb";
import type { Signs } from "./follow";
import type { Query } from "./plan";

// What is left of the quota of the key.
export interface Quota {
  left: number;
  of: number;
}

export class Api {
  // Nobody but this object has the key.
  readonly #key: string;
  readonly #client: Client<typeof TapAnalytics>;
  readonly #onQuota: (quota: Quota) => void;

  constructor(key: string, onQuota: (quota: Quota) => void) {
    this.#key = key;
    this.#onQuota = onQuota;
    this.#client = createClient(TapAnalytics, createGrpcWebTransport({ baseUrl: location.origin }));
  }

  watch(query: Query, resumeToken: string, signal: AbortSignal): AsyncIterable<WatchTapsResponse> {
    return this.#client.watchTaps({ query, resumeToken }, this.#options(signal));
  }

  stream(tagUids: string[], resumeToken: string, signal: AbortSignal): AsyncIterable<StreamTapsResponse> {
    return this.#client.streamTaps({ tagUids, resumeToken }, this.#options(signal));
  }

  #options(signal: AbortSignal) {
    return {
      signal,
      headers: { "x-api-key": this.#key },
      onHeader: (headers: Headers) => {
        // To resume a stream is not a query: then the headers are about another quota.
        if (!headers.get("ratelimit-policy")?.startsWith('"query"')) return;
        const left = Number.parseInt(headers.get("x-ratelimit-remaining") ?? "", 10);
        const of = Number.parseInt(headers.get("x-ratelimit-limit") ?? "", 10);
        if (left >= 0 && of > 0) this.#onQuota({ left, of });
      },
    };
  }
}

export function signsOfWatch({ frame }: WatchTapsResponse): Signs {
  switch (frame.case) {
    case "answer":
    case "change":
    case "heartbeat":
      return { token: frame.value.resumeToken };
    case "end":
      return { end: frame.value.reason };
    default:
      return {};
  }
}

export function signsOfStream({ frame }: StreamTapsResponse): Signs {
  switch (frame.case) {
    case "hello":
      return { token: frame.value.resumeToken, heartbeatSeconds: frame.value.heartbeatSeconds };
    case "tap":
    case "heartbeat":
      return { token: frame.value.resumeToken };
    case "end":
      return { end: frame.value.reason };
    default:
      return {};
  }
}
