// SPDX-License-Identifier: GPL-3.0-or-later
// Draws each unit's panels and lanes over one axis of time; zooms with mouse, keys and buttons.
"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 96, RIGHT = 18, PANEL = 132, GAP = 32, LANE = 20, TOP = 30;
  const data = JSON.parse(document.getElementById("plot-data").textContent);
  const root = document.documentElement;
  const prefers = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null; // a theme that the reader picked; else the system's
  const theme = () => { root.dataset.theme = chosen ?? (prefers.matches ? "dark" : "light"); };
  prefers.addEventListener("change", theme);
  theme();

  const add = (parent, name, attributes = {}, text = null) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const two = (value) => String(value).padStart(2, "0");

  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5,
    6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 12096e5, 2592e6];
  const timeStep = (span, count) => STEPS.find((step) => step >= span / count) ?? 31536e6;
  const niceStep = (span, count) => {
    const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999);
  };
  // A dated log is told in the reader's own time zone; another one from its own beginning.
  const clock = (ms, step) => {
    const decimals = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    if (!data.dated) {
      const sign = ms < 0 ? "-" : "", whole = Math.abs(ms), hours = Math.floor(whole / 36e5);
      const seconds = ((whole % 6e4) / 1000).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
      return `${sign}${hours ? `${hours}:` : ""}${two(Math.floor(whole / 6e4) % 60)}:${seconds}`;
    }
    const at = new Date(ms);
    if (step >= 864e5) return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
    if (step >= 6e4) return time;
    const parts = ((at.getSeconds() * 1000 + at.getMilliseconds()) / 1000).toFixed(decimals);
    return `${time}:${parts.padStart(decimals ? decimals + 3 : 2, "0")}`;
  };
  const day = (ms) => (data.dated ? `${new Date(ms).toLocaleDateString("sv")} ` : "");
  const offset = data.dated ? -new Date(data.units[0]?.begin ?? 0).getTimezoneOffset() * 6e4 : 0;

  // The index of the first point that is not before a time.
  const from = (times, time) => {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  };

  const plot = (unit, holder, readout, hint) => {
    const whole = { begin: unit.begin, end: Math.max(unit.end, unit.begin + 1000) };
    const view = { from: whole.begin, to: whole.end };
    for (const panel of unit.panels)
      for (const curve of panel.curves) {
        let time = unit.begin; // stored as steps
        curve.t = curve.t.map((step) => (time += step));
      }
    const lanesTop = TOP + unit.panels.length * (PANEL + GAP) - (unit.panels.length ? GAP - 14 : 0);
    const bottom = lanesTop + unit.lanes.length * (LANE + 5);
    const svg = add(holder, "svg", { tabindex: 0, role: "img", "aria-label": `${unit.title}: values over time` });
    let width = 1000, overlay, axes = [];
    const inner = () => width - LEFT - RIGHT;
    const x = (time) => LEFT + (time - view.from) / (view.to - view.from) * inner();
    const timeAt = (place) => view.from + (place - LEFT) / inner() * (view.to - view.from);

    // At most four points a column of pixels: first, least, greatest, last.
    const path = (curve, y) => {
      const { t, v } = curve;
      let first = Math.max(0, from(t, view.from) - 1), last = Math.min(t.length - 1, from(t, view.to));
      let text = "", pen = false, column = null;
      const put = (time, value) => {
        text += `${pen ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = true;
      };
      const flush = () => {
        if (column === null) return;
        const { points } = column;
        const low = points.reduce((a, b) => (b[1] < a[1] ? b : a));
        const high = points.reduce((a, b) => (b[1] > a[1] ? b : a));
        const kept = points.length <= 4 ? points
          : [...new Set([points[0], low, high, points[points.length - 1]])].sort((a, b) => a[0] - b[0]);
        for (const [time, value] of kept) put(time, value);
        column = null;
      };
      for (let index = first; index <= last; index++) {
        if (v[index] === null) { flush(); pen = false; continue; }
        const place = Math.floor(x(t[index]));
        if (column === null || column.place !== place) { flush(); column = { place, points: [] }; }
        column.points.push([t[index], v[index] / curve.divisor]);
      }
      flush();
      return text;
    };
    const range = (panel) => {
      let low = Infinity, high = -Infinity;
      for (const curve of panel.curves) {
        const last = Math.min(curve.t.length - 1, from(curve.t, view.to));
        for (let index = Math.max(0, from(curve.t, view.from) - 1); index <= last; index++) {
          const value = curve.v[index];
          if (value === null) continue;
          low = Math.min(low, value / curve.divisor); high = Math.max(high, value / curve.divisor);
        }
      }
      if (low > high) return [0, 1];
      const pad = Math.max((high - low) * 0.08, 10 ** -panel.decimals * 2);
      return [low - pad, high + pad];
    };

    const drawPanel = (panel, top, clip) => {
      const [low, high] = range(panel), end = top + PANEL;
      const y = (value) => end - (value - low) / (high - low) * PANEL;
      const step = niceStep(high - low, 5), decimals = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 4);
      const unitText = panel.unit ? ` (${panel.unit})` : "";
      add(svg, "text", { x: LEFT, y: top - 8, class: "title" }, `${panel.title}${unitText}`);
      for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
        add(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) });
        add(svg, "text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" },
          (Math.abs(tick) < step / 2 ? 0 : tick).toFixed(decimals));
      }
      add(svg, "rect", { class: "frame", x: LEFT, y: top, width: inner(), height: PANEL });
      const box = add(svg, "g", { "clip-path": `url(#${clip})` });
      const alone = panel.curves.length === 1 ? " alone" : "";
      for (const curve of panel.curves)
        add(box, "path", { class: `curve ${curve.record}${alone}`, d: path(curve, y) });
      let place = width - RIGHT;
      for (const curve of alone ? [] : [...panel.curves].reverse()) {
        const label = add(svg, "text", { x: place, y: top - 8, "text-anchor": "end" }, curve.label);
        place -= label.getComputedTextLength() + 6;
        add(svg, "path", { class: `curve ${curve.record}`, d: `M${place - 26} ${top - 12}H${place}` });
        place -= 42;
      }
      axes.push({ panel, y, top, alone });
    };

    const drawLane = (lane, top, clip) => {
      add(svg, "text", { x: LEFT - 8, y: top + 14, "text-anchor": "end" }, lane.title);
      add(svg, "rect", { class: "lane", x: LEFT, y: top, width: inner(), height: LANE, rx: 3 });
      const box = add(svg, "g", { "clip-path": `url(#${clip})` });
      let busy = -1;
      for (const [start, end, word, kind] of lane.spans) {
        if (end < view.from || start > view.to) continue;
        const left = Math.max(x(start), LEFT), right = Math.min(x(end), width - RIGHT);
        if (right - left < 0.6 && left < busy + 0.6) continue; // finer than a pixel
        busy = right;
        if (kind) add(box, "rect", { class: kind, x: left, y: top, width: Math.max(right - left, 0.8), height: LANE });
        if (word.length * 6.6 + 8 < right - left)
          add(box, "text", { class: "says", x: left + 5, y: top + 14 }, word);
      }
    };

    const drawTimes = () => {
      const step = timeStep(view.to - view.from, Math.max(2, inner() / 110));
      for (let tick = Math.ceil((view.from + offset - base()) / step) * step - offset + base(); tick <= view.to; tick += step) {
        add(svg, "line", { class: "grid", x1: x(tick), x2: x(tick), y1: TOP, y2: bottom });
        add(svg, "text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, clock(tick - base(), step));
      }
      if (data.dated)
        add(svg, "text", { x: LEFT, y: bottom + 34 }, `${day(view.from)}${Intl.DateTimeFormat().resolvedOptions().timeZone}`);
    };
    const base = () => (data.dated ? 0 : whole.begin);

    const draw = () => {
      width = Math.max(480, holder.clientWidth);
      svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 42}`);
      svg.replaceChildren();
      axes = [];
      const clip = `clip-${unit.index}`;
      const box = add(add(svg, "defs"), "clipPath", { id: clip });
      add(box, "rect", { x: LEFT, y: 0, width: inner(), height: bottom });
      drawTimes();
      unit.panels.forEach((panel, index) => drawPanel(panel, TOP + index * (PANEL + GAP), clip));
      unit.lanes.forEach((lane, index) => drawLane(lane, lanesTop + index * (LANE + 5), clip));
      for (const boot of unit.boots)
        if (boot >= view.from && boot <= view.to)
          add(svg, "line", { class: "boot", x1: x(boot), x2: x(boot), y1: TOP, y2: bottom });
      overlay = add(svg, "g", { "pointer-events": "none" });
    };

    const show = (begin, end) => {
      const most = whole.end - whole.begin, span = clamp(end - begin, Math.min(200, most), most);
      view.from = clamp(begin, whole.begin, whole.end - span);
      view.to = view.from + span;
      draw();
    };
    const zoom = (factor, around = (view.from + view.to) / 2) =>
      show(around - (around - view.from) * factor, around + (view.to - around) * factor);
    const pan = (part) => {
      const span = view.to - view.from, begin = clamp(view.from + span * part, whole.begin, whole.end - span);
      show(begin, begin + span);
    };
    const actions = { in: () => zoom(0.5), out: () => zoom(2), whole: () => show(whole.begin, whole.end) };

    const place = (event) => {
      const box = svg.getBoundingClientRect();
      return clamp((event.clientX - box.left) / box.width * width, LEFT, width - RIGHT);
    };
    const tell = (at) => {
      const time = timeAt(at);
      const head = document.createElement("b");
      head.textContent = `${day(time)}${clock(time - base(), 1)}`;
      readout.replaceChildren(head);
      for (const { panel, y, top, alone } of axes) {
        const values = [];
        for (const curve of panel.curves) {
          const index = from(curve.t, time + 1) - 1;
          const value = index < 0 ? null : curve.v[index];
          if (value === null || value === undefined) continue;
          const shown = value / curve.divisor;
          add(overlay, "circle", { class: `dot ${curve.record}${alone}`, cx: x(Math.max(curve.t[index], view.from)), cy: y(shown), r: 3.6 });
          values.push(`${alone ? "" : `${curve.label} `}${shown.toFixed(panel.decimals)}`);
        }
        const left = at > width * 0.7;
        values.forEach((text, line) => add(overlay, "text", {
          class: "value", x: left ? at - 8 : at + 8, y: top + 15 + line * 15, "text-anchor": left ? "end" : "start",
        }, `${text} ${panel.unit}`));
      }
      for (const lane of unit.lanes) {
        const now = lane.spans.find(([start, end]) => start <= time && time < end);
        if (now) readout.append(` · ${lane.title.toLowerCase()} ${now[2]}`);
      }
    };
    let picked = null;
    const mark = (at) => {
      overlay.replaceChildren();
      add(overlay, "line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: bottom });
      if (picked !== null)
        add(overlay, "rect", { class: "picked", x: Math.min(at, picked), y: TOP, width: Math.abs(at - picked), height: bottom - TOP });
      tell(at);
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0) { picked = place(event); svg.setPointerCapture(event.pointerId); }
    });
    svg.addEventListener("pointermove", (event) => mark(place(event)));
    svg.addEventListener("pointerup", (event) => {
      const at = place(event), start = picked;
      picked = null;
      if (start !== null && Math.abs(at - start) > 6) show(timeAt(Math.min(at, start)), timeAt(Math.max(at, start)));
    });
    svg.addEventListener("pointercancel", () => { picked = null; });
    svg.addEventListener("pointerleave", () => { overlay.replaceChildren(); readout.textContent = hint; });
    svg.addEventListener("dblclick", actions.whole);
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
      event.preventDefault();
      zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, timeAt(place(event)));
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      const keys = { "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.whole,
        Home: actions.whole, ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2) };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(() => { if (Math.abs(holder.clientWidth - width) > 1) draw(); }).observe(holder);
    draw();
    return { ...actions, mark: (part) => mark(LEFT + inner() * part), show };
  };

  const readout = document.querySelector(".readout"), hint = readout.textContent;
  const plots = data.units.map((unit) => plot(unit, document.getElementById(`unit-${unit.index}`), readout, hint));
  document.querySelectorAll("button[data-do]").forEach((button) => button.addEventListener("click", () => {
    if (button.dataset.do === "theme") {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      theme();
    } else plots.forEach((each) => each[button.dataset.do]());
  }));
})();
