// The controls of the taps: range, interval, comparison, tag and time zone.
import { byId } from "./dom";
import type { Plan, Settings } from "./plan";
import { type SpanSettings, intervalsFor } from "./range";
import { REST_MS, SpanFields, option, whenTyped } from "./span-fields";

const MOST_TAGS_SEEN = 200;

export class Controls {
  readonly #span: SpanFields;
  readonly #compare = byId("compare", HTMLSelectElement);
  readonly #tag = byId("tag", HTMLInputElement);
  readonly #tagsSeen = new Map<string, string>();
  readonly #onChange: (settings: Settings) => void;
  #settings: Settings;

  constructor(onChange: (settings: Settings) => void) {
    this.#onChange = onChange;
    this.#span = new SpanFields("", (span) => this.#settle(span));
    this.#settings = this.#read(this.#span.settings);
    this.#compare.addEventListener("change", () => this.#span.changed(REST_MS));
    whenTyped(this.#tag, () => this.#span.changed(0));
  }

  get settings(): Settings {
    return this.#settings;
  }

  chooseTag(uid: string): void {
    this.#tag.value = uid;
    this.#span.changed(0);
  }

  // What the settings came to.
  plan({ span, interval }: Plan): void {
    this.#span.plan(interval, intervalsFor(span));
  }

  // A tag was seen: it can be chosen.
  sawTag(uid: string, label: string): void {
    if (this.#tagsSeen.get(uid) === label || (this.#tagsSeen.size >= MOST_TAGS_SEEN && !this.#tagsSeen.has(uid))) return;
    this.#tagsSeen.set(uid, label);
    const tags = [...this.#tagsSeen].sort(([, one], [, other]) => one.localeCompare(other));
    byId("tags-seen", HTMLDataListElement).replaceChildren(...tags.map(([uid, label]) => option(uid, label)));
  }

  // What the chosen tag is called. Empty when all are.
  get tagName(): string {
    return this.nameOf(this.#settings.tag);
  }

  // What a tag is called, as far as it was seen.
  nameOf(uid: string): string {
    return this.#tagsSeen.get(uid) || uid;
  }

  forget(): void {
    this.#tagsSeen.clear();
    byId("tags-seen", HTMLDataListElement).replaceChildren();
    this.#tag.value = "";
    this.#settings = { ...this.#settings, tag: "" };
  }

  // Says what is wrong; `calm` when it will pass by itself.
  say(message: string, calm = false): void {
    this.#span.say(message, calm);
  }

  focus(): void {
    this.#span.focus();
  }

  #read(span: SpanSettings): Settings {
    return { ...span, compare: Number(this.#compare.value), tag: this.#tag.value.trim() };
  }

  #settle(span: SpanSettings): void {
    const settings = this.#read(span);
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    this.#onChange(settings);
  }
}
