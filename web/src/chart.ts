// The chart: a bar for each bucket, a line for what it is compared with, and reading it bar by bar with
// a pointer or the arrow keys.
import uPlot from "uplot";
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { civilOfText } from "./civil";
import { beforeFrame, byId, make, setText } from "./dom";
import { bucketName, number, shortNumber, taps } from "./names";
import { type Tick, ticksOf } from "./ticks";
import { type Answer, begun } from "./watch";

// More bars than this would be thinner than their gaps: then it is an outline.
const MOST_BARS = 240;
const LABEL_WIDTH = 64;

export class Chart {
  readonly #host = byId("chart", HTMLDivElement);
  readonly #plot = byId("plot", HTMLDivElement);
  readonly #tip = byId("tip", HTMLDivElement);
  readonly #read = byId("chart-read", HTMLParagraphElement);
  readonly #empty = byId("chart-empty", HTMLParagraphElement);
  readonly #mark = make("div", { class: "mark" });
  readonly #draw = beforeFrame(() => this.#drawNow());
  #uplot: uPlot | undefined;
  #style = "";
  #answer: Answer | undefined;
  // How many buckets are shown.
  #shown = 0;
  #ahead = false;
  #ticks: Tick[] = [];
  #ticksFor = "";
  // The bucket that is being read.
  #at: number | undefined;

