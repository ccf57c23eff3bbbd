// The API of the service that this page comes from.
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ApiKeys, type WhoAmIResponse } from "./gen/tap/v1/api_keys_pb";
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

// Who does not answer for so long is asked again. Streams have their own way to notice.
const TIMEOUT_MS = 10_000;

// Trades a key for a token. The key is in no other request.
export async function trade(key: string, signal: AbortSignal): Promise<string> {
  const asked = { scopes: ["taps:read"] };
  const headers = { "x-api-key": key };
  const { token } = await createClient(ApiKeys, transport()).issueToken(asked, { headers, signal, timeoutMs: TIMEOUT_MS });
  return token;
}

// What can be asked with a token.
export class Api {
  readonly #token: string;
  readonly #taps: Client<typeof TapAnalytics>;
  readonly #keys: Client<typeof ApiKeys>;
  readonly #onQuota: (quota: Quota) => void;

  constructor(token: string, onQuota: (quota: Quota) => void) {
    this.#token = token;
    this.#onQuota = onQuota;
    this.#taps = createClient(TapAnalytics, transport());
    this.#keys = createClient(ApiKeys, transport());
  }

  whoAmI(signal: AbortSignal): Promise<WhoAmIResponse> {
    return this.#keys.whoAmI({}, { ...this.#options(signal), timeoutMs: TIMEOUT_MS });
  }

  watch(query: Query, resumeToken: string, signal: AbortSignal): AsyncIterable<WatchTapsResponse> {
    return this.#taps.watchTaps({ query, resumeToken }, this.#options(signal));
  }

  stream(tagUids: string[], resumeToken: string, signal: AbortSignal): AsyncIterable<StreamTapsResponse> {
    return this.#taps.streamTaps({ tagUids, resumeToken }, this.#options(signal));
  }

  #options(signal: AbortSignal) {
    return {
      signal,
      headers: { authorization: `Bearer ${this.#token}` },
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

function transport() {
  return createGrpcWebTransport({ baseUrl: location.origin });
}
