import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary, fromBinary } from "@bufbuild/protobuf";
import * as taps from "../../src/gen/tap/v1/tap_analytics_pb";
import * as keys from "../../src/gen/tap/v1/api_keys_pb";
import * as ev from "../../src/gen/tap/v1/events_pb";
import * as cp from "../../src/gen/tap/v1/coupons_pb";
import { launch, visit, enter, says, text, assertCalm, close, focused } from "../browser/browser";

const frame = (flag: number, body: Uint8Array) => { const h = Buffer.alloc(5); h[0] = flag; h.writeUInt32BE(body.length, 1); return Buffer.concat([h, body]); };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const log: string[] = [];
const day = 86400000;
const all = Array.from({ length: 60 }, (_, at) => create(cp.CouponSchema, {
  id: `id-${at}`, couponcode: at === 3 ? "W".repeat(64) : `CODE-${at}`, title: at === 3 ? "M".repeat(200) : `Ten percent off something nice, number ${at}`,
  state: at % 5, redeemed: at * 3, ...(at % 2 ? { maxRedemptions: 1000 } : {}), ...(at % 3 ? { expireAt: new Date(Date.now() + (at - 5) * day).toISOString() } : {}),
}));
const server = createServer(async (req, res) => {
  const chunks: Buffer[] = []; for await (const c of req) chunks.push(c as Buffer);
  const path = req.url ?? "/";
  if (path.startsWith("/tap.v1.")) {
    const m = path.split("/")[2]; log.push(m!);
    const body = Buffer.concat(chunks).subarray(5);
    res.writeHead(200, { "content-type": "application/grpc-web+proto", "ratelimit-policy": '"query";q=100', "x-ratelimit-remaining": "97", "x-ratelimit-limit": "100" });
    const one = (schema: any, v: any) => { res.write(frame(0, toBinary(schema, create(schema, v)))); res.end(frame(0x80, Buffer.from("grpc-status: 0\r\n"))); };
    if (m === "IssueToken") return one(keys.IssueTokenResponseSchema, { token: "tap_1_a.b.c" });
    if (m === "WhoAmI") return one(keys.WhoAmIResponseSchema, { scopes: ["taps:read", "events:read", "coupons:read"], team: { number: 1, name: "Acme" }, keyName: "k", token: {} });
    if (m === "WatchTaps") return void res.write(frame(0, toBinary(taps.WatchTapsResponseSchema, create(taps.WatchTapsResponseSchema, { frame: { case: "answer", value: { total: 0, query: { groupBy: 1 }, groups: [{ key: "a", label: "Counter" }], resumeToken: "x" } } }))));
    if (m === "StreamTaps") return void res.write(frame(0, toBinary(taps.StreamTapsResponseSchema, create(taps.StreamTapsResponseSchema, { frame: { case: "hello", value: { resumeToken: "x", heartbeatSeconds: 15 } } }))));
    if (m === "QueryFunnel") {
      const q = fromBinary(cp.QueryFunnelRequestSchema, body);
      log.push(`q ${q.tagUid} ${q.couponId} ${q.interval}`);
      const step = q.interval === 3 ? day : 3600000;
      const end = Math.floor(Date.now() / step) * step + step; const n = q.interval === 3 ? 7 : 168;
      const off = q.tagUid ? 0.5 : 1; const total = { taps: 0, sessions: 0, couponViews: 0, redemptions: 0 };
      const buckets = Array.from({ length: n }, (_, at) => {
        const t = Math.round(off * (20 + 15 * Math.sin(at / 3.8))); const counts = { taps: t, sessions: Math.round(t * .6), couponViews: Math.round(t * .4), redemptions: Math.round(t * .1) };
        for (const k of Object.keys(counts) as (keyof typeof counts)[]) total[k] += counts[k];
        return { start: new Date(end - (n - at) * step).toISOString(), end: new Date(end - (n - at - 1) * step).toISOString(), counts };
      });
      return one(cp.QueryFunnelResponseSchema, { buckets, total });
    }
    if (m === "ListCoupons") {
      const q = fromBinary(cp.ListCouponsRequestSchema, body); log.push(`l ${q.state} ${q.order} ${q.pageSize} ${q.pageToken}`);
      const list = q.state === 2 ? all.slice(0, 3) : all; const from = Number(q.pageToken || 0); const to = Math.min(list.length, from + q.pageSize);
      return one(cp.ListCouponsResponseSchema, { coupons: list.slice(from, to), nextPageToken: to < list.length ? String(to) : "" });
    }
    return void res.end(frame(0x80, Buffer.from("grpc-status: 14\r\n")));
  }
  const file = path === "/" ? "/index.html" : path;
  const types: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  try { const data = await readFile(new URL(`../../dist${file}`, import.meta.url)); res.writeHead(200, { "content-type": types[file.split(".").at(-1)!]!, "content-security-policy": POLICY }); res.end(data); } catch { res.writeHead(404); res.end(); }
});
await new Promise<void>((r) => server.listen(0, "127.0.0.1", r));
const url = `http://127.0.0.1:${(server.address() as any).port}`;
const browser = await launch();
const stages = (page: any) => page.$$eval("#funnel-stages li", (items: any[]) => items.map((i) => [...i.querySelectorAll(".label, .count, .share")].map((e: any) => e.textContent).join(" ").trim()));
try {
  for (const [width, scheme] of [[1280, "light"], [360, "dark"], [800, "light"], [900, "light"]] as const) {
    const page = await visit(browser, url, { width, height: 800, zone: "America/Argentina/ComodRivadavia" });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await enter(page, "tap_1_abcdefghijklmnopqrstuvwxyz");
    await page.click("#tab-coupons");
    await page.waitForSelector('#status[data-is="fresh"]');
    await says(page, "coupons-count", "50 coupons, and more");
    console.log(width, await stages(page), await text(page, "funnel-span"), await page.$eval("#funnel-chart", (c) => c.getAttribute("aria-label")));
    const fits = async () => console.log(await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]));
    await fits();
    await page.click("#coupons > li:nth-child(4) button");
    await says(page, "funnel-title", /W{64}/);
    await fits();
    await page.click("#funnel-all"); console.log(await focused(page));
    await says(page, "funnel-title", /whole team/);
    await page.screenshot({ path: `/tmp/coupons-${width}.png` as `${string}.png`, clip: { x: 0, y: 0, width, height: 1500 }, captureBeyondViewport: true });
    if (width === 1280) {
      await page.focus("#funnel-range"); const order: string[] = [];
      for (let i = 0; i < 12 && order.at(-1) !== "coupon"; i++) { await page.keyboard.press("Tab"); order.push(await focused(page)); const seen = await page.evaluate(() => { const s = getComputedStyle(document.activeElement ?? document.body); return s.outlineStyle !== "none" && Number.parseFloat(s.outlineWidth) >= 1; }); if (!seen) console.log("unseen", order.at(-1)); }
      console.log(order);
      await page.focus("#funnel-chart"); await page.keyboard.press("End"); await says(page, "funnel-chart-read", /so far/); console.log(await text(page, "funnel-chart-read"));
      await page.screenshot({ path: "/tmp/coupons-tip.png" });
      await page.focus("#coupons-more"); await page.keyboard.press("Enter"); await says(page, "coupons-count", "60 coupons"); console.log("after more", await page.evaluate(() => document.activeElement?.textContent));
      await page.select("#coupon-filter", "2"); await says(page, "coupons-count", "3 coupons");
      await page.select("#coupon-filter", "0"); await says(page, "coupons-count", "50 coupons, and more");
      await page.focus("#coupons [data-coupon-id=id-0] button"); await page.keyboard.press("Enter"); await says(page, "funnel-title", /CODE-0/); console.log(await focused(page), await page.$$eval('#coupons [aria-pressed="true"] .code', (s) => s.map((e) => e.textContent)));
      await page.keyboard.press("Space"); await says(page, "funnel-title", /whole team/);
      await page.type("#funnel-tag", "a\n"); await says(page, "funnel-title", /tag Counter$/);
      await page.select("#funnel-interval", "3"); await page.waitForFunction(() => document.getElementById("funnel-chart")?.getAttribute("aria-label")?.endsWith("by day"));
      await page.click("#funnel-table summary"); await sleep(100); console.log(await page.$$eval("#funnel-table-body tr", (r) => r.length));
      const n = log.length; await page.click("#tab-taps"); await sleep(200); await page.click("#tab-coupons"); await sleep(500); console.log("asked for looking back:", log.slice(n), await text(page, "status"));
      await page.click("#funnel-refresh"); await sleep(300); console.log(log.slice(n));
      await page.click("#leave"); console.log((await page.$eval("#panel-coupons", (p) => p.textContent ?? "")).includes("CODE"));
    }
    assertCalm(page); await close(page);
  }
  console.log(log.filter((l) => /^[ql] |Query|Issue/.test(l)).join(" | "));
} finally { await browser.close(); server.closeAllConnections(); server.close(); }
