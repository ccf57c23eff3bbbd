// The chart of the funnel: a line for each stage.
import uPlot from "uplot";
import type { FunnelBucket, QueryFunnelResponse } from "../gen/tap/v1/coupons_pb";
import { Interval_Value as Interval } from "../gen/tap/v1/tap_analytics_pb";
import { beforeFrame, byId } from "../dom";
import { bucketName, byInterval } from "../names";
import { type Picture, Plot } from "../plot";
import { begun } from "../watch";
import { STAGES, stageWords } from "./stages";

export class FunnelChart {
  readonly #plot = new Plot("funnel-", (at) => this.#words(at));
  readonly #empty = byId("funnel-chart-empty", HTMLParagraphElement);
  readonly #draw = beforeFrame(() => this.#drawNow());
  #answer: QueryFunnelResponse | undefined;
  #interval: Interval = Interval.DAY;
  #ahead = false;
  // How many buckets are shown.
  #shown = 0;

  // `ahead`: also show buckets that have not begun.
  show(answer: QueryFunnelResponse, interval: Interval, ahead: boolean): void {
    this.#plot.readAt(undefined);
    this.#answer = answer;
    this.#interval = interval;
    this.#ahead = ahead;
    this.#draw();
  }

  // Time has passed: another bucket may have begun.
  passTime(): void {
    if (this.#answer && !this.#ahead && begun(this.#answer.buckets, Date.now()) > this.#shown) this.#draw();
  }

  #drawNow(): void {
    if (!this.#answer?.total) return;
    const { buckets, total } = this.#answer;
    const past = begun(buckets, Date.now());
    this.#shown = this.#ahead ? buckets.length : Math.max(1, past);
    // One more than there are buckets, for the right edge of the last.
    const places = Array.from({ length: this.#shown + 1 }, (_, index) => index);
    const lines = STAGES.map(({ key }) => {
      const line = places.map((place) => (place < past ? (buckets[place]?.counts?.[key] ?? null) : null));
      if (past <= this.#shown) line[past] = line[past - 1] ?? null;
      return line;
    });
    this.#empty.hidden = STAGES.some(({ key }) => total[key] > 0);
    this.#plot.show({
      kind: "stages",
      series: seriesOf,
      data: [places, ...lines],
      buckets: buckets.slice(0, this.#shown),
      interval: this.#interval,
      label: [...stageWords(total), byInterval(this.#interval)].join(", "),
    });
  }

  // The counts and the name of a bucket.
  #words(at: number): string[] {
    const bucket = this.#answer?.buckets[at];
    return bucket?.counts ? bucketWords(bucket, this.#interval) : [];
  }
}

function bucketWords({ start, end, counts }: FunnelBucket, interval: Interval): string[] {
  const name = bucketName({ start, end }, interval);
  const now = Date.now();
  if (!counts || Date.parse(start) > now) return ["Not yet", name];
  const [taps = "", ...rest] = stageWords(counts);
  return [Date.parse(end) > now ? `${taps} so far` : taps, name, ...rest];
}

const seriesOf: Picture["series"] = (colour) => {
  const paths = uPlot.paths.stepped!({ align: 1 });
  return STAGES.map((_, at) => ({ paths, stroke: colour(stageColour(at)), width: 2 }));
};

// The colour of a stage in the style, by its place.
export function stageColour(at: number): string {
  return `--layer-${at + 1}`;
}
