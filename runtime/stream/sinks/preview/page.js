// The live page: reads messages from /stream and draws the newest of them.
//
// A message is three 32-bit big-endian lengths, then facts (JSON), the frame before and the
// frame after (JPEG). Without new frames the facts still come every second.
"use strict";

const HEAD_BYTES = 12;
const SILENCE_MS = 4000; // no message for so long: nobody is there
const RETRY_MS = 2000;

const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const picture = byId("picture");
const split = byId("split");

let shown = null; // {before, after}: bitmaps of the newest frame
let waiting = null; // the newest message with pictures, not decoded yet
let decoding = false;
let frozen = false;
let facts = null; // the newest
let frames = 0;
let heardMs = 0;
let tookMs = performance.now(); // the newest message
let trouble = ""; // what the server said against this page

// ---- the stream ---------------------------------------------------------------------------

async function follow() {
  for (;;) {
    const why = await readUntilItBreaks();
    if (root.dataset.state !== "ended" && !document.hidden) enter("unreachable", why);
    await pause(document.hidden ? 0 : RETRY_MS);
    while (document.hidden) await pause(200);
  }
}

// Returns what the server said against it, if anything.
async function readUntilItBreaks() {
  const request = new AbortController();
  const onHide = () => document.hidden && request.abort(); // nothing is encoded for nobody
  document.addEventListener("visibilitychange", onHide);
  const guard = setInterval(() => {
    if (performance.now() - heardMs > SILENCE_MS) request.abort();
  }, 500);
  try {
    return await read(request.signal);
  } catch (error) {
    // AbortError: by the lines above. TypeError: how fetch says that the connection broke.
    if (error.name !== "AbortError" && error.name !== "TypeError") console.error(error);
    return "";
  } finally {
    clearInterval(guard);
    document.removeEventListener("visibilitychange", onHide);
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function read(signal) {
  heardMs = performance.now();
  const response = await fetch("stream", { cache: "no-store", signal });
  if (!response.ok) return (await response.text()).trim();
  const reader = response.body.getReader();
  let held = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return "";
    heardMs = performance.now();
    held = joined(held, value);
    for (let length = whole(held); length; length = whole(held)) {
      take(held.subarray(0, length));
      held = held.slice(length);
    }
  }
}

function joined(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function lengths(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
}

function whole(bytes) {
  if (bytes.length < HEAD_BYTES) return 0;
  const length = lengths(bytes).reduce((sum, part) => sum + part, HEAD_BYTES);
  return bytes.length < length ? 0 : length;
}

function take(bytes) {
  tookMs = performance.now();
  const [factsLength, beforeLength, afterLength] = lengths(bytes);
  const begin = HEAD_BYTES + factsLength;
  facts = JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD_BYTES, begin)));
  if (afterLength) {
    const middle = begin + beforeLength;
    waiting = { facts, before: bytes.slice(begin, middle), after: bytes.slice(middle) };
    if (facts.latency_ms !== undefined) note(facts.latency_ms);
    if (!frozen) decode();
  }
  enter(facts.ended ? "ended" : facts.state || "live");
  writeFigures();
}

// ---- the picture --------------------------------------------------------------------------

async function decode() {
  if (decoding) return;
  decoding = true;
  try {
    while (waiting && !frozen) await show();
  } finally {
    decoding = false;
  }
}

async function show() {
  const newest = waiting;
  waiting = null;
  const [before, after] = await Promise.all([newest.before, newest.after].map(bitmap));
  if (shown) [shown.before, shown.after].forEach((old) => old.close());
  shown = { before, after };
  root.dataset.frames = ++frames;
  root.dataset.serial = newest.facts.serial;
  fit(newest.facts);
  draw();
}

const bitmap = (bytes) => createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));

function fit(about) {
  const { width, height } = shown.after;
  if (picture.width !== width || picture.height !== height) {
    picture.width = width;
    picture.height = height;
  }
  // As wide as there is room, but never higher than most of the window.
  byId("stage").style.maxWidth = `min(100%, ${Math.round((78 * width) / height)}vh)`;
  byId("before-size").textContent = about.input.join("×");
  byId("after-size").textContent = about.output.join("×");
  for (const id of ["before-tag", "after-tag", "handle"]) byId(id).hidden = false;
}

function draw() {
  if (!shown) return;
  const { width, height } = picture;
  const context = picture.getContext("2d");
  const edge = (split.value / 100) * width;
  context.drawImage(shown.after, 0, 0, width, height);
  context.save();
  context.beginPath();
  context.rect(0, 0, edge, height);
  context.clip();
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  // Where the output was fitted into another shape, the input is fitted in alike.
  const scale = Math.min(width / shown.before.width, height / shown.before.height);
  const [w, h] = [shown.before.width * scale, shown.before.height * scale];
  context.drawImage(shown.before, (width - w) / 2, (height - h) / 2, w, h);
  context.restore();
  byId("handle").style.left = `${split.value}%`;
  split.setAttribute("aria-valuetext", `${Math.round(split.value)} % input`);
}

