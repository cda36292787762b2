// Everything that a station says reaches the page as text (textContent), never as markup.
"use strict";

const KEPT = 300;
const byId = (id) => document.getElementById(id);
const token = takeToken();
const cards = new Map();
let refreshing = false;
let stale = false;

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token");
}

async function ask(path, body, signal) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const options = { headers, signal, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  return fetch(path, options);
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function say(text, isBad) {
  byId("state").textContent = text;
  byId("state").className = isBad ? "bad" : "";
}

async function send(line) {
  const answer = byId("answer");
  answer.className = "";
  answer.textContent = line + " ...";
  try {
    const response = await ask("api/command", { line });
    const document_ = await response.json();
    const text = document_.error ?? JSON.stringify(document_.payload ?? document_, null, 1);
    answer.className = response.ok ? "" : "bad";
    answer.textContent = line + "\n" + text;
  } catch (error) {
    answer.className = "bad";
    answer.textContent = line + "\n" + error;
  }
  refresh();
}

const quoted = (word) => "'" + word.replaceAll("'", "'\\''") + "'";

function lineFor(command, station, connector, idTag) {
  const name = quoted(station);
  return {
    start: `remote_start ${name} ${quoted(idTag)} ${connector}`,
    stop: `remote_stop ${name}`,
    unlock: `unlock ${name} ${connector}`,
    operative: `change_availability ${name} ${connector} Operative`,
    inoperative: `change_availability ${name} ${connector} Inoperative`,
    status: `trigger ${name} StatusNotification ${connector}`,
    soft: `reset ${name} Soft`,
    hard: `reset ${name} Hard`,
    configuration: `get_configuration ${name}`,
    cut: `disconnect ${name}`,
  }[command];
}

function cardOf(station) {
  let card = cards.get(station);
  if (card) return card;
  card = byId("station-template").content.firstElementChild.cloneNode(true);
  card.dataset.station = station;
  card.querySelector("h3").textContent = station;
  card.addEventListener("click", (event) => {
    const command = event.target.dataset.command;
    if (!command) return;
    const connector = card.querySelector(".connector").value.replace(/[^0-9]/g, "") || "1";
    send(lineFor(command, station, connector, card.querySelector(".id-tag").value));
  });
  cards.set(station, card);
  byId("stations").append(card);
  return card;
}

function showStations(stations) {
  const present = new Set(stations.map((each) => each.station));
  for (const [station, card] of cards) {
    if (!present.has(station)) {
      card.remove();
      cards.delete(station);
    }
  }
  for (const each of stations) {
    const card = cardOf(each.station);
    const boot = each.boot;
    const model = [boot.chargePointVendor, boot.chargePointModel, boot.firmwareVersion];
    card.querySelector(".about").textContent =
      [model.filter(Boolean).join(" "), "security profile " + each.profile, each.registration]
        .filter(Boolean).join(" \u00b7 ");
    const items = Object.entries(each.statuses).map(([number, status]) => {
      const item = element("li", `${number === "0" ? "station" : number}: ${status}`);
      if (/^[A-Za-z]+$/.test(status)) item.className = status;
      return item;
    });
    card.querySelector(".connectors").replaceChildren(...items);
  }
  byId("no-station").hidden = stations.length > 0;
}

function showTransactions(records) {
  const rows = records.slice(-100).reverse().map((each) => {
    const row = document.createElement("tr");
    const energy = each.energy_wh === null ? "" : (each.energy_wh / 1000).toFixed(3) + " kWh";
    const cells = [each.transaction_id, each.station, each.connector_id, each.id_tag,
      each.started, each.stopped ?? "running", each.reason ?? ""];
    for (const cell of cells) row.append(element("td", String(cell)));
    row.append(element("td", energy, "number"));
    return row;
  });
  byId("transactions").replaceChildren(...rows);
}

async function refresh() {
  stale = true;
  if (refreshing) return;
  refreshing = true;
  try {
    while (stale) {
      stale = false;
      const [stations, transactions] = await Promise.all(
        ["stations", "transactions"].map(async (name) => (await ask("api/" + name)).json()));
      if (stations.stations) showStations(stations.stations);
      if (transactions.transactions) showTransactions(transactions.transactions);
      await new Promise((done) => setTimeout(done, 200));
    }
  } catch {
    say("not reachable", true);
  } finally {
    refreshing = false;
  }
}

function describe(event) {
  const { number, time, event: name, station, direction, type, action, ...rest } = event;
  if (name !== "message") return [name, station ?? "", JSON.stringify(rest), "other " + name];
  const arrow = direction === "received" ? "\u2190" : "\u2192";
  const kind = { call: "", result: ".conf", error: " failed", malformed: "malformed" }[type];
  const body = event.payload ?? [event.code, event.description, event.reason].filter(Boolean).join(": ");
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return [`${arrow} ${action ?? ""}${kind}`, station, text, `${direction} ${type}`];
}

const fits = (item) => item.textContent.toLowerCase().includes(byId("filter").value.toLowerCase());

function show(event) {
  const [head, station, text, names] = describe(event);
  const item = document.createElement("li");
  item.className = names.replace(/[^a-z_ ]/g, "");
  const moment = event.time ? new Date(event.time).toLocaleTimeString("en-GB") : "";
  item.append(element("span", moment + " " + station + " "),
    element("b", head), element("span", " " + text.slice(0, 2000)));
  item.hidden = !fits(item);
  const list = byId("messages");
  list.prepend(item);
  while (list.childElementCount > KEPT) list.lastElementChild.remove();
}

async function watch() {
  for (;;) {
    try {
      const response = await ask("api/stream");
      if (response.status === 401) {
        say("a token is needed: open this page with #token=... at its end", true);
        return;
      }
      byId("messages").replaceChildren();
      say("live");
      refresh();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop();
        for (const part of parts) {
          if (!part.startsWith("data: ") || byId("hold").checked) continue;
          show(JSON.parse(part.slice(6)));
        }
        refresh();
      }
    } catch {
      // said below; tried again
    }
    say("not reachable; trying again", true);
    await new Promise((done) => setTimeout(done, 1000));
  }
}

byId("command").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = byId("line").value.trim();
  if (line) send(line);
});
byId("filter").addEventListener("input", () => {
  for (const item of byId("messages").children) item.hidden = !fits(item);
});
watch();
