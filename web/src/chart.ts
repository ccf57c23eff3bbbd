// The chart of the taps: a bar for each bucket, and a line for what it is compared with.
import uPlot from "uplot";
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { beforeFrame, byId } from "./dom";
import { bucketName, byInterval, number, taps } from "./names";
import { MOST_BARS, type Picture, Plot } from "./plot";
import { type Answer, begun } from "./watch";

export class Chart {
  readonly #plot = new Plot("", (at) => this.#words(at));
  readonly #empty = byId("chart-empty", HTMLParagraphElement);
  readonly #draw = beforeFrame(() => this.#drawNow());
  #answer: Answer | undefined;
  // How many buckets are shown.
  #shown = 0;
  #ahead = false;

  // `ahead`: also show buckets that have not begun.
  show(answer: Answer, ahead: boolean): void {
    if (answer.query?.start !== this.#answer?.query?.start || answer.buckets.length !== this.#answer?.buckets.length) {
      this.#plot.readAt(undefined);
    }
    this.#answer = answer;
    this.#ahead = ahead;
    this.#draw();
  }

  // Time has passed: another bucket may have begun.
  passTime(): void {
    if (this.#answer && !this.#ahead && begun(this.#answer.buckets, Date.now()) > this.#shown) this.#draw();
  }

  #drawNow(): void {
    const answer = this.#answer;
    if (!answer) return;
    const { buckets, comparison } = answer;
    const now = Date.now();
    const past = begun(buckets, now);
    this.#shown = this.#ahead ? buckets.length : Math.max(1, past);
    const bars = this.#shown <= MOST_BARS;

    // One more than there are buckets, for the right edge of the last.
    const places = Array.from({ length: this.#shown + 1 }, (_, index) => index);
    const still = buckets[past - 1];
    const filling = still && Date.parse(still.end) > now ? past - 1 : -1;
    const done: (number | null)[] = [];
    const open: (number | null)[] = [];
    for (const place of places) {
      const count = place < past && place < this.#shown ? (buckets[place]?.count ?? null) : null;
      done.push(bars && place === filling ? null : count);
      open.push(bars && place === filling ? count : null);
    }
    if (!bars && past > 0 && past <= this.#shown) done[past] = done[past - 1] ?? null;
    const data: (number | null)[][] = [places, done, open];
    if (comparison) {
      const before: (number | null)[] = places.map((place) => comparison.counts[place] ?? null);
      before[this.#shown] = before[this.#shown - 1] ?? null;
      data.push(before);
    }

    const highest = Math.max(answer.total, comparison?.total ?? 0);
    this.#empty.hidden = highest > 0;
    const name = answer.query ? byInterval(answer.query.interval) : "";
    this.#plot.show({
      kind: `${bars ? "bars" : "outline"} ${comparison ? "compared" : "alone"}`,
      series: seriesOf(bars, comparison !== undefined),
      data,
      buckets: buckets.slice(0, this.#shown),
      interval: answer.query?.interval ?? Interval.DAY,
      label: `${taps(answer.total)}, ${name}: ${this.#summary(answer)}`,
    });
  }

  // The busiest bucket, in words.
  #summary({ buckets, query }: Answer): string {
    let busiest = buckets[0];
    for (const bucket of buckets) if (bucket.count > (busiest?.count ?? 0)) busiest = bucket;
    if (!busiest || busiest.count === 0) return "none yet";
    return `the most, ${number(busiest.count)}, ${bucketName(busiest, query?.interval ?? Interval.TOTAL)}`;
  }

  // Count, name and comparison of a bucket.
  #words(at: number): string[] {
    const { buckets = [], query, comparison } = this.#answer ?? {};
    const bucket = buckets[at];
    if (!bucket) return [];
    const now = Date.now();
    const words = [taps(bucket.count), bucketName(bucket, query?.interval ?? Interval.TOTAL)];
    if (Date.parse(bucket.start) > now) words[0] = "Not yet";
    else if (Date.parse(bucket.end) > now) words[0] += " so far";
    if (comparison) words.push(`${number(comparison.counts[at] ?? 0)} before`);
    return words;
  }
}

function seriesOf(bars: boolean, compared: boolean): Picture["series"] {
  return (colour) => {
    const accent = colour("--accent");
    const stepped = uPlot.paths.stepped!({ align: 1 });
    const paths = bars ? uPlot.paths.bars!({ align: 1, size: [0.82, 56], radius: 0.12 }) : stepped;
    const series: uPlot.Series[] = [
      bars
        ? { paths, fill: accent, width: 0 }
        : { paths, fill: colour("--accent-soft"), stroke: accent, width: 1 },
      // The bucket that is still filling, lighter.
      { paths, fill: colour("--accent-soft"), stroke: accent, width: bars ? 1 : 0 },
    ];
    if (compared) series.push({ paths: stepped, stroke: colour("--before"), width: bars ? 1.5 : 1 });
    return series;
  };
}
