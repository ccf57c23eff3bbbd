// The total, how it compares, and the range; the legend and the table of the chart.
import { Compare_Value as Compare, Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { civilOfText } from "./civil";
import { beforeFrame, byId, make, setText } from "./dom";
import { bucketName, number, signed, spanName, taps } from "./names";
import { type Answer, type Difference, begun, differenceOf } from "./watch";

// The total is read aloud no more often than this.
const SPEAK_EVERY_MS = 20_000;

export class Headline {
  readonly #title = byId("total-title", HTMLHeadingElement);
  readonly #total = byId("total", HTMLParagraphElement);
  readonly #change = byId("change", HTMLParagraphElement);
  readonly #span = byId("span", HTMLParagraphElement);
  readonly #spoken = byId("spoken", HTMLParagraphElement);
  readonly #legendBefore = byId("legend-before", HTMLParagraphElement);
  readonly #table = byId("table", HTMLDetailsElement);
  readonly #body = byId("table-body", HTMLTableSectionElement);
  readonly #tableBefore = byId("table-before", HTMLTableCellElement);
  readonly #drawTable = beforeFrame(() => this.#drawTableNow());
  #answer: Answer | undefined;
  #ahead = false;
  #spokenAt = 0;
  #asked = false;

  constructor() {
    this.#table.addEventListener("toggle", () => this.#drawTable());
  }

  // Something else was asked: nothing is read aloud before its answer, and that at once.
  ask(): void {
    this.#asked = true;
    setText(this.#spoken, "");
  }

  // `tag` is what the chosen tag is called, or empty.
  show(answer: Answer, ahead: boolean, tag: string): void {
    this.#answer = answer;
    this.#ahead = ahead;
    if (this.#asked) this.#spokenAt = 0;
    this.#asked = false;
    this.passTime();
    const { query, buckets, total } = answer;
    const end = buckets.at(-1)?.end ?? "";
    const open = Date.parse(end) > Date.now();
    const name = query ? spanName(civilOfText(query.start), civilOfText(query.end), open && !ahead) : "";
    setText(this.#span, `${name} · ${query?.timeZone ?? ""}`);
    this.#legendBefore.hidden = !answer.comparison;
    setText(this.#legendBefore, earlier(query?.compare).replace(/^./, (letter) => letter.toUpperCase()));
    setText(this.#title, tag ? `Taps of ${tag}` : "Taps");
    setText(this.#total, number(total));
    this.#drawTable();
  }

  // What depends on the time of day.
  passTime(): void {
    const answer = this.#answer;
    if (!answer) return;
    const difference = differenceOf(answer, Date.now());
    const [size, rest] = difference ? compared(difference, answer.query?.compare) : ["", ""];
    const text = `${size} ${rest}`.trim();
    if (this.#change.textContent?.trim() !== text) {
      this.#change.replaceChildren(make("strong", { text: size }), ` ${rest}`);
    }
    if (!this.#asked && Date.now() - this.#spokenAt >= SPEAK_EVERY_MS) {
      this.#spokenAt = Date.now();
      setText(this.#spoken, `${taps(answer.total)} ${text}`.trim());
    }
  }

  #drawTableNow(): void {
    const answer = this.#answer;
    if (!answer || !this.#table.open) return;
    const { buckets, comparison, query } = answer;
    this.#tableBefore.hidden = !comparison;
    const shown = this.#ahead ? buckets.length : begun(buckets, Date.now());
    // The newest first.
    const rows = buckets.slice(0, shown).map((bucket, index) => {
      const name = make("th", { text: bucketName(bucket, query?.interval ?? Interval.TOTAL) });
      name.scope = "row";
      const row = make("tr", {}, name, make("td", { text: number(bucket.count) }));
      if (comparison) row.append(make("td", { text: number(comparison.counts[index] ?? 0) }));
      return row;
    });
    this.#body.replaceChildren(...rows.reverse());
  }
}

function earlier(compare: Compare | undefined): string {
  return compare === Compare.PREVIOUS_YEAR ? "a year before" : "previous period";
}

// How a total compares: the size of the change, and with what.
function compared({ before, change, ratio, soFar }: Difference, compare: Compare | undefined): [string, string] {
  const year = compare === Compare.PREVIOUS_YEAR;
  if (ratio === undefined) {
    const when = year ? "a year before" : "in the previous period";
    return ["", soFar ? `none ${when} by this time` : `none ${when}`];
  }
  const size = change === 0 ? "No change" : signed(ratio);
  if (soFar) return [size, `vs. about ${number(before)} by this time ${year ? "a year before" : "in the previous period"}`];
  return [size, `vs. ${number(before)} ${year ? "a year before" : "in the previous period"}`];
}
