// The chart of the events: a bar for each bucket, in which the categories are put on top of one another.
import uPlot from "uplot";
import { Interval_Value as Interval } from "../gen/tap/v1/tap_analytics_pb";
import { beforeFrame, byId } from "../dom";
import { bucketName, byInterval, events, number } from "../names";
import { MOST_BARS, type Picture, Plot } from "../plot";
import { begun } from "../watch";
import { stack } from "./stack";
import { type Tally, categoryName } from "./tally";

export class EventChart {
  readonly #plot = new Plot("event-", (at) => this.#words(at));
  readonly #empty = byId("event-chart-empty", HTMLParagraphElement);
  readonly #draw = beforeFrame(() => this.#drawNow());
  #tally: Tally | undefined;
  #interval: Interval = Interval.DAY;
  #ahead = false;
  // How many buckets are shown.
  #shown = 0;

  // `ahead`: also show buckets that have not begun.
  show(tally: Tally, interval: Interval, ahead: boolean): void {
    if (tally !== this.#tally) this.#plot.readAt(undefined);
    this.#tally = tally;
    this.#interval = interval;
    this.#ahead = ahead;
    this.#draw();
  }

  // Time has passed: another bucket may have begun.
  passTime(): void {
    if (this.#tally && !this.#ahead && begun(this.#tally.buckets, Date.now()) > this.#shown) this.#draw();
  }

  #drawNow(): void {
    if (!this.#tally) return;
    const { buckets, groups, total } = this.#tally;
    const past = begun(buckets, Date.now());
    this.#shown = this.#ahead ? buckets.length : Math.max(1, past);
    const bars = this.#shown <= MOST_BARS;
    // One more than there are buckets, for the right edge of the last.
    const places = Array.from({ length: this.#shown + 1 }, (_, index) => index);
    const layers = stack(groups, Math.min(past, this.#shown), places.length, bars);
    if (!bars) for (const layer of layers) if (past <= this.#shown) layer[past] = layer[past - 1] ?? null;

    this.#empty.hidden = total > 0;
    const parts = groups.filter((group) => group.total > 0).map((group) => `${number(group.total)} ${categoryName(group)}`);
    this.#plot.show({
      kind: `${bars ? "bars" : "outline"} ${groups.map(({ other }) => (other ? "other" : "category")).join()}`,
      series: seriesOf(bars, groups),
      // The highest is behind, so it is drawn first.
      data: [places, ...layers.reverse()],
      buckets: buckets.slice(0, this.#shown),
      interval: this.#interval,
      label: [events(total), byInterval(this.#interval), ...parts].join(", "),
    });
  }

  // Count, name and categories of a bucket.
  #words(at: number): string[] {
    const { buckets = [], groups = [] } = this.#tally ?? {};
    const bucket = buckets[at];
    if (!bucket) return [];
    const now = Date.now();
    let count = events(bucket.count);
    if (Date.parse(bucket.start) > now) count = "Not yet";
    else if (Date.parse(bucket.end) > now) count += " so far";
    const parts = groups.filter(({ counts }) => counts[at]).map((group) => `${number(group.counts[at] ?? 0)} ${categoryName(group)}`);
    return [count, bucketName(bucket, this.#interval), ...parts];
  }
}

function seriesOf(bars: boolean, groups: { other: boolean }[]): Picture["series"] {
  return (colour) => {
    const paths = bars ? uPlot.paths.bars!({ align: 1, size: [0.82, 56], radius: 0.08 }) : uPlot.paths.stepped!({ align: 1 });
    return groups.map((group, index) => ({ paths, fill: colour(colourOf(group, index)), width: 0 })).reverse();
  };
}

// The colour of a category in the style, by its place.
export function colourOf({ other }: { other: boolean }, index: number): string {
  return other ? "--before" : `--layer-${index + 1}`;
}
