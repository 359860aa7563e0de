'use strict';
// The run, unpacked: steps as columns, and what steps add up to (messages, roles, faults, requests).

const CODE = {
  note: 0, started: 1, crashed: 2, paused: 3, resumed: 4, recovered: 5, role: 6, knows: 7, wrote: 8,
  synced: 9, told: 10, sent: 11, heard: 12, cut: 13, chosen: 14, executed: 15, asked: 16,
  answered: 17, fault: 18, passed: 19, mended: 20,
};
const ROLE = { follower: 0, canvassing: 1, candidate: 2, leader: 3 };
/** What became of one copy of a message. */
const FATE = { heard: 0, lost: 1, cut: 2, nobody: 3, underway: 4 };
const FATES = ['arrived', 'lost by the network', 'cut off on its way', 'arrived where nobody was up', 'still on its way at the end'];

const run = unpack(JSON.parse(document.getElementById('data').textContent));

function unpack({ head, texts, rows }) {
  const count = rows.length;
  const run = {
    head, texts, rows, count,
    at: new Float64Array(count),      // nanoseconds
    node: new Int16Array(count),      // -1: nobody
    group: new Int16Array(count),     // -1: none
    code: new Uint8Array(count),
    sentBy: new Int32Array(count).fill(-1), // of a heard step: the step that sent it
    kinds: [],
  };
  let now = 0;
  for (let i = 0; i < count; i++) {
    const row = rows[i];
    now += row[0];
    run.at[i] = now;
    run.node[i] = row[1];
    run.group[i] = row[2];
    run.code[i] = row[3];
  }
  run.end = Math.max(now, head.end);
  run.messages = messages(run);
  Object.assign(run, { roles: roles(run), downs: downs(run), faults: faults(run), requests: requests(run) });
  return run;
}

/** The text of a step; what was heard is what was said. */
function textOf(i) {
  const sent = run.sentBy[i];
  const place = run.rows[sent >= 0 ? sent : i][4];
  return place < 0 ? 'a message from before the record' : run.texts[place];
}

/** The line of a step, as in a replay. */
function lineOf(i) {
  if (run.code[i] === CODE.sent) return `→ n${run.rows[i][6] + 1}  ${textOf(i)}`;
  if (run.code[i] === CODE.heard) {
    const sent = run.sentBy[i];
    return `← ${sent < 0 ? '?' : 'n' + (run.node[sent] + 1)}  ${textOf(i)}`;
  }
  return textOf(i);
}

/** One entry for each message, and one segment for each copy of it that has a way through time. */
function messages(run) {
  const { rows, at, code, count, end } = run;
  const byId = new Map();
  const list = [];
  for (let i = 0; i < count; i++) {
    const row = rows[i];
    if (code[i] === CODE.sent) {
      const message = {
        step: i, from: row[1], to: row[6], group: row[2], kind: run.texts[row[7]],
        ballot: row[8] < 0 ? '' : run.texts[row[8]], first: row[9], last: row[10],
        arrivals: row.slice(11).map((after) => at[i] + after), heard: [], cuts: [],
      };
      byId.set(row[5], list.length);
      list.push(message);
    } else if (code[i] === CODE.heard || code[i] === CODE.cut) {
      const place = byId.get(row[5]);
      if (place === undefined) continue;
      const message = list[place];
      run.sentBy[i] = code[i] === CODE.heard ? message.step : -1;
      (code[i] === CODE.heard ? message.heard : message.cuts).push(i);
    }
  }
  run.kinds = [...new Set(list.map((message) => message.kind))];
  const segments = [];
  list.forEach((message, m) => {
    const t0 = at[message.step];
    if (message.arrivals.length === 0) segments.push([m, t0, t0, FATE.lost, 0]);
    message.arrivals.forEach((t1, copy) => {
      const step = message.heard.find((i) => at[i] === t1);
      const isCut = message.cuts.some((i) => at[i] === t1);
      const fate = step !== undefined ? FATE.heard : isCut ? FATE.cut : t1 > end ? FATE.underway : FATE.nobody;
      segments.push([m, t0, t1, fate, copy]);
    });
  });
  const size = segments.length;
  const out = {
    list, size,
    of: new Int32Array(size), t0: new Float64Array(size), t1: new Float64Array(size),
    fate: new Uint8Array(size), copy: new Uint8Array(size), latest: new Float64Array(size),
  };
  let latest = 0;
  segments.forEach(([m, t0, t1, fate, copy], s) => {
    latest = Math.max(latest, t1);
    out.of[s] = m; out.t0[s] = t0; out.t1[s] = t1; out.fate[s] = fate; out.copy[s] = copy;
    out.latest[s] = latest; // of all copies up to here: makes the first one in view easy to find
  });
  return out;
}

