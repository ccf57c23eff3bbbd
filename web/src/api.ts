// The API of the service that this page comes from.
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ApiKeys, type WhoAmIResponse } from "./gen/tap/v1/api_keys_pb";
import { Coupons, type ListCouponsResponse, type QueryFunnelResponse } from "./gen/tap/v1/coupons_pb";
import {
  type EventPatch,
  type GetIngestLedgerResponse,
  type GroupEventErrorsResponse,
  type ListEventErrorsResponse,
  EventErrorState_Value as EventErrorState,
  Events,
  type QueryEventsResponse,
  type ReplayEventErrorsResponse,
  type StreamEventsResponse,
} from "./gen/tap/v1/events_pb";
import {
  type StreamTapsResponse,
  TapAnalytics,
  type WatchTapsResponse,
} from "./gen/tap/v1/tap_analytics_pb";
import { asMuchAsItMay } from "./access";
import type { CouponPage, FunnelQuery } from "./coupons/plan";
import type { EventQuery } from "./events/plan";
import type { Signs } from "./follow";
import type { Query } from "./plan";

// What is left of the quota of the key.
export interface Quota {
  left: number;
  of: number;
}

// Who does not answer for so long is asked again. Streams have their own way to notice.
const TIMEOUT_MS = 10_000;
// More cannot be looked through.
const MOST_GROUPS = 50;
const SLOW_TIMEOUT_MS = 30_000;

// Trades a key for a token. The key is in no other request.
export async function trade(key: string, signal: AbortSignal): Promise<string> {
  const options = { headers: { "x-api-key": key }, signal, timeoutMs: TIMEOUT_MS };
  const client = createClient(ApiKeys, transport());
  return (await asMuchAsItMay((scopes) => client.issueToken({ scopes }, options))).token;
}

// Refused events that are to be sent again: those of a fingerprint, mended.
export interface Resending {
  fingerprint: string;
  patch: EventPatch;
  // Check, and send nothing.
  validateOnly: boolean;
  // By which a call that is repeated is known.
  requestId: string;
}

// Sends refused events again, which a token may not. The key is in this request alone.
export function replay(key: string, { fingerprint, ...rest }: Resending, signal: AbortSignal): Promise<ReplayEventErrorsResponse> {
  const filter = { fingerprint, state: EventErrorState.OPEN };
  const options = { headers: { "x-api-key": key }, signal, timeoutMs: SLOW_TIMEOUT_MS };
  return createClient(Events, transport()).replayEventErrors({ filter, ...rest }, options);
}

// What can be asked with a token.
export class Api {
  readonly #token: string;
  readonly #taps: Client<typeof TapAnalytics>;
  readonly #keys: Client<typeof ApiKeys>;
  readonly #events: Client<typeof Events>;
  readonly #coupons: Client<typeof Coupons>;
  readonly #onQuota: (quota: Quota) => void;

  constructor(token: string, onQuota: (quota: Quota) => void) {
    this.#token = token;
    this.#onQuota = onQuota;
    this.#taps = createClient(TapAnalytics, transport());
    this.#keys = createClient(ApiKeys, transport());
    this.#events = createClient(Events, transport());
    this.#coupons = createClient(Coupons, transport());
  }

  whoAmI(signal: AbortSignal): Promise<WhoAmIResponse> {
    return this.#keys.whoAmI({}, this.#once(signal));
  }

  watch(query: Query, resumeToken: string, signal: AbortSignal): AsyncIterable<WatchTapsResponse> {
    return this.#taps.watchTaps({ query, resumeToken }, this.#options(signal));
  }

  stream(tagUids: string[], resumeToken: string, signal: AbortSignal): AsyncIterable<StreamTapsResponse> {
    return this.#taps.streamTaps({ tagUids, resumeToken }, this.#options(signal));
  }

  queryEvents(query: EventQuery, signal: AbortSignal): Promise<QueryEventsResponse> {
    return this.#events.queryEvents(query, this.#once(signal));
  }

  streamEvents(resumeToken: string, signal: AbortSignal): AsyncIterable<StreamEventsResponse> {
    return this.#events.streamEvents({ resumeToken }, this.#options(signal));
  }

  // What of refused events was not sent again, by what is wrong.
  groupErrors(signal: AbortSignal): Promise<GroupEventErrorsResponse> {
    return this.#events.groupEventErrors({ filter: { state: EventErrorState.OPEN }, limit: MOST_GROUPS }, this.#once(signal));
  }

  // The newest of a group.
  listErrors(fingerprint: string, pageSize: number, signal: AbortSignal): Promise<ListEventErrorsResponse> {
    const filter = { fingerprint, state: EventErrorState.OPEN };
    return this.#events.listEventErrors({ filter, pageSize }, this.#once(signal));
  }

  // Of the last hour.
  ledger(signal: AbortSignal): Promise<GetIngestLedgerResponse> {
    return this.#events.getIngestLedger({}, this.#once(signal));
  }

  queryFunnel(query: FunnelQuery, signal: AbortSignal): Promise<QueryFunnelResponse> {
    return this.#coupons.queryFunnel(query, this.#once(signal));
  }

  listCoupons(page: CouponPage, signal: AbortSignal): Promise<ListCouponsResponse> {
    return this.#coupons.listCoupons(page, this.#once(signal));
  }

  // For calls that have one answer.
  #once(signal: AbortSignal) {
    return { ...this.#options(signal), timeoutMs: TIMEOUT_MS };
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

export function signsOfEvents({ frame }: Pick<StreamEventsResponse, "frame">): Signs {
  switch (frame.case) {
    case "hello":
      return { token: frame.value.resumeToken, heartbeatSeconds: frame.value.heartbeatSeconds };
    case "event":
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
