// SPDX-License-Identifier: Apache-2.0

// What pages can do beyond what HTML does: live plots, buttons that copy, the focus on
// a result, and a word when the gateway does not answer. Without any of it every page
// still says what it has to say.
"use strict";

(() => {
  const silent = document.getElementById("silent");

  // What is old must not look new.
  function answered(yes) {
    if (yes) {
      silent.hidden = true;
    } else if (silent.hidden) {
      document.getElementById("silent-since").textContent = new Date().toLocaleString();
      silent.hidden = false;
    }
  }

  function offerCopies(within) {
    if (!navigator.clipboard) return;
    for (const button of within.querySelectorAll("button.copy[hidden]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const label = button.firstChild;
        try {
          await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
          label.textContent = "Copied";
        } catch {
          label.textContent = "Not allowed: select and copy";
        }
        setTimeout(() => { label.textContent = "Copy"; }, 2500);
      });
    }
  }

  // A part that is asked for again would take away what the reader has selected in it,
  // and nobody reads a page in the background.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (!/^every/.test(part.getAttribute("hx-trigger") || "")) return;
    const chosen = window.getSelection();
    if (document.hidden || (!chosen.isCollapsed && chosen.containsNode(part, true))) event.preventDefault();
  });
  document.addEventListener("htmx:sendError", () => answered(false));
  document.addEventListener("htmx:timeout", () => answered(false));
  document.addEventListener("htmx:afterOnLoad", () => answered(true));

  // What was asked for by hand gets the focus, so that those who do not see it hear it.
  document.addEventListener("htmx:afterSettle", (event) => {
    offerCopies(event.detail.target);
    const by = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (!by || !by.hasAttribute("data-result")) return;
    const result = event.detail.target.querySelector(".focus");
    if (result) result.focus();
  });

  offerCopies(document);

  // The plots.

  const plots = document.getElementById("plots");
  if (!plots) return;

  const palette = () => {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue("--" + name).trim();
  };
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const shown = (digits) => (_, value) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits }));
  const scale = (_, low, high) => [0, Math.max(1, high * 1.1)];
  // The whole quarter of an hour, also while there are only a few points.
  const quarter = (_, first, last) => [(last ?? Date.now() / 1000) - 900, last ?? Date.now() / 1000];

  function make(id, lines) {
    const color = palette();
    const into = document.getElementById(id);
    const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 }, font: "12px system-ui, sans-serif" };
    return new uPlot({
      width: into.clientWidth, height: 210, tzDate: (t) => new Date(t * 1000),
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true, range: quarter }, y: { range: scale } },
      axes: [
        { ...axis, space: 70, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 52, values: (_, ticks) => ticks.map((n) => n.toLocaleString("en")) },
      ],
      series: [
        { label: "at", value: (_, t) => (t == null ? "–" : new Date(t * 1000).toLocaleTimeString([], { hourCycle: "h23" })) },
        ...lines.map((line) => ({
          label: line.label, stroke: color(line.color), width: 2, points: { show: false },
          dash: line.dash, value: shown(line.digits),
        })),
      ],
    }, [[], ...lines.map(() => [])], into);
  }

  const draw = () => [
    make("plot-throughput", [
      { label: "outbound", color: "outbound", digits: 1 },
      { label: "inbound", color: "inbound", digits: 1, dash: [6, 3] },
    ]),
    make("plot-attempts", [
      { label: "attempts", color: "attempts", digits: 1, dash: [6, 3] },
      { label: "refused", color: "refused", digits: 1 },
    ]),
  ];

  const known = { time: [], outbound: [], inbound: [], refused: [], attempts: [] };
  plots.hidden = false;
  let drawn = draw();

  function show() {
    drawn[0].setData([known.time, known.outbound, known.inbound]);
    drawn[1].setData([known.time, known.attempts, known.refused]);
    const last = known.time.length - 1;
    if (last < 0) return;
    // Where nobody points at a moment, the numbers below are the latest.
    for (const one of drawn) {
      if (!(one.cursor.left >= 0)) one.setLegend({ idx: last });
    }
    const now = (column) => known[column][last].toFixed(1);
    tell("plot-throughput", `Throughput in the last 15 minutes; now ${now("outbound")} Mbit/s outbound, ${now("inbound")} inbound`);
    tell("plot-attempts", `Attempts in the last 15 minutes; now ${now("attempts")} per second, ${now("refused")} of them refused`);
  }

  function tell(id, text) {
    document.getElementById(id).setAttribute("aria-label", text);
  }

  function again() {
    for (const one of drawn) one.destroy();
    drawn = draw();
    show();
  }

  function take(more) {
    known.time.push(...more.time.map((ms) => ms / 1000));
    known.outbound.push(...more.outbound_bits_per_second.map((n) => n / 1e6));
    known.inbound.push(...more.inbound_bits_per_second.map((n) => n / 1e6));
    known.refused.push(...more.refused_per_second);
    known.attempts.push(...more.attempts_per_second);
    const old = known.time.length - more.room;
    if (old > 0) for (const column of Object.values(known)) column.splice(0, old);
  }

  async function ask() {
    let every = 2000;
    try {
      if (!document.hidden) {
        const last = known.time.length ? Math.round(known.time[known.time.length - 1] * 1000) : 0;
        const answer = await fetch("/samples?after=" + last, { credentials: "same-origin" });
        if (answer.status === 401) return; // the rest of the page goes to the login
        if (!answer.ok) throw new Error(answer.statusText);
        const more = await answer.json();
        every = more.interval_seconds * 1000;
        if (more.time.length) {
          take(more);
          show();
        }
        answered(true);
      }
    } catch {
      answered(false);
    }
    setTimeout(ask, every);
  }

  let resizing;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const one of drawn) one.setSize({ width: one.root.parentElement.clientWidth, height: 210 });
    }, 100);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  ask();
})();
