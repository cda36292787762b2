// SPDX-License-Identifier: GPL-3.0-or-later
// Draws each run's courses as one SVG; zooms with mouse, keyboard and buttons.
"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const WIDTH = 1180, LEFT = 92, RIGHT = 14, TOP = 46, INNER = WIDTH - LEFT - RIGHT;
  const LANE = 20;
  const PANELS = [
    { title: "Voltage", unit: "V", height: 150, curves: { requested: "requested_mv", setpoint: "setpoint_mv", measured: "measured_mv" } },
    { title: "Current", unit: "A", height: 150, curves: { requested: "requested_ma", setpoint: "setpoint_ma", measured: "measured_ma" } },
    { title: "Temperature", unit: "°C", height: 90, curves: { measured: "temperature_mdegc" } },
  ];
  const LANES = [
    ["vehicle", "plugged"], ["transaction", "transaction"], ["permitted", "permitted"],
    ["gate", "gate"], ["faults", "faults"],
  ];

  const add = (parent, name, attributes = {}, text = null) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const number = (text) => (text === undefined || text === "-" ? null : Number(text) / 1000);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // The value that holds at a time; points are [time, value] in order.
  const valueAt = (points, time) => {
    if (!points) return undefined;
    let low = 0, high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= time) low = middle + 1; else high = middle;
    }
    return low ? points[low - 1][1] : undefined;
  };

  const niceStep = (span, count) => {
    const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999);
  };
  const timeSteps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4,
    12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
  const timeStep = (span, count) =>
    timeSteps.find((each) => each >= span / count) ?? niceStep(span / 864e5, count) * 864e5;
  const clock = (ms, step, plain) => {
    const decimals = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    if (plain) return (ms / 1000).toFixed(decimals);
    const days = Math.floor(ms / 864e5), rest = ms - days * 864e5;
    const hours = Math.floor(rest / 36e5), minutes = Math.floor(rest / 6e4) % 60;
    const seconds = ((rest % 6e4) / 1000).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
    const two = (value) => String(value).padStart(2, "0");
    const head = days ? `${days} d ${two(hours)}:${two(minutes)}` : hours ? `${hours}:${two(minutes)}` : `${minutes}`;
    return `${head}:${seconds}`;
  };
  const length = (ms) => ms >= 864e5 ? `${+(ms / 864e5).toFixed(1)} d`
    : ms >= 36e5 ? `${+(ms / 36e5).toFixed(1)} h` : ms >= 12e4 ? `${+(ms / 6e4).toFixed(1)} min` : `${+(ms / 1000).toFixed(1)} s`;

  // Long pauses are drawn narrow: "drawn time" is time with each of them shortened.
  const squeezer = (timeline) => {
    const lost = timeline.gaps.reduce((sum, [from, to]) => sum + to - from, 0);
    const played = Math.max(timeline.end_ms - lost, 1000);
    const gaps = [];
    let cut = 0;
    for (const [from, to] of timeline.gaps) {
      const width = Math.min(played * 0.08, to - from);
      gaps.push({ from, to, width, at: from - cut });
      cut += to - from - width;
    }
    return {
      gaps,
      end: Math.max(timeline.end_ms - cut, 1),
      draw: (time) => {
        let shift = 0;
        for (const gap of gaps) {
          if (time >= gap.to) shift += gap.to - gap.from - gap.width;
          else if (time > gap.from) return gap.at + (time - gap.from) / (gap.to - gap.from) * gap.width;
          else break;
        }
        return time - shift;
      },
      time: (drawn) => {
        let shift = 0;
        for (const gap of gaps) {
          if (drawn < gap.at) break;
          if (drawn < gap.at + gap.width) return gap.from + (drawn - gap.at) / gap.width * (gap.to - gap.from);
          shift += gap.to - gap.from - gap.width;
        }
        return drawn + shift;
      },
    };
  };

  const plot = (run, holder) => {
    const timeline = run.timeline, squeeze = squeezer(timeline);
    // The device is drawn where it left the reference; elsewhere one curve stands for both.
    const device = timeline.device ?? {};
    const sidesOf = (field) => device[field] === undefined
      ? [["reference", timeline.reference]] : [["reference", timeline.reference], ["device", device]];
    const laneHeight = (field) => sidesOf(field).length * LANE + 4;
    const bottomOfPanels = TOP + PANELS.reduce((sum, panel) => sum + panel.height + 26, 0) - 8;
    const bottomOfAll = LANES.reduce((sum, [, field]) => sum + laneHeight(field), bottomOfPanels);
    const height = bottomOfAll + 40;
    const plain = timeline.end_ms <= 6e5; // seconds alone say it best up to ten minutes
    const view = { from: 0, to: squeeze.end };
    const svg = add(holder, "svg", {
      class: "plot", viewBox: `0 0 ${WIDTH} ${height}`, tabindex: 0, role: "img",
      "aria-label": `${run.name}: voltage, current, temperature, gate and permission over time`,
    });
    const readout = holder.querySelector(".readout");
    const hint = readout.textContent;
    const x = (time) => LEFT + (squeeze.draw(time) - view.from) / (view.to - view.from) * INNER;
    const inside = (place) => clamp(place, LEFT - 2, WIDTH - RIGHT + 2);
    const drawnAt = (place) => view.from + (place - LEFT) / INNER * (view.to - view.from);
    let overlay;

    const curve = (parent, points, y, classes) => {
      let path = "", last = null;
      points.forEach(([time, text], index) => {
        const value = number(text), next = points[index + 1];
        const start = inside(x(time)), end = inside(x(next ? next[0] : timeline.end_ms));
        if (value === null) { last = null; return; }
        path += last === null ? `M${start.toFixed(1)} ${y(value)}` : `V${y(value)}`;
        path += `H${end.toFixed(1)}`;
        last = value;
      });
      if (path) add(parent, "path", { class: classes, d: path });
    };

    const range = (panel) => {
      let low = Infinity, high = -Infinity;
      const from = squeeze.time(view.from), to = squeeze.time(view.to);
      for (const field of Object.values(panel.curves))
        for (const [, course] of sidesOf(field))
          (course[field] ?? []).forEach(([time, text], index, all) => {
            const value = number(text), next = all[index + 1];
            if (value === null || time > to || (next && next[0] < from)) return;
            low = Math.min(low, value); high = Math.max(high, value);
          });
      if (low > high) return [0, 1];
      const pad = Math.max((high - low) * 0.08, 0.5);
      return [low - pad, high + pad];
    };

    const drawPanel = (panel, top, clip) => {
      const [low, high] = range(panel), bottom = top + panel.height;
      const y = (value) => (bottom - (value - low) / (high - low) * panel.height).toFixed(1);
      const step = niceStep(high - low, panel.height / 24);
      const decimals = clamp(-Math.floor(Math.log10(step)), 0, 3);
      add(svg, "text", { x: LEFT, y: top - 7, class: "title" }, `${panel.title} (${panel.unit})`);
      for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
        add(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) });
        add(svg, "text", { class: "small", x: LEFT - 8, y: Number(y(tick)) + 4, "text-anchor": "end" },
          (Math.abs(tick) < step / 2 ? 0 : tick).toFixed(decimals));
      }
      add(svg, "rect", { class: "frame", x: LEFT, y: top, width: INNER, height: panel.height });
      const inner = add(svg, "g", { "clip-path": `url(#${clip})` });
      for (const [name, field] of Object.entries(panel.curves))
        for (const [side, course] of sidesOf(field))
          if (course[field]) curve(inner, course[field], y, `curve ${name} ${side}`);
      drawLegend(panel, top - 7);
      return bottom;
    };

    const drawLegend = (panel, y) => {
      let place = WIDTH - RIGHT;
      const entries = [];
      for (const [name, field] of Object.entries(panel.curves))
        for (const [side] of sidesOf(field))
          entries.push([`curve ${name} ${side}`, side === "device" ? `${name}, device` : name]);
      for (const [classes, name] of entries.reverse()) {
        const label = add(svg, "text", { class: "small", x: place, y, "text-anchor": "end" }, name);
        place -= label.getComputedTextLength() + 6;
        add(svg, "path", { class: classes, d: `M${place - 26} ${y - 4}H${place}` });
        place -= 26 + 16;
      }
    };

    const drawLane = (name, field, top, clip) => {
      const bottom = top + laneHeight(field);
      add(svg, "rect", { class: "frame", x: LEFT, y: top, width: INNER, height: bottom - top });
      const inner = add(svg, "g", { "clip-path": `url(#${clip})` });
      sidesOf(field).forEach(([side, course], row) => {
        const y = top + 2 + row * LANE, points = course[field] ?? [];
        add(svg, "text", { class: row ? "small" : "", x: LEFT - 8, y: y + 15, "text-anchor": "end" }, row ? "device" : name);
        points.forEach(([time, value], index) => {
          const next = points[index + 1];
          const start = inside(x(time)), end = inside(x(next ? next[0] : timeline.end_ms));
          if (end <= LEFT || start >= WIDTH - RIGHT) return;
          const on = field === "gate" ? value === "open" : field === "faults" ? value !== "-" : value === "1";
          if (on)
            add(inner, "rect", { class: `on ${field} ${side}`, x: start, y: y + 1, width: Math.max(end - start, 0.8), height: LANE - 2 });
          const says = field === "faults" && on || field === "gate" ? value.replaceAll("_", " ") : "";
          if (says && says.length * 6.8 + 8 < end - start)
            add(inner, "text", { class: "says", x: start + 4, y: y + 14.5 }, says);
        });
      });
      return bottom;
    };

    const drawTimes = (bottom) => {
      const span = view.to - view.from, step = timeStep(span, 9);
      const edges = [0, ...squeeze.gaps.flatMap((gap) => [gap.from, gap.to]), timeline.end_ms];
      let used = -Infinity;
      for (let index = 0; index < edges.length; index += 2)
        for (let tick = Math.ceil(Math.max(edges[index], squeeze.time(view.from)) / step) * step;
          tick <= Math.min(edges[index + 1], squeeze.time(view.to)); tick += step) {
          const place = x(tick);
          add(svg, "line", { class: "grid", x1: place, x2: place, y1: TOP, y2: bottom });
          const text = clock(tick, step, plain), half = text.length * 3.6;
          if (place - half < used + 8) continue;
          add(svg, "text", { class: "small", x: place, y: bottom + 16, "text-anchor": "middle" }, text);
          used = place + half;
        }
      add(svg, "text", { x: WIDTH - RIGHT, y: bottom + 32, "text-anchor": "end" },
        plain ? "time (s)" : timeline.end_ms < 36e5 ? "time (min:s)" : "time (d, h:min:s)");
    };

    const drawMarks = (bottom) => {
      for (const gap of squeeze.gaps) {
        const start = inside(x(gap.from)), end = inside(x(gap.to));
        if (end - start < 2) continue;
        add(svg, "rect", { class: "gap", x: start, y: TOP, width: end - start, height: bottom - TOP });
        add(svg, "text", { class: "small", x: (start + end) / 2, y: TOP + 14, "text-anchor": "middle" }, length(gap.to - gap.from));
      }
      const mark = (time, line, label, text, y) => {
        const place = x(time);
        if (place < LEFT - 1 || place > WIDTH - RIGHT + 1) return;
        add(svg, "line", { class: line, x1: place, x2: place, y1: line === "first" ? 6 : TOP, y2: bottom });
        const right = place > WIDTH * 0.6;
        add(svg, "text", { class: label, x: place + (right ? -6 : 6), y, "text-anchor": right ? "end" : "start" }, text);
      };
      const seen = new Set();
      run.missed.forEach((each) => {
        if (seen.has(each.at_ms)) return;
        seen.add(each.at_ms);
        mark(each.at_ms, "missed", "missed-name", `expected ${each.field} = ${each.expected}`, bottom + 32);
      });
      if (run.first) mark(run.first.at_ms, "first", "first-name", run.first.text, 17);
    };

    const draw = () => {
      svg.replaceChildren();
      const clip = `clip-${run.index}`;
      const box = add(add(svg, "defs"), "clipPath", { id: clip });
      add(box, "rect", { x: LEFT, y: 0, width: INNER, height });
      let top = TOP;
      drawTimes(bottomOfAll);
      for (const panel of PANELS) top = drawPanel(panel, top, clip) + 26;
      top = bottomOfPanels;
      for (const [name, field] of LANES) top = drawLane(name, field, top, clip);
      drawMarks(top);
      overlay = add(svg, "g", { "pointer-events": "none" });
    };

    const show = (from, to) => {
      const span = clamp(to - from, Math.min(20, squeeze.end), squeeze.end);
      view.from = clamp(from, 0, squeeze.end - span);
      view.to = view.from + span;
      draw();
    };
    const zoom = (factor, around = (view.from + view.to) / 2) =>
      show(around - (around - view.from) * factor, around + (view.to - around) * factor);
    const pan = (part) => {
      const by = (view.to - view.from) * part;
      show(clamp(view.from + by, 0, squeeze.end - (view.to - view.from)), clamp(view.to + by, view.to - view.from, squeeze.end));
    };
    const actions = {
      in: () => zoom(0.5), out: () => zoom(2), whole: () => show(0, squeeze.end),
      first: () => { const at = squeeze.draw(run.first.at_ms); show(at - 1000, at + 1000); },
    };
    holder.querySelectorAll("button").forEach((button) =>
      button.addEventListener("click", actions[button.dataset.do]));

    const place = (event) => {
      const box = svg.getBoundingClientRect();
      return clamp((event.clientX - box.left) / box.width * WIDTH, LEFT, WIDTH - RIGHT);
    };
    const tell = (at) => {
      const time = squeeze.time(drawnAt(at));
      readout.replaceChildren(`${clock(time, 1, plain)}${plain ? " s" : ""} `);
      const say = (name, field, unit) => {
        const [ours, theirs] = sidesOf(field).map(([, course]) => valueAt(course[field], time) ?? "-");
        const form = (text) => unit && text !== "-" ? `${(Number(text) / 1000).toFixed(unit === "°C" ? 1 : 2)} ${unit}` : text;
        readout.append(` · ${name} ${form(ours)}`);
        if (theirs !== undefined && theirs !== ours) {
          const bold = document.createElement("b");
          bold.textContent = ` (device ${form(theirs)})`;
          readout.append(bold);
        }
      };
      say("measured", "measured_mv", "V"); say("", "measured_ma", "A");
      say("setpoint", "setpoint_mv", "V"); say("", "setpoint_ma", "A");
      say("", "temperature_mdegc", "°C"); say("gate", "gate"); say("faults", "faults");
    };
    let picked = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0) { picked = place(event); svg.setPointerCapture(event.pointerId); }
    });
    svg.addEventListener("pointermove", (event) => {
      const at = place(event);
      overlay.replaceChildren();
      add(overlay, "line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: bottomOfAll });
      if (picked !== null)
        add(overlay, "rect", { class: "picked", x: Math.min(at, picked), y: TOP, width: Math.abs(at - picked), height: bottomOfAll - TOP });
      tell(at);
    });
    svg.addEventListener("pointerup", (event) => {
      const at = place(event), from = picked;
      picked = null;
      if (from !== null && Math.abs(at - from) > 6)
        show(drawnAt(Math.min(at, from)), drawnAt(Math.max(at, from)));
    });
    svg.addEventListener("pointercancel", () => { picked = null; });
    svg.addEventListener("pointerleave", () => { overlay.replaceChildren(); readout.textContent = hint; });
    svg.addEventListener("dblclick", actions.whole);
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
      event.preventDefault();
      zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, drawnAt(place(event)));
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      const keys = {
        "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.whole, Home: actions.whole,
        ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    draw();
  };

  JSON.parse(document.getElementById("runs").textContent).forEach((run) => {
    if (run.timeline) plot(run, document.getElementById(`plot-${run.index}`));
  });
})();
