// The fields that say which time is shown, and how: range, interval and time zone. Each tab has its own.
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { addDays, civilOf, dateText, ownZone, zoneNamed, zoneNames } from "./civil";
import { byId, make, setText } from "./dom";
import { INTERVALS } from "./names";
import { PRESETS, type Preset, type SpanSettings, rangeProblem } from "./range";

// Arrow keys go through the choices one by one: only where they rest is asked for.
export const REST_MS = 350;

export class SpanFields {
  readonly #range: HTMLSelectElement;
  readonly #dates: HTMLDivElement;
  readonly #from: HTMLInputElement;
  readonly #to: HTMLInputElement;
  readonly #interval: HTMLSelectElement;
  readonly #zone: HTMLInputElement;
  readonly #notice: HTMLParagraphElement;
  readonly #settle: (settings: SpanSettings) => void;
  #settings: SpanSettings;
  #rest = 0;

  // `prefix` is what the ids begin with. `settle` is called with what was chosen, if it makes sense.
  constructor(prefix: string, settle: (settings: SpanSettings) => void) {
    this.#range = byId(`${prefix}range`, HTMLSelectElement);
    this.#dates = byId(`${prefix}dates`, HTMLDivElement);
    this.#from = byId(`${prefix}from`, HTMLInputElement);
    this.#to = byId(`${prefix}to`, HTMLInputElement);
    this.#interval = byId(`${prefix}interval`, HTMLSelectElement);
    this.#zone = byId(`${prefix}zone`, HTMLInputElement);
    this.#notice = byId(`${prefix}notice`, HTMLParagraphElement);
    this.#settle = settle;
    const zone = ownZone();
    this.#zone.value = zone;
    const zones = byId("zones", HTMLDataListElement);
    if (!zones.firstChild) zones.append(...zoneNames().map((name) => option(name)));
    this.#settings = this.#read(zone);

    for (const chosen of [this.#range, this.#interval, this.#from, this.#to]) {
      chosen.addEventListener("change", () => this.changed(REST_MS));
    }
    whenTyped(this.#zone, () => this.changed(0));
    byId(`${prefix}controls`, HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.changed(0);
    });
  }

  get settings(): SpanSettings {
    return this.#settings;
  }

  // Something was chosen: settled in so many milliseconds, unless something else is chosen before.
  changed(rest: number): void {
    const custom = this.#range.value === "custom";
    if (custom && this.#dates.hidden && !this.#from.value) {
      this.#to.value = dateText(civilOf(Date.now(), this.#settings.zone));
      this.#from.value = addDays(this.#to.value, -29);
    }
    this.#dates.hidden = !custom;
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.#check(), rest);
  }

  // What the settings came to, and the intervals that there are to choose from.
  plan(interval: Interval, some: Interval[]): void {
    const chosen = this.#settings.interval;
    this.#interval.replaceChildren(
      option(String(Interval.TOTAL), `Auto (${INTERVALS[interval].toLowerCase()})`),
      ...some.map((one) => option(String(one), INTERVALS[one])),
    );
    this.#interval.value = String(some.includes(chosen) ? chosen : Interval.TOTAL);
  }

  // Says what is wrong; `calm` when it will pass by itself.
  say(message: string, calm = false): void {
    setText(this.#notice, message);
    this.#notice.classList.toggle("calm", calm);
  }

  focus(): void {
    this.#range.focus();
  }

  #read(zone: string): SpanSettings {
    const preset = PRESETS.find((one) => one === this.#range.value) ?? ("week" satisfies Preset);
    return {
      range: { preset, from: this.#from.value, to: this.#to.value },
      interval: Number(this.#interval.value),
      zone,
    };
  }

  #check(): void {
    const zone = zoneNamed(this.#zone.value || "UTC");
    const settings = this.#read(zone ?? this.#settings.zone);
    const problem = rangeProblem(settings.range);
    invalid(this.#zone, zone === undefined);
    invalid(this.#from, problem !== undefined);
    if (zone === undefined) return this.say("There is no such time zone: write a name such as Europe/Berlin.");
    if (problem) return this.say(problem);
    this.#zone.value = zone;
    this.say("");
    this.#settings = settings;
    this.#settle(settings);
  }
}

// Calls when something was entered. Chosen from the list, or cleared by its button: no need to leave the field
// first.
export function whenTyped(field: HTMLInputElement, changed: () => void): void {
  field.addEventListener("change", changed);
  field.addEventListener("input", (event) => {
    const typing = event instanceof InputEvent && event.inputType !== "insertReplacementText";
    if (!typing) changed();
  });
}

export function option(value: string, label?: string): HTMLOptionElement {
  const element = make("option", label === undefined ? {} : { text: label });
  element.value = value;
  return element;
}

function invalid(input: HTMLInputElement, wrong: boolean): void {
  if (wrong) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
