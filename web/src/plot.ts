// What the charts have in common: where they are drawn, their axes, and reading them bucket by bucket with a
// pointer or the arrow keys.
import uPlot from "uplot";
import { type Bucket, Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { civilOfText } from "./civil";
import { byId, make, setText } from "./dom";
import { shortNumber } from "./names";
import { type Tick, ticksOf } from "./ticks";

// More bars than this would be thinner than their gaps: then it is an outline.
export const MOST_BARS = 240;
const LABEL_WIDTH = 64;

// What is drawn.
export interface Picture {
  // What kind of picture it is: another kind is built anew.
  kind: string;
  // All but the places. `colour` gives a colour of the style.
  series(colour: (name: string) => string): uPlot.Series[];
  // Places, one for each bucket that is shown and one for the right edge of the last, and then each series.
  data: (number | null)[][];
  // Those that are shown.
  buckets: Pick<Bucket, "start">[];
  interval: Interval;
  // The whole of it, in words.
  label: string;
}

export class Plot {
  readonly #host: HTMLDivElement;
  readonly #plot: HTMLDivElement;
  readonly #tip: HTMLDivElement;
  readonly #read: HTMLParagraphElement;
  readonly #mark = make("div", { class: "mark" });
  readonly #words: (at: number) => string[];
  #uplot: uPlot | undefined;
  #picture: Picture | undefined;
  #ticks: Tick[] = [];
  #ticksFor = "";
  // The bucket that is being read.
  #at: number | undefined;

  // `prefix` is what the ids begin with. `words` tells about a bucket, the count first.
  constructor(prefix: string, words: (at: number) => string[]) {
    this.#host = byId(`${prefix}chart`, HTMLDivElement);
    this.#plot = byId(`${prefix}plot`, HTMLDivElement);
    this.#tip = byId(`${prefix}tip`, HTMLDivElement);
    this.#read = byId(`${prefix}chart-read`, HTMLParagraphElement);
    this.#words = words;
    this.#mark.hidden = true;
    new ResizeObserver(() => this.#resize()).observe(this.#plot);
    // Colours are painted: when they change it is painted anew.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerdown", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => this.readAt(undefined));
    this.#host.addEventListener("keydown", (event) => this.#key(event));
    this.#host.addEventListener("blur", () => this.readAt(undefined));
  }

  show(picture: Picture): void {
    const anew = picture.kind !== this.#picture?.kind;
    this.#picture = picture;
    if (anew || !this.#uplot) this.#build(picture);
    this.#uplot?.setData(picture.data as uPlot.AlignedData);
    this.#host.setAttribute("aria-label", picture.label);
    if (this.#at !== undefined) this.readAt(Math.min(this.#at, this.#shown - 1));
  }

  readAt(at: number | undefined): void {
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

  // How many buckets are shown.
  get #shown(): number {
    return this.#picture?.buckets.length ?? 0;
  }

  #build(picture: Picture): void {
    this.#uplot?.destroy();
    const css = getComputedStyle(this.#host);
    const colour = (name: string) => css.getPropertyValue(name).trim();
    const font = `12px ${colour("--font")}`;
    const series = picture.series(colour);
    this.#uplot = new uPlot(
      {
        ...this.#size(),
        series: [{}, ...series.map((one) => ({ points: { show: false }, spanGaps: false, ...one }))],
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
      [[0, 1], ...series.map(() => [null, null])] as uPlot.AlignedData,
      this.#plot,
    );
    this.#uplot.over.append(this.#mark);
  }

  #rebuild(): void {
    if (!this.#picture) return;
    this.#build(this.#picture);
    this.show(this.#picture);
  }

  #ticksIn(width: number): Tick[] {
    const { buckets = [], interval = Interval.DAY } = this.#picture ?? {};
    const room = Math.max(2, Math.floor(width / LABEL_WIDTH));
    const wanted = [buckets[0]?.start, buckets.length, interval, room].join(" ");
    if (wanted !== this.#ticksFor) {
      this.#ticksFor = wanted;
      this.#ticks = ticksOf(buckets.map(({ start }) => civilOfText(start)), interval, room);
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
    this.readAt(this.#at);
  }

  #point(event: PointerEvent): void {
    if (!this.#uplot) return;
    const over = this.#uplot.over.getBoundingClientRect();
    const place = Math.floor(this.#uplot.posToVal(event.clientX - over.left, "x"));
    this.readAt(place >= 0 && place < this.#shown ? place : undefined);
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
    this.readAt(to[event.key]);
    // Read aloud for keys only: a pointer passes many.
    if (this.#at !== undefined) setText(this.#read, this.#words(this.#at).join(", "));
  }
}