/** For each node and group: who it took for leader, and what it was itself, as spans of time. */
function roles(run) {
  const { nodes, groups } = run.head;
  const all = Array.from({ length: nodes }, () => Array.from({ length: groups }, () => []));
  const close = (spans, t) => { if (spans.length && spans.at(-1).t1 === Infinity) spans.at(-1).t1 = t; };
  for (let i = 0; i < run.count; i++) {
    const node = run.node[i];
    if (node < 0) continue;
    if (run.code[i] === CODE.crashed) all[node].forEach((spans) => close(spans, run.at[i]));
    if (run.code[i] !== CODE.role) continue;
    const [role, ballot] = [run.rows[i][5], run.rows[i][6]];
    const spans = all[node][run.group[i]];
    close(spans, run.at[i]);
    spans.push({ t0: run.at[i], t1: Infinity, role, ballot: ballot < 0 ? '' : run.texts[ballot] });
  }
  return all;
}

/** For each node: when no process ran, and when it stood still. */
function downs(run) {
  const all = Array.from({ length: run.head.nodes }, () => [{ t0: 0, t1: Infinity, why: 'not started' }]);
  for (let i = 0; i < run.count; i++) {
    const spans = all[run.node[i]];
    if (!spans) continue;
    const last = spans.at(-1);
    if (run.code[i] === CODE.started || run.code[i] === CODE.resumed) last.t1 = Math.min(last.t1, run.at[i]);
    if ((run.code[i] === CODE.crashed || run.code[i] === CODE.paused) && last.t1 !== Infinity) {
      spans.push({ t0: run.at[i], t1: Infinity, why: run.code[i] === CODE.crashed ? 'down' : 'paused' });
    }
  }
  return all;
}

/** Faults that struck, with the rows in which their bars do not overlap. */
function faults(run) {
  const list = [];
  const open = new Map();
  let mended = run.end;
  for (let i = 0; i < run.count; i++) {
    const row = run.rows[i];
    if (run.code[i] === CODE.fault && row[6]) {
      const links = [];
      for (let k = 7; k < row.length; k += 2) links.push([row[k], row[k + 1]]);
      const text = run.texts[row[4]];
      const fault = { step: i, t0: run.at[i], t1: run.at[i], text, links, isCut: /^cut|isolated|heard|hears/.test(text) };
      open.set(row[5], fault);
      list.push(fault);
    } else if (run.code[i] === CODE.passed) {
      const fault = open.get(row[5]);
      if (fault) fault.t1 = run.at[i];
      open.delete(row[5]);
    } else if (run.code[i] === CODE.mended) {
      mended = Math.min(mended, run.at[i]);
    }
  }
  for (const fault of open.values()) if (fault.links.length) fault.t1 = mended;
  list.cuts = union(list.filter((fault) => fault.links.length && fault.isCut));
  pack(list);
  return list;
}

/** The spans of time that any of these spans covers; they come in order of their beginnings. */
function union(spans) {
  const all = [];
  for (const { t0, t1 } of spans) {
    const last = all.at(-1);
    if (last && t0 <= last.t1) last.t1 = Math.max(last.t1, t1); else all.push({ t0, t1 });
  }
  return all;
}

function requests(run) {
  const list = [];
  const open = new Map();
  for (let i = 0; i < run.count; i++) {
    const row = run.rows[i];
    if (run.code[i] === CODE.asked) {
      const request = { step: i, end: -1, t0: run.at[i], t1: run.end, how: 'open', node: row[1], group: row[2], id: row[5] };
      open.set(row[5], request);
      list.push(request);
    } else if (run.code[i] === CODE.answered && open.has(row[5])) {
      const request = open.get(row[5]);
      Object.assign(request, { end: i, t1: run.at[i], how: run.texts[row[6]] });
      open.delete(row[5]);
    }
  }
  pack(list);
  return list;
}

/** Gives each span a row, so that spans of one row do not overlap. */
function pack(spans) {
  const ends = [];
  const lasts = [];
  for (const span of spans) {
    let row = ends.findIndex((end) => end < span.t0);
    if (row < 0) row = ends.length;
    ends[row] = span.t1;
    if (lasts[row]) lasts[row].next = span;
    lasts[row] = span;
    span.row = row;
  }
  spans.rows = ends.length;
}

/** The first place in sorted `list` whose value is at least `value`. */
function firstAt(list, value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/** Nanoseconds as seconds, in full. */
function clock(nanos) {
  return (nanos / 1e9).toFixed(6);
}

/** A span of time, short. */
function span(nanos) {
  if (nanos >= 1e9) return `${(nanos / 1e9).toFixed(2)} s`;
  if (nanos >= 1e6) return `${(nanos / 1e6).toFixed(2)} ms`;
  return `${(nanos / 1e3).toFixed(1)} µs`;
}
