// The controls: range, interval, comparison, tag and time zone.
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { addDays, civilOf, dateText, ownZone, zoneNamed, zoneNames } from "./civil";
import { byId, make, setText } from "./dom";
import { INTERVALS } from "./names";
import type { Plan, Settings } from "./plan";
import { PRESETS, type Preset, intervalsFor, rangeProblem } from "./range";

// Arrow keys go through the choices one by one: only where they rest is asked for.
const REST_MS = 350;
const MOST_TAGS_SEEN = 200;

export class Controls {
  readonly #range = byId("range", HTMLSelectElement);
  readonly #dates = byId("dates", HTMLDivElement);
  readonly #from = byId("from", HTMLInputElement);
  readonly #to = byId("to", HTMLInputElement);
  readonly #interval = byId("interval", HTMLSelectElement);
  readonly #compare = byId("compare", HTMLSelectElement);
  readonly #tag = byId("tag", HTMLInputElement);
  readonly #zone = byId("zone", HTMLInputElement);
  readonly #notice = byId("notice", HTMLParagraphElement);
  readonly #tagsSeen = new Map<string, string>();
  readonly #onChange: (settings: Settings) => void;
  #settings: Settings;
  #rest = 0;

  constructor(onChange: (settings: Settings) => void) {
    this.#onChange = onChange;
    const zone = ownZone();
    this.#zone.value = zone;
    byId("zones", HTMLDataListElement).replaceChildren(...zoneNames().map((name) => option(name)));
    this.#settings = this.#read(zone);

    for (const select of [this.#range, this.#interval, this.#compare]) {
      select.addEventListener("change", () => this.#changed(REST_MS));
    }
    for (const date of [this.#from, this.#to]) date.addEventListener("change", () => this.#changed(REST_MS));
    for (const typed of [this.#tag, this.#zone]) {
      typed.addEventListener("change", () => this.#changed(0));
      // Chosen from the list, or cleared by its button: no need to leave the field first.
      typed.addEventListener("input", (event) => {
        const typing = event instanceof InputEvent && event.inputType !== "insertReplacementText";
        if (!typing) this.#changed(0);
      });
    }
    byId("controls", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#changed(0);
    });
  }

  get settings(): Settings {
    return this.#settings;
  }

  chooseTag(uid: string): void {
    this.#tag.value = uid;
    this.#changed(0);
  }

  // What the settings came to.
  plan({ span, interval }: Plan): void {
    const chosen = this.#settings.interval;
    const some = intervalsFor(span);
    this.#interval.replaceChildren(
      option(String(Interval.TOTAL), `Auto (${INTERVALS[interval].toLowerCase()})`),
      ...some.map((one) => option(String(one), INTERVALS[one])),
    );
    this.#interval.value = String(some.includes(chosen) ? chosen : Interval.TOTAL);
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
    const { tag } = this.#settings;
    return this.#tagsSeen.get(tag) || tag;
  }

  forget(): void {
    this.#tagsSeen.clear();
    byId("tags-seen", HTMLDataListElement).replaceChildren();
    this.#tag.value = "";
    this.#settings = { ...this.#settings, tag: "" };
  }

  // Says what is wrong; `calm` when it will pass by itself.
  say(message: string, calm = false): void {
    setText(this.#notice, message);
    this.#notice.classList.toggle("calm", calm);
  }

  focus(): void {
    this.#range.focus();
  }

  #read(zone: string): Settings {
    const preset = PRESETS.find((one) => one === this.#range.value) ?? ("week" satisfies Preset);
    return {
      range: { preset, from: this.#from.value, to: this.#to.value },
      interval: Number(this.#interval.value),
      compare: Number(this.#compare.value),
      tag: this.#tag.value.trim(),
      zone,
    };
  }

  #changed(rest: number): void {
    const custom = this.#range.value === "custom";
    if (custom && this.#dates.hidden && !this.#from.value) {
      this.#to.value = dateText(civilOf(Date.now(), this.#settings.zone));
      this.#from.value = addDays(this.#to.value, -29);
    }
    this.#dates.hidden = !custom;
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.#settle(), rest);
  }

  #settle(): void {
    const zone = zoneNamed(this.#zone.value || "UTC");
    const settings = this.#read(zone ?? this.#settings.zone);
    const problem = rangeProblem(settings.range);
    invalid(this.#zone, zone === undefined);
    invalid(this.#from, problem !== undefined);
    if (zone === undefined) return this.say("There is no such time zone: write a name such as Europe/Berlin.");
    if (problem) return this.say(problem);
    this.#zone.value = zone;
    this.say("");
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    this.#onChange(settings);
  }
}

function option(value: string, label?: string): HTMLOptionElement {
  const element = make("option", label === undefined ? {} : { text: label });
  element.value = value;
  return element;
}

function invalid(input: HTMLInputElement, wrong: boolean): void {
  if (wrong) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
