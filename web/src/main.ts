// The page: a key opens a session, what the session brings is shown, and the controls steer it.
import "./style.css";
import { Api } from "./api";
import { Chart } from "./chart";
import { civilOf } from "./civil";
import { Controls } from "./controls";
import { beforeFrame, byId, setText } from "./dom";
import type { Failure } from "./failure";
import type { Condition } from "./follow";
import { GroupBy_Value as GroupBy } from "./gen/tap/v1/tap_analytics_pb";
import { Groups } from "./groups";
import { Headline } from "./headline";
import { Heatmap } from "./heatmap";
import { number, time } from "./names";
import type { Plan } from "./plan";
import { Session } from "./session";
import { TickerView } from "./ticker-view";
import type { Answer } from "./watch";
import { keyProblem, keyTypo, state, trouble } from "./words";

// A page that nobody looks at keeps its connections for a while only.
const LET_GO_AFTER_MS = 60_000;

const signIn = byId("sign-in", HTMLElement);
const keyForm = byId("key-form", HTMLFormElement);
const keyField = byId("key", HTMLInputElement);
const keyMessage = byId("key-message", HTMLParagraphElement);
const start = byId("start", HTMLButtonElement);
const dashboard = byId("dashboard", HTMLDivElement);
const sessionBar = byId("session-bar", HTMLDivElement);
const status = byId("status", HTMLParagraphElement);
const quota = byId("quota", HTMLParagraphElement);
const countsCard = byId("counts", HTMLElement);

const headline = new Headline();
const chart = new Chart();
const heatmap = new Heatmap();
const ticker = new TickerView();
const controls = new Controls((settings) => session?.change(settings));
const groups = new Groups((uid) => controls.chooseTag(uid));

let session: Session | undefined;
let opened = false;

// --- the key ---------------------------------------------------------------------------------------

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = keyField.value.trim();
  const typo = keyTypo(key);
  if (typo) return sayKey(typo);
  session?.stop();
  opened = false;
  sayKey("");
  start.textContent = "Connecting…";
  quota.textContent = "";
  ticker.clear();
  controls.forget();
  controls.say("");
  const api = new Api(key, ({ left, of }) => setText(quota, `${number(left)} of ${number(of)} queries left`));
  session = new Session(api, controls.settings, { plan, counts, hours, tap, missed, condition, refused, ended });
});

byId("leave", HTMLButtonElement).addEventListener("click", () => leave(""));

function open(): void {
  if (opened) return;
  opened = true;
  keyField.value = "";
  sayKey("");
  start.textContent = "Show taps";
  signIn.hidden = true;
  dashboard.hidden = sessionBar.hidden = false;
  controls.focus();
}

function leave(message: string): void {
  session?.stop();
  session = undefined;
  opened = false;
  start.textContent = "Show taps";
  signIn.hidden = false;
  dashboard.hidden = sessionBar.hidden = true;
  sayKey(message);
  keyField.focus();
}

function sayKey(message: string, calm = false): void {
  setText(keyMessage, message);
  keyMessage.classList.toggle("calm", calm);
  if (message && !calm) keyField.setAttribute("aria-invalid", "true");
  else keyField.removeAttribute("aria-invalid");
}

// --- what a session brings -------------------------------------------------------------------------

let ahead = false;
let latest: { counts?: Answer | undefined; hours?: Answer | undefined } = {};

// Changes come faster than they need to be drawn.
const draw = beforeFrame(() => {
  const { counts, hours } = latest;
  latest = {};
  if (counts) {
    headline.show(counts, ahead, controls.tagName);
    chart.show(counts, ahead);
    groups.show(counts);
  }
  if (hours) heatmap.show(hours);
});

function plan(next: Plan): void {
  ahead = next.span.ahead;
  controls.plan(next);
  ticker.set(controls.settings.zone, controls.settings.tag);
}

function counts(answer: Answer | undefined): void {
  busy(countsCard, !answer);
  busy(byId("groups", HTMLOListElement).parentElement, !answer);
  latest.counts = answer;
  if (!answer) return headline.ask();
  draw();
  open();
  if (answer.query?.groupBy !== GroupBy.TAG) return;
  for (const { key, label, other } of answer.groups) if (!other) controls.sawTag(key, label);
}

function hours(answer: Answer | undefined): void {
  busy(byId("heat", HTMLDivElement).parentElement, !answer);
  latest.hours = answer;
  if (!answer) return;
  draw();
}

function tap(tap: Parameters<TickerView["add"]>[0]): void {
  ticker.add(tap);
  controls.sawTag(tap.tagUid, tap.tagLabel);
}

function missed(): void {
  ticker.missed();
}

function condition(now: Condition): void {
  status.dataset["is"] = now.is;
  setText(status, state(now));
  const zone = controls.settings.zone;
  const message = trouble(now, (moment) => time(civilOf(moment, zone)), Date.now());
  if (!opened) {
    sayKey(message, true);
    start.textContent = now.is === "waiting" ? "Show taps" : "Connecting…";
  }
  if (opened && now.is !== "over") controls.say(message, true);
}

function refused(what: "counts" | "hours", { message }: Failure): void {
  const sentence = message ? `${message[0]?.toUpperCase() ?? ""}${message.slice(1)}.` : "The service refused this question.";
  if (what === "hours") return heatmap.fail(sentence);
  open();
  controls.say(sentence);
}

function ended(failure: Failure): void {
  leave(keyProblem(failure, opened));
}

function busy(element: HTMLElement | null, is: boolean): void {
  element?.toggleAttribute("data-busy", is);
}

// --- time, and being looked at ---------------------------------------------------------------------

setInterval(() => {
  session?.passTime();
  if (!opened) return;
  headline.passTime();
  chart.passTime();
}, 1000);

let lettingGo = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(lettingGo);
  if (document.hidden) {
    lettingGo = window.setTimeout(() => session?.pause(), LET_GO_AFTER_MS);
  } else {
    session?.resume();
    session?.hurry();
  }
});
addEventListener("online", () => session?.hurry());

keyField.focus();