// Left and right move the line wherever the focus is, unless another control has it.
function moveByKey(event) {
  const focus = document.activeElement;
  const elsewhere = focus !== split;
  if (event.ctrlKey || event.metaKey || event.altKey) return; // Alt and left: back
  if (elsewhere && focus && focus.matches("a, button, input, select, textarea")) return;
  const steps = { ArrowLeft: -2, ArrowRight: 2 };
  const step = (elsewhere ? steps : { ...steps, ArrowDown: -2, ArrowUp: 2 })[event.key];
  if (!step) return;
  split.value = Number(split.value) + step * (event.shiftKey ? 5 : 1);
  event.preventDefault(); // the browser's own step is a tenth of a per cent
  draw();
}

function freeze() {
  frozen = !frozen;
  byId("freeze").setAttribute("aria-pressed", frozen);
  root.dataset.frozen = frozen;
  if (!frozen) decode();
  enter(root.dataset.state);
}

// ---- figures and state --------------------------------------------------------------------

const WORDS = {
  connecting: "connecting to the source",
  live: "live",
  stalled: "stalled: no new picture",
  lost: "source lost: trying again",
  ended: "stream ended",
  unreachable: "no contact: trying again",
};

function enter(state, why = "") {
  trouble = why;
  root.dataset.state = state;
  root.classList.toggle("still", state !== "live"); // nothing looks current that is not
  const count = (facts && facts.reconnects) || 0;
  const again = count ? ` · ${count} reconnect${count > 1 ? "s" : ""}` : "";
  const words = WORDS[state] || state;
  write("state-words", why || words + (state === "live" ? again : ""));
  const name = facts && facts.source ? ` ${facts.source}` : "";
  const title = `${state === "live" ? "" : `${words} - `}crispstream${name}`;
  if (document.title !== title) document.title = title;
  tell();
}

// Over the picture: what it is if it is not the present, and since when.
function tell() {
  const state = root.dataset.state;
  const about = state === "live" ? whileLive() : whileNot(state);
  byId("notice").hidden = !about;
  write("notice", about.charAt(0).toUpperCase() + about.slice(1));
}

function whileLive() {
  if (frozen) return "Frozen. The stream goes on.";
  return shown ? "" : "Waiting for the first frame";
}

function whileNot(state) {
  if (trouble) return trouble;
  const before = state === "unreachable" || !facts ? 0 : facts.state_seconds || 0;
  const seconds = before + (performance.now() - tookMs) / 1000;
  return {
    connecting: `connecting to the source for ${lasting(seconds)}`,
    stalled: `stalled for ${lasting(seconds)}: no new picture`,
    lost: `source lost ${lasting(seconds)} ago: trying again`,
    unreachable: `no contact for ${lasting(seconds)}: trying again`,
  }[state] || WORDS[state] || state;
}

function lasting(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const [minutes, hours] = [Math.floor(whole / 60), Math.floor(whole / 3600)];
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min ${whole % 60} s`;
}

// Screen readers speak of a change, so what stays the same is left alone.
function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

const CAUSES = { sink: "left out by outputs" };
const grouped = new Intl.NumberFormat("en-GB");
const ms = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

function writeFigures() {
  if (facts.restored === undefined) return; // a preview without books
  write("source", facts.source);
  write("latency", ms(facts.latency_ms));
  write("latency-more", listed([`p50 ${ms(facts.p50_ms)}`, `p95 ${ms(facts.p95_ms)}`]));
  write("rate", facts.frames_per_second.toFixed(1));
  write("rate-more", `${grouped.format(facts.restored)} of ${grouped.format(facts.captured)} restored`);
  const causes = Object.entries(facts.dropped).filter(([, n]) => n);
  write("dropped", grouped.format(causes.reduce((sum, [, n]) => sum + n, 0)));
  write("dropped-more", listed(causes.map(([cause, n]) => `${CAUSES[cause] || cause} ${grouped.format(n)}`)));
  write("rung", facts.rung || "–");
  write("rung-more", budget());
}

function budget() {
  if (facts.budget_ms === null) return "no deadline";
  const late = grouped.format(facts.late);
  const run = grouped.format(facts.missed_in_a_row);
  return listed([`budget ${ms(facts.budget_ms)} ms`, `late ${late}`, `worst run ${run}`]);
}

// Lines break between the parts only.
const listed = (parts) => parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");

// ---- begin --------------------------------------------------------------------------------

split.addEventListener("input", draw);
byId("freeze").addEventListener("click", freeze);
document.addEventListener("keydown", moveByKey);
document.addEventListener("keydown", (event) => {
  if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) freeze();
});
const goesOn = () => !["ended", "unreachable"].includes(root.dataset.state);
const redraw = () => drawChart(facts && facts.budget_ms, goesOn());
setInterval(() => {
  if (document.hidden) return;
  redraw();
  tell();
}, 250);
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
follow();
