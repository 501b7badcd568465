"use strict";
/* What the pages need beside htmx: to hear of changes, to keep still when nothing changed, to keep
   the reader's place, and to draw the charts. No state of its own: a page without it still reads. */

/* Changes: one stream of a page; the server says "projected" when rows of the tenant changed. */
const HEARD_PAUSE_MS = 400; // at most so often is the page read again
const FALLBACK_MS = 15_000; // without the stream it is read again so often

let heardTimer = null;

function readAgain() {
  if (heardTimer !== null || document.hidden) return;
  heardTimer = setTimeout(() => {
    heardTimer = null;
    htmx.trigger(document.body, "projected");
  }, HEARD_PAUSE_MS);
}

function showLink(state) {
  const place = document.getElementById("link-state");
  if (place && place.textContent !== state) {
    place.textContent = state;
    place.dataset.state = state;
  }
}

function listen(address) {
  const stream = new EventSource(address);
  stream.addEventListener("open", () => { showLink("live"); readAgain(); });
  stream.addEventListener("projected", readAgain);
  stream.addEventListener("error", () => {
    showLink("reconnecting");
    // A refusal closes the stream for good; the browser tries again by itself after anything else.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => listen(address), FALLBACK_MS);
  });
  setInterval(() => { if (stream.readyState !== EventSource.OPEN) readAgain(); }, FALLBACK_MS);
  addEventListener("pagehide", () => stream.close(), { once: true });
}

/* Stillness: an answer like the last one is not put into the page; what was opened stays open. */
let shown = null;
let opened = new Set();

document.addEventListener("htmx:beforeSwap", (event) => {
  const text = event.detail.serverResponse;
  const isRead = event.detail.requestConfig.verb === "get";
  if (isRead && text === shown) event.detail.shouldSwap = false;
  shown = isRead ? text : null;
  opened = new Set([...document.querySelectorAll("details[open][id]")].map((item) => item.id));
});

document.addEventListener("htmx:afterSwap", (event) => {
  for (const id of opened) {
    const item = document.getElementById(id);
    if (item) item.open = true;
  }
  drawCharts();
  if (event.detail.requestConfig.verb === "post") document.getElementById("message").focus();
});

// What changed while an act was on its way was not read.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig.verb === "post") readAgain();
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) readAgain(); });

/* Charts: data-chart holds {unit, places, x: [seconds], series: [{label, values}]}, whole numbers. */
const COLOURS = ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6"];

function drawCharts() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  for (const place of document.querySelectorAll("[data-chart]")) {
    if (place.dataset.drawn === place.dataset.chart) continue;
    place.dataset.drawn = place.dataset.chart;
    place.replaceChildren();
    const chart = JSON.parse(place.dataset.chart);
    const format = new Intl.NumberFormat("en", { maximumFractionDigits: chart.places });
    const written = (value) => (value == null ? "–" : format.format(value / 10 ** chart.places));
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line") }, ticks: { stroke: colour("--line") } };
    const plot = new uPlot({
      width: place.clientWidth,
      height: place.clientHeight - 40,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high) * 1.1] } },
      axes: [
        { ...axis, values: [[86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 0], [3600, "{HH}:{mm}", null, null, null, null, null, null, 0]], space: 70 },
        { ...axis, size: 72, values: (_, ticks) => ticks.map(written) },
      ],
      series: [
        { label: "Day", value: (_, seconds) => (seconds == null ? "–" : new Date(seconds * 1000).toISOString().slice(0, 10)) },
        ...chart.series.map((line, index) => ({
          label: line.label,
          stroke: colour(COLOURS[index % COLOURS.length]),
          fill: colour(COLOURS[index % COLOURS.length]) + "22",
          width: 2,
          points: { show: chart.x.length < 40, size: 6 },
          value: (_, value) => (value == null ? "–" : `${chart.unit}${written(value)}`),
        })),
      ],
    }, [chart.x, ...chart.series.map((line) => line.values)], place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight - 40 })).observe(place);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll("[data-chart]")) delete place.dataset.drawn;
  drawCharts();
});

document.addEventListener("DOMContentLoaded", () => {
  drawCharts();
  // On a phone the places scroll; the one that is shown must be in sight.
  const place = document.querySelector("nav [aria-current]");
  if (place) place.closest("ul").scrollLeft = place.offsetLeft - 48;
  const address = document.body.dataset.stream;
  if (address) listen(address);
});
