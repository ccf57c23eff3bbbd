// The stages as bars, what they are of, and when they were counted; the table of the chart.
import type { FunnelBucket, QueryFunnelResponse } from "../gen/tap/v1/coupons_pb";
import { civilOf, civilOfText } from "../civil";
import { byId, make, setText } from "../dom";
import { bucketName, number, spanName, time } from "../names";
import { begun } from "../watch";
import { stageColour } from "./chart";
import type { FunnelPlan } from "./plan";
import { STAGES, stageWords, stagesOf } from "./stages";

// An answer, to what, and when it came.
export interface Counted {
  answer: QueryFunnelResponse;
  plan: FunnelPlan;
  zone: string;
  at: number;
}

export class FunnelView {
  readonly #title = byId("funnel-title", HTMLHeadingElement);
  readonly #span = byId("funnel-span", HTMLParagraphElement);
  readonly #spoken = byId("funnel-spoken", HTMLParagraphElement);
  readonly #table = byId("funnel-table", HTMLDetailsElement);
  readonly #body = byId("funnel-table-body", HTMLTableSectionElement);
  readonly #stages = STAGES.map(({ name }, at) => new Bar(name, stageColour(at)));
  #shown: Counted | undefined;

  constructor() {
    byId("funnel-stages", HTMLOListElement).append(...this.#stages.map(({ item }) => item));
    this.#table.addEventListener("toggle", () => this.#drawTable());
  }

  // What it is of.
  title(text: string): void {
    setText(this.#title, text);
  }

  focus(): void {
    this.#title.focus();
  }

  // Something else was asked: nothing is read aloud before its answer.
  ask(): void {
    setText(this.#spoken, "");
  }

  show(shown: Counted): void {
    const { answer, plan, zone, at } = shown;
    const { buckets, total } = answer;
    if (!total) return;
    this.#shown = shown;
    for (const [index, stage] of stagesOf(total).entries()) this.#stages[index]?.show(number(stage.count), stage.share, stage.length);
    const [first, last] = [buckets[0], buckets.at(-1)];
    const open = last !== undefined && Date.parse(last.end) > at;
    const name = first && last ? spanName(civilOfText(first.start), civilOfText(last.end), open && !plan.span.ahead) : "";
    setText(this.#span, `${name} · ${zone} · as of ${time(civilOf(at, zone))}`);
    setText(this.#spoken, stageWords(total).join(", "));
    this.#drawTable();
  }

  clear(): void {
    this.#shown = undefined;
    for (const stage of this.#stages) stage.show("–", "", 0);
    for (const element of [this.#span, this.#spoken]) setText(element, "");
    this.#body.replaceChildren();
  }

  #drawTable(): void {
    if (!this.#shown || !this.#table.open) return;
    const { answer, plan, at } = this.#shown;
    const shown = plan.span.ahead ? answer.buckets.length : begun(answer.buckets, at);
    // The newest first.
    this.#body.replaceChildren(...answer.buckets.slice(0, shown).map((bucket) => rowOf(bucket, plan)).reverse());
  }
}

function rowOf(bucket: FunnelBucket, { interval }: FunnelPlan): HTMLTableRowElement {
  const name = make("th", { text: bucketName(bucket, interval) });
  name.scope = "row";
  return make("tr", {}, name, ...STAGES.map(({ key }) => make("td", { text: number(bucket.counts?.[key] ?? 0) })));
}

// One stage.
class Bar {
  readonly item: HTMLLIElement;
  readonly #count = make("strong", { class: "count", text: "–" });
  readonly #share = make("span", { class: "share" });
  readonly #fill = make("span", { class: "fill" });

  constructor(name: string, colour: string) {
    const track = make("span", { class: "track" }, this.#fill);
    this.item = make("li", {}, make("span", { class: "label", text: name }), track, this.#count, this.#share);
    this.item.style.setProperty("--swatch", `var(${colour})`);
  }

  // `length` is 0 to 1.
  show(count: string, share: string, length: number): void {
    setText(this.#count, count);
    setText(this.#share, share);
    this.#fill.style.setProperty("--share", String(length));
  }
}
