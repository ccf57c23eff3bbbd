// A refused event as the page shows it: what is wrong, and what was sent. All of it is text of others.
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { EventError } from "../gen/tap/v1/events_pb";
import type { Violation } from "../gen/tap/v1/tap_analytics_pb";
import { make } from "../dom";

export function errorItem({ id, payload, violations }: EventError, received: string): HTMLElement {
  const code = make("code", { text: payload ? JSON.stringify(toJson(ValueSchema, payload), undefined, 2) : "" });
  const sent = make("pre", { class: "payload" }, code);
  // It may be wider than its place, and scrolls then: also by keys.
  sent.tabIndex = 0;
  sent.setAttribute("role", "region");
  sent.setAttribute("aria-label", `What was sent at ${received}`);
  const item = make(
    "article",
    { class: "error" },
    make("p", { class: "meta", text: `${received} · ${id}` }),
    make("ul", { class: "violations" }, ...violations.map(violationItem)),
    sent,
  );
  item.dataset["errorId"] = id;
  return item;
}

export function violationItem({ field, reason, description }: Violation): HTMLLIElement {
  const item = make("li", {}, make("code", { text: field || "event" }), make("span", { text: ` ${description}` }));
  item.title = reason;
  return item;
}
