// Follows a watch: what an answer is after each of its frames. Pure.
import type {
  Bucket,
  Change,
  Comparison,
  Group,
  QueryTapsResponse,
  WatchTapsResponse,
} from "./gen/tap/v1/tap_analytics_pb";

export type Answer = QueryTapsResponse;

// A change does not fit the answer it is about: the watch must begin anew.
export class OutOfStep extends Error {}

// The answer after a frame. Neither argument is changed.
export function applyFrame(answer: Answer | undefined, { frame }: WatchTapsResponse): Answer | undefined {
  switch (frame.case) {
    case "answer":
      return frame.value;
    case "change":
      if (!answer) throw new OutOfStep("a change came before an answer");
      return applyChange(answer, frame.value);
    default:
      // Heartbeats, the end, and what a later version may send.
      return answer;
  }
}

function applyChange(answer: Answer, change: Change): Answer {
  const { comparison } = answer;
  const next: Answer = {
    ...answer,
    buckets: withBuckets(answer.buckets, change.buckets),
    groups: withGroups(answer.groups, change),
    total: change.total,
    resumeToken: change.resumeToken,
  };
  if (comparison) next.comparison = withTotal(comparison, change.total);
  return next;
}

function withBuckets(buckets: Bucket[], changed: Bucket[]): Bucket[] {
  if (changed.length === 0) return buckets;
  const next = [...buckets];
  // Both are in order of time, and most changes are near the end.
  let index = next.length - 1;
  for (const bucket of [...changed].reverse()) {
    while (index >= 0 && next[index]?.start !== bucket.start) index--;
    if (index < 0) throw new OutOfStep(`there is no bucket that starts at ${bucket.start}`);
    next[index] = bucket;
  }
  return next;
}

function withGroups(groups: Group[], change: Change): Group[] {
  if (change.groups.length === 0) return groups;
  const next = [...groups];
  for (const { index, total, counts: changes } of change.groups) {
    const group = next[index];
    if (!group) throw new OutOfStep(`there is no group ${index}`);
    const counts = changes.length > 0 ? [...group.counts] : group.counts;
    for (const { index: bucket, count } of changes) {
      if (bucket >= counts.length) throw new OutOfStep(`group ${index} has no bucket ${bucket}`);
      counts[bucket] = count;
    }
    next[index] = { ...group, total, counts };
  }
  return next;
}

function withTotal(comparison: Comparison, total: number): Comparison {
  const { changeRatio: _, ...rest } = comparison;
  const change = total - comparison.total;
  return comparison.total === 0 ? { ...rest, change } : { ...rest, change, changeRatio: change / comparison.total };
}

// The total beside what it is compared with.
export interface Difference {
  before: number;
  change: number;
  ratio: number | undefined;
  // The range is not over: `before` is what the earlier range had by the same time, about.
  soFar: boolean;
}

export function differenceOf(answer: Answer, now: number): Difference | undefined {
  const { comparison, buckets } = answer;
  if (!comparison) return undefined;
  const end = Date.parse(buckets.at(-1)?.end ?? "");
  const soFar = now < end;
  let before = comparison.total;
  if (soFar) {
    before = 0;
    for (const [index, bucket] of buckets.entries()) before += (comparison.counts[index] ?? 0) * elapsed(bucket, now);
    before = Math.round(before);
  }
  const change = answer.total - before;
  return { before, change, ratio: before === 0 ? undefined : change / before, soFar };
}

// How much of a bucket is past, from 0 to 1.
function elapsed(bucket: Bucket, now: number): number {
  const start = Date.parse(bucket.start);
  const end = Date.parse(bucket.end);
  return Math.min(1, Math.max(0, (now - start) / (end - start)));
}

// How many buckets have begun.
export function begun(buckets: Pick<Bucket, "start">[], now: number): number {
  let low = 0;
  let high = buckets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Date.parse(buckets[middle]?.start ?? "") <= now) low = middle + 1;
    else high = middle;
  }
  return low;
}