  constructor() {
    this.#mark.hidden = true;
    new ResizeObserver(() => this.#resize()).observe(this.#plot);
    // Colours are painted: when they change it is painted anew.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerdown", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => this.#readAt(undefined));
    this.#host.addEventListener("keydown", (event) => this.#key(event));
    this.#host.addEventListener("blur", () => this.#readAt(undefined));
  }

  // `ahead`: also show buckets that have not begun.
  show(answer: Answer, ahead: boolean): void {
    if (answer.query?.start !== this.#answer?.query?.start || answer.buckets.length !== this.#answer?.buckets.length) {
      this.#readAt(undefined);
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
    const style = `${bars ? "bars" : "outline"} ${comparison ? "compared" : "alone"}`;
    if (style !== this.#style || !this.#uplot) {
      this.#style = style;
      this.#build(bars, comparison !== undefined);
    }

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
    this.#uplot?.setData(data as uPlot.AlignedData);

    const highest = Math.max(answer.total, comparison?.total ?? 0);
    this.#empty.hidden = highest > 0;
    const name = answer.query ? (INTERVAL_WORDS[answer.query.interval] ?? "") : "";
    this.#host.setAttribute("aria-label", `${taps(answer.total)}, ${name}: ${this.#summary(answer)}`);
    if (this.#at !== undefined) this.#readAt(Math.min(this.#at, this.#shown - 1));
  }

  // The busiest bucket, in words.
  #summary({ buckets, query }: Answer): string {
    let busiest = buckets[0];
    for (const bucket of buckets) if (bucket.count > (busiest?.count ?? 0)) busiest = bucket;
    if (!busiest || busiest.count === 0) return "none yet";
    return `the most, ${number(busiest.count)}, ${bucketName(busiest, query?.interval ?? Interval.TOTAL)}`;
  }

  #build(bars: boolean, compared: boolean): void {
    this.#uplot?.destroy();
    const css = getComputedStyle(this.#host);
    const colour = (name: string) => css.getPropertyValue(name).trim();
    const font = `12px ${colour("--font")}`;
    const accent = colour("--accent");
    const paths = bars
      ? uPlot.paths.bars!({ align: 1, size: [0.82, 56], radius: 0.12 })
      : uPlot.paths.stepped!({ align: 1 });
    const shared = { points: { show: false }, spanGaps: false };
    const series: uPlot.Series[] = [
      {},
      bars
        ? { ...shared, paths, fill: accent, width: 0 }
        : { ...shared, paths, fill: colour("--accent-soft"), stroke: accent, width: 1 },
      // The bucket that is still filling, lighter.
      { ...shared, paths, fill: colour("--accent-soft"), stroke: accent, width: bars ? 1 : 0 },
    ];
    if (compared) {
      series.push({
        ...shared,
        paths: uPlot.paths.stepped!({ align: 1 }),
        stroke: colour("--before"),
        width: bars ? 1.5 : 1,
      });
    }
    this.#uplot = new uPlot(
      {
        ...this.#size(),
        series,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 6, 0, 0],
        scales: {
          x: { time: false, range: () => [0, Math.max(1, this.#shown)] },
          y: { range: (_, __, most) => [0, Math.max(4, (most ?? 0) * 1.06)] },
        },
        axes: [
          {
            stroke: colour("--muted"),
            font,
            size: 30,
            gap: 7,
            grid: { show: false },
            ticks: { show: true, stroke: colour("--line"), width: 1, size: 5 },
            splits: (plot) => this.#ticksIn(plot.bbox.width / devicePixelRatio).map(({ index }) => index),
            values: () => this.#ticks.map(({ label }) => label),
          },
          {
            stroke: colour("--muted"),
            font,
            size: (_, values) => 20 + 7 * Math.max(2, ...(values ?? []).map((value) => value.length)),
            gap: 6,
            space: 44,
            grid: { stroke: colour("--line"), width: 1 },
            ticks: { show: false },
            incrs: [1, 2, 5, 10, 20, 50].flatMap((step) => [step, step * 1e2, step * 1e4, step * 1e6, step * 1e8]).sort((a, b) => a - b),
            values: (_, splits) => splits.map(shortNumber),
          },
        ],
      },
      [[0, 1], [null, null], [null, null], ...(compared ? [[null, null]] : [])] as uPlot.AlignedData,
      this.#plot,
    );
    this.#uplot.over.append(this.#mark);
  }

  #rebuild(): void {
    this.#style = "";
    this.#draw();
  }

  #ticksIn(width: number): Tick[] {
    const { buckets = [], query } = this.#answer ?? {};
    const shown = buckets.slice(0, this.#shown);
    const room = Math.max(2, Math.floor(width / LABEL_WIDTH));
    const wanted = [shown[0]?.start, shown.length, query?.interval, room].join(" ");
    if (wanted !== this.#ticksFor) {
      this.#ticksFor = wanted;
      this.#ticks = ticksOf(shown.map(({ start }) => civilOfText(start)), query?.interval ?? Interval.DAY, room);
    }
    return this.#ticks;
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(100, this.#plot.clientWidth), height: Math.max(100, this.#plot.clientHeight) };
  }

  #resize(): void {
    if (!this.#uplot || this.#plot.clientWidth === 0) return;
    const { width, height } = this.#size();
    if (width !== this.#uplot.width || height !== this.#uplot.height) this.#uplot.setSize({ width, height });
    this.#readAt(this.#at);
  }

  #point(event: PointerEvent): void {
    if (!this.#uplot) return;
    const over = this.#uplot.over.getBoundingClientRect();
    const place = Math.floor(this.#uplot.posToVal(event.clientX - over.left, "x"));
    this.#readAt(place >= 0 && place < this.#shown ? place : undefined);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#shown === 0) return;
    const last = this.#shown - 1;
    const at = this.#at;
    const to: Record<string, number | undefined> = {
      ArrowLeft: at === undefined ? last : Math.max(0, at - 1),
      ArrowRight: at === undefined ? 0 : Math.min(last, at + 1),
      Home: 0,
      End: last,
      Escape: undefined,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    this.#readAt(to[event.key]);
    // Read aloud for keys only: a pointer passes many.
    if (this.#at !== undefined) setText(this.#read, this.#words(this.#at).join(", "));
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

  #readAt(at: number | undefined): void {
    this.#at = at;
    const plot = this.#uplot;
    const words = at === undefined ? [] : this.#words(at);
    this.#tip.hidden = this.#mark.hidden = words.length === 0;
    if (at === undefined || !plot || words.length === 0) return;

    const left = plot.valToPos(at, "x");
    const right = plot.valToPos(at + 1, "x");
    this.#mark.style.left = `${left}px`;
    this.#mark.style.width = `${Math.max(1, right - left)}px`;

    const [count = "", ...rest] = words;
    this.#tip.replaceChildren(make("strong", { text: count }), ...rest.map((text) => make("div", { text })));
    const middle = plot.over.offsetLeft + (left + right) / 2;
    const room = this.#host.clientWidth - this.#tip.offsetWidth;
    const x = Math.max(0, Math.min(room, middle - this.#tip.offsetWidth / 2));
    this.#tip.style.transform = `translate(${Math.round(x)}px, -14px)`;
  }
}

const INTERVAL_WORDS: Partial<Record<Interval, string>> = {
  [Interval.MINUTE]: "by minute",
  [Interval.HOUR]: "by hour",
  [Interval.DAY]: "by day",
  [Interval.WEEK]: "by week",
  [Interval.MONTH]: "by month",
  [Interval.QUARTER]: "by quarter",
  [Interval.YEAR]: "by year",
};
