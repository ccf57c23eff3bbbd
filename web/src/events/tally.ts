// The counts of events as they grow: the answer to a query, and then each event that a stream brings. Pure.
import { create } from "@bufbuild/protobuf";
import type { Event as TapEvent, QueryEventsResponse } from "../gen/tap/v1/events_pb";
import { type Bucket, type Group, GroupSchema } from "../gen/tap/v1/tap_analytics_pb";
import { begun } from "../watch";
import { MOST_CATEGORIES } from "./plan";

export class Tally {
  readonly buckets: Bucket[];
  // The categories, the busiest of the answer first; one that comes later is last but for the rest.
  readonly groups: Group[];
  total: number;

  constructor({ buckets, groups, total }: QueryEventsResponse) {
    this.buckets = buckets.map((bucket) => ({ ...bucket }));
    this.groups = groups.map((group) => ({ ...group, counts: [...group.counts] }));
    this.total = total;
  }

  // Counts an event where it happened: mostly in the newest bucket. False when that is not in the range.
  add({ occurredAt, category }: Pick<TapEvent, "occurredAt" | "category">): boolean {
    const moment = Date.parse(occurredAt);
    const at = begun(this.buckets, moment) - 1;
    const bucket = this.buckets[at];
    if (!bucket || moment >= Date.parse(bucket.end)) return false;
    const group = this.#groupOf(category);
    bucket.count++;
    group.counts[at] = (group.counts[at] ?? 0) + 1;
    group.total++;
    this.total++;
    return true;
  }

  #groupOf(category: string): Group {
    const rest = this.groups.find(({ other }) => other);
    const known = this.groups.find(({ key, other }) => !other && key === category) ?? rest;
    if (known) return known;
    const other = this.groups.length >= MOST_CATEGORIES;
    const fresh = create(GroupSchema, { key: other ? "" : category, other, counts: this.buckets.map(() => 0) });
    this.groups.push(fresh);
    return fresh;
  }
}

// What a category is called.
export function categoryName({ key, label, other }: Pick<Group, "key" | "label" | "other">): string {
  return other ? "All others" : label || key;
}
