// The tabs: one panel is shown at a time. Arrow keys go from tab to tab.
import { byId } from "./dom";

export class Tabs<Name extends string> {
  readonly #names: readonly Name[];
  readonly #onChange: (chosen: Name) => void;
  #chosen: Name;

  // The first one is chosen. Each name has a tab and a panel, with the ids `tab-<name>` and `panel-<name>`.
  constructor(names: readonly [Name, ...Name[]], onChange: (chosen: Name) => void) {
    this.#names = names;
    this.#chosen = names[0];
    this.#onChange = onChange;
    for (const name of names) {
      tab(name).addEventListener("click", () => this.choose(name));
      tab(name).addEventListener("keydown", (event) => this.#key(event));
    }
    this.#show();
  }

  get chosen(): Name {
    return this.#chosen;
  }

  choose(name: Name): void {
    if (name === this.#chosen) return;
    this.#chosen = name;
    this.#show();
    this.#onChange(name);
  }

  #show(): void {
    for (const name of this.#names) {
      const is = name === this.#chosen;
      tab(name).setAttribute("aria-selected", String(is));
      // Only the chosen one is in the order of the tab key.
      tab(name).tabIndex = is ? 0 : -1;
      byId(`panel-${name}`, HTMLDivElement).hidden = !is;
    }
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const at = this.#names.indexOf(this.#chosen);
    const last = this.#names.length - 1;
    const to: Record<string, number> = {
      ArrowLeft: at === 0 ? last : at - 1,
      ArrowRight: at === last ? 0 : at + 1,
      Home: 0,
      End: last,
    };
    const name = this.#names[to[event.key] ?? -1];
    if (name === undefined) return;
    event.preventDefault();
    this.choose(name);
    tab(name).focus();
  }
}

function tab(name: string): HTMLButtonElement {
  return byId(`tab-${name}`, HTMLButtonElement);
}
