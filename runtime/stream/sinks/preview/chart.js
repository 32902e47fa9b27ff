// The chart of the last minute's latency.
"use strict";

const SPAN_MS = 60000;
const GAP_MS = 1500; // the line breaks where nothing came for so long

const chart = document.getElementById("chart");

let points = []; // [ms on the page's clock, latency in ms], oldest first
let now = 0; // the right end; stands still once the stream has ended

function note(latency) {
  points.push([performance.now(), latency]);
}

// Draws the chart, with a line at `limit` ms unless that is null; it moves while time `goesOn`.
function drawChart(limit, goesOn) {
  if (goesOn) now = performance.now();
  points = points.filter(([at]) => now - at < SPAN_MS);
  const density = window.devicePixelRatio || 1;
  const [width, height] = [chart.clientWidth, chart.clientHeight];
  chart.width = width * density;
  chart.height = height * density;
  const context = chart.getContext("2d");
  context.scale(density, density);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  const top = ceiling(Math.max(1, limit || 0, ...points.map(([, value]) => value)));
  const box = { left: 38, right: width - 2, top: 8, bottom: height - 20 };
  const x = (at) => box.right - ((now - at) / SPAN_MS) * (box.right - box.left);
  const y = (value) => box.bottom - (value / top) * (box.bottom - box.top);
  drawGrid(context, box, top, y, colour);
  if (limit) drawBudget(context, box, y(limit), colour("--warn"));
  drawLine(context, x, y, colour("--accent"));
  const last = points.length ? points[points.length - 1][1].toFixed(1) : "0";
  chart.setAttribute("aria-label", `Latency of the last minute: now ${last} ms, scale to ${top} ms`);
}

// The least round number that leaves some room above the value.
function ceiling(value) {
  const size = 10 ** Math.floor(Math.log10(value * 1.05));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((step) => step * size).find((step) => step >= value * 1.05);
}

function drawGrid(context, box, top, y, colour) {
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colour("--soft");
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of [0, top / 2, top]) {
    const at = Math.round(y(value)) + 0.5;
    context.fillText(String(value), box.left - 8, at);
    context.beginPath();
    context.moveTo(box.left, at);
    context.lineTo(box.right, at);
    context.stroke();
  }
  context.textBaseline = "bottom";
  context.fillText("now", box.right, box.bottom + 20);
  context.textAlign = "left";
  context.fillText("60 s ago", box.left, box.bottom + 20);
}

function drawBudget(context, box, at, colour) {
  context.strokeStyle = context.fillStyle = colour;
  context.setLineDash([5, 4]);
  context.beginPath();
  context.moveTo(box.left, at);
  context.lineTo(box.right, at);
  context.stroke();
  context.setLineDash([]);
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillText("budget", box.left + 4, at - 2);
}

function drawLine(context, x, y, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach(([at, value], index) => {
    const joins = index && at - points[index - 1][0] < GAP_MS;
    context[joins ? "lineTo" : "moveTo"](x(at), y(value));
  });
  context.stroke();
}
