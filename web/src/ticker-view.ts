// Shows the list of live taps.
import type { Tap } from "./gen/tap/v1/tap_analytics_pb";
import { civilOf, dateText, dayMonth } from "./civil";
import { beforeFrame, byId, make } from "./dom";
import { KINDS, number, time } from "./names";
import { MOST_ROWS, type Row, type Ticker, addNote, addTaps, emptyTicker, narrow } from "./ticker";

export class TickerView {
  readonly #list = byId("ticker", HTMLOListElement);
  readonly #empty = byId("ticker-empty", HTMLParagraphElement);
  readonly #draw = beforeFrame(() => this.#drawNow());
  #ticker: Ticker = emptyTicker;
  #waiting: Tap[] = [];
  // The newest row that is in the document.
  #drawn = 0;
  #zone = "UTC";
  #tag = "";

  add(tap: Tap): void {
    // Another tag was chosen, and the stream of the one before goes on until that is answered.
    if (this.#tag && tap.tagUid !== this.#tag) return;
    this.#waiting.push(tap);
    // Nothing is drawn while nobody looks.
    if (this.#waiting.length >= MOST_ROWS) this.#settled();
    this.#draw();
  }

  missed(): void {
    this.#change(addNote(this.#settled(), "Some taps were missed here"));
  }

  clear(): void {
    this.#waiting = [];
    this.#tag = "";
    this.#redraw(emptyTicker);
  }

  // Another zone, or other taps from now on.
  set(zone: string, tag: string): void {
    if (zone === this.#zone && tag === this.#tag) return;
    const ticker = tag === this.#tag ? this.#settled() : narrow(this.#settled(), this.#tag, tag);
    this.#zone = zone;
    this.#tag = tag;
    this.#redraw(ticker);
  }

  // The list with all taps that have come.
  #settled(): Ticker {
    this.#change(addTaps(this.#ticker, this.#waiting));
    this.#waiting = [];
    return this.#ticker;
  }

  #change(ticker: Ticker): void {
    this.#ticker = ticker;
    this.#draw();
  }

  #redraw(ticker: Ticker): void {
    this.#ticker = ticker;
    this.#drawn = 0;
    this.#list.replaceChildren();
    this.#drawNow();
  }

  #drawNow(): void {
    const { rows } = (this.#ticker = addTaps(this.#ticker, this.#waiting));
    this.#waiting = [];
    const many = this.#drawn === 0;
    const fresh = rows.filter(({ id }) => id > this.#drawn);
    this.#list.prepend(...fresh.map((row) => this.#item(row, many)));
    while (this.#list.children.length > rows.length) this.#list.lastElementChild?.remove();
    this.#drawn = rows[0]?.id ?? this.#drawn;
    this.#empty.hidden = rows.length > 0;
  }

  #item(row: Row, calm: boolean): HTMLLIElement {
    if ("note" in row) return make("li", { class: "note", text: row.note });
    const { tagUid, tagLabel, tapId, tappedAt, count, kind, country, device } = row.tap;
    const instant = Date.parse(tappedAt);
    const civil = civilOf(instant, this.#zone);
    const today = dateText(civilOf(Date.now(), this.#zone)) === dateText(civil);
    const when = make("time", { text: today ? time(civil) : `${dayMonth(civil)}, ${time(civil)}` });
    when.dateTime = tappedAt;
    const label = make("span", { class: "label", text: tagLabel || tagUid });
    const more = [KINDS[kind], tagLabel ? tagUid : "", country, device].filter((text) => text);
    if (count !== 1) more.unshift(`×${number(count)}`);
    const item = make(
      "li",
      { class: calm ? "tap" : "tap fresh" },
      label,
      when,
      make("span", { class: "more", text: more.join(" · ") }),
    );
    item.dataset["tapId"] = tapId;
    label.title = label.textContent ?? "";
    return item;
  }
}
