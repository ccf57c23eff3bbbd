// The total of the events and the range; the legend, with how many there are of each category, and the table.
import type { Interval_Value as Interval } from "../gen/tap/v1/tap_analytics_pb";
import { civilOfText } from "../civil";
import { beforeFrame, byId, make, setText } from "../dom";
import { bucketName, events, number, spanName } from "../names";
import { begun } from "../watch";
import { colourOf } from "./chart";
import { type Tally, categoryName } from "./tally";

// The total is read aloud no more often than this.
const SPEAK_EVERY_MS = 20_000;

export class EventHeadline {
  readonly #total = byId("event-total", HTMLParagraphElement);
  readonly #span = byId("event-span", HTMLParagraphElement);
  readonly #spoken = byId("event-spoken", HTMLParagraphElement);
  readonly #legend = byId("event-legend", HTMLUListElement);
  readonly #table = byId("event-table", HTMLDetailsElement);
  readonly #head = byId("event-table-head", HTMLTableRowElement);
  readonly #body = byId("event-table-body", HTMLTableSectionElement);
  readonly #draw = beforeFrame(() => this.#drawNow());
  #shown: { tally: Tally; interval: Interval; zone: string; ahead: boolean } | undefined;
  #spokenAt = 0;

  constructor() {
    this.#table.addEventListener("toggle", () => this.#draw());
  }

  // Something else was asked: nothing is read aloud before its answer, and that at once.
  ask(): void {
    this.#spokenAt = 0;
    setText(this.#spoken, "");
  }

  show(tally: Tally, interval: Interval, zone: string, ahead: boolean): void {
    this.#shown = { tally, interval, zone, ahead };
    this.#draw();
  }

  #drawNow(): void {
    if (!this.#shown) return;
    const { tally, zone, ahead } = this.#shown;
    const { buckets, groups, total } = tally;
    const [first, last] = [buckets[0], buckets.at(-1)];
    const open = last !== undefined && Date.parse(last.end) > Date.now();
    const name = first && last ? spanName(civilOfText(first.start), civilOfText(last.end), open && !ahead) : "";
    setText(this.#span, `${name} · ${zone}`);
    setText(this.#total, number(total));
    if (Date.now() - this.#spokenAt >= SPEAK_EVERY_MS) {
      this.#spokenAt = Date.now();
      setText(this.#spoken, events(total));
    }
    this.#legend.replaceChildren(
      ...groups.map((group, index) => {
        const label = make("span", { class: "label", text: categoryName(group) });
        label.title = label.textContent ?? "";
        const item = make("li", { class: "legend-item" }, label, make("strong", { text: number(group.total) }));
        item.style.setProperty("--swatch", `var(${colourOf(group, index)})`);
        return item;
      }),
    );
    if (this.#table.open) this.#drawTable();
  }

  #drawTable(): void {
    if (!this.#shown) return;
    const { tally, interval, ahead } = this.#shown;
    const { buckets, groups } = tally;
    const column = (text: string) => {
      const cell = make("th", { text });
      cell.scope = "col";
      return cell;
    };
    this.#head.replaceChildren(column("Time"), column("Events"), ...groups.map((group) => column(categoryName(group))));
    // The newest first.
    const rows = buckets.slice(0, ahead ? buckets.length : begun(buckets, Date.now())).map((bucket, at) => {
      const name = make("th", { text: bucketName(bucket, interval) });
      name.scope = "row";
      const counts = groups.map(({ counts }) => make("td", { text: number(counts[at] ?? 0) }));
      return make("tr", {}, name, make("td", { text: number(bucket.count) }), ...counts);
    });
    this.#body.replaceChildren(...rows.reverse());
  }
}
