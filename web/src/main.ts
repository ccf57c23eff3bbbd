// The page: a key lets somebody in, a session brings what is shown, and the controls steer it. One tab is of the
// taps, and opens the page; the others are of the events and of the coupons.
import "./style.css";
import { remember, remembered } from "./access";
import { Api } from "./api";
import { Bar, timeOfDay } from "./bar";
import { Chart } from "./chart";
import { civilOf } from "./civil";
import { Controls } from "./controls";
import { CouponsTab } from "./coupons/tab";
import { beforeFrame, byId } from "./dom";
import { EventsTab } from "./events/tab";
import type { Failure } from "./failure";
import type { Condition } from "./follow";
import { GroupBy_Value as GroupBy } from "./gen/tap/v1/tap_analytics_pb";
import { Groups } from "./groups";
import { Headline } from "./headline";
import { Heatmap } from "./heatmap";
import { sentence, time } from "./names";
import type { Plan } from "./plan";
import { Session } from "./session";
import { type Access, SignIn } from "./sign-in";
import { Tabs } from "./tabs";
import { TickerView } from "./ticker-view";
import type { Answer } from "./watch";
import { keyProblem, lapsed, trouble } from "./words";

// A page that nobody looks at keeps its connections for a while only.
const LET_GO_AFTER_MS = 60_000;

type TabName = "taps" | "events" | "coupons";

const dashboard = byId("dashboard", HTMLDivElement);
const countsCard = byId("counts", HTMLElement);

const bar = new Bar(() => leave(""));
const headline = new Headline();
const chart = new Chart();
const heatmap = new Heatmap();
const ticker = new TickerView();
const controls = new Controls((settings) => session?.change(settings));
const groups = new Groups((uid) => controls.chooseTag(uid));
const others = {
  events: new EventsTab({ condition: (now) => stands("events", now), lapsed: lapse, ended }),
  coupons: new CouponsTab({
    condition: (now) => stands("coupons", now), lapsed: lapse, ended, nameOf: (uid) => controls.nameOf(uid),
  }),
};
const tabs = new Tabs<TabName>(["taps", "events", "coupons"], look);
const signIn = new SignIn({ connect, entered, admitted, refused: forget });

let session: Session | undefined;
// Who is signed in, or was until now.
let who: Access["who"] | undefined;
// Whether there is something to see.
let opened = false;
// Whether it stands still, as the token has ended.
let stopped = false;
// Whether nobody has looked at the page for a while.
let away = false;
// How each tab stands.
let standing: Record<TabName, Condition> = opening();

// --- who is let in ---------------------------------------------------------------------------------

function connect(token: string): Api {
  return new Api(token, (quota) => bar.quota(quota));
}

function entered(): void {
  if (!stopped) forget();
}

function admitted(access: Access): void {
  const { token, api, again } = access;
  const goesOn = stopped && session !== undefined && who?.team?.number === access.who.team?.number;
  if (!goesOn) forget();
  stopped = false;
  who = access.who;
  remember(token);
  bar.who(who);
  if (goesOn) {
    signIn.close();
    focus();
    session?.goOn(api);
    for (const tab of Object.values(others)) tab.goOn(api, who);
    return look();
  }
  for (const tab of Object.values(others)) tab.begin(api, who);
  session = new Session(api, controls.settings, {
    plan, counts, hours, tap, missed, condition, refused, lapsed: lapse, ended,
  });
  // As it was, before the page was loaded again.
  if (again) open();
}

function open(): void {
  if (opened) return;
  opened = true;
  signIn.close();
  show(true);
  focus();
}

function focus(): void {
  if (tabs.chosen === "taps") controls.focus();
  else others[tabs.chosen].focus();
}

// Only what is looked at is open, and costs.
function look(): void {
  const open = (tab: TabName) => !away && !stopped && tabs.chosen === tab;
  if (open("taps")) session?.resume();
  else session?.pause();
  others.events.look(open("events"));
  others.coupons.look(open("coupons"));
  if (stopped) return;
  const now = standing[tabs.chosen];
  bar.condition(now.is === "paused" && !away ? { is: "opening" } : now);
}

// The token has ended.
function lapse(failure: Failure): void {
  if (stopped) return;
  remember(undefined);
  if (!opened) return leave(keyProblem(failure, "earlier"), true);
  stopped = true;
  look();
  controls.say("");
  bar.condition({ is: "lapsed", failure });
  signIn.ask(lapsed(who?.expiresAt ? timeOfDay(who.expiresAt) : ""), { toGoOn: true, calm: true });
}

function leave(message: string, calm = false): void {
  forget();
  signIn.ask(message, { calm });
}

// Token, streams, and what was shown.
function forget(): void {
  session?.stop();
  session = who = undefined;
  opened = stopped = false;
  remember(undefined);
  show(false);
  standing = opening();
  for (const tab of Object.values(others)) tab.forget();
  tabs.choose("taps");
  ticker.clear();
  controls.forget();
  controls.say("");
}

function opening(): typeof standing {
  return { taps: { is: "opening" }, events: { is: "opening" }, coupons: { is: "opening" } };
}

function show(is: boolean): void {
  dashboard.hidden = byId("tabs", HTMLDivElement).hidden = !is;
  bar.show(is);
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
  stands("taps", now);
  if (!opened) return signIn.condition(now);
  const zone = controls.settings.zone;
  if (now.is !== "over") controls.say(trouble(now, (moment) => time(civilOf(moment, zone)), Date.now()), true);
}

function stands(tab: TabName, now: Condition): void {
  standing[tab] = now;
  if (tab === tabs.chosen && !stopped) bar.condition(now);
}

function refused(what: "counts" | "hours", { message }: Failure): void {
  if (what === "hours") return heatmap.fail(sentence(message));
  open();
  controls.say(sentence(message));
}

function ended(failure: Failure): void {
  leave(keyProblem(failure, "earlier"));
}

function busy(element: HTMLElement | null, is: boolean): void {
  element?.toggleAttribute("data-busy", is);
}

// --- time, and being looked at ---------------------------------------------------------------------

setInterval(() => {
  session?.passTime();
  if (!opened || stopped) return;
  headline.passTime();
  chart.passTime();
  for (const tab of Object.values(others)) tab.passTime();
}, 1000);

let lettingGo = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(lettingGo);
  if (document.hidden) {
    lettingGo = window.setTimeout(() => {
      away = true;
      look();
    }, LET_GO_AFTER_MS);
  } else {
    away = false;
    look();
    hurry();
  }
});
addEventListener("online", hurry);

function hurry(): void {
  session?.hurry();
  others.events.hurry();
}

const token = remembered();
if (token === undefined) signIn.ask("");
else signIn.resume(token);
