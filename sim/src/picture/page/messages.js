// Messages: an arrow each while there is room for that, and how many there are when there is not.

const ARROWS_MAX = 2600;
const HEADS_MAX = 900;

/** The copies in view that are shown, and their count by family. */
function copiesInView() {
  const { size, t0, latest, t1 } = run.messages;
  const [from, to] = [scale.t0, scale.t1];
  const first = firstAt(latest, from);
  const last = firstAfter(t0, to);
  const found = [];
  for (let s = first; s < last && s < size; s++) {
    if (view.shown[s] && (t1[s] >= from || t0[s] >= from)) found.push(s);
  }
  return found;
}

/** What was drawn as an arrow in the last frame, to be found by the pointer. */
let arrows = [];

function drawMessages(g) {
  const copies = copiesInView();
  if (copies.length <= ARROWS_MAX) {
    drawArrows(g, copies);
    return;
  }
  drawDensity(g, copies);
  // Elections are rare and tell the story, so they stay arrows as long as possible.
  const { of, list } = run.messages;
  const elections = FAMILIES.indexOf('prepare');
  const rare = copies.filter((s) => list[of[s]].family === elections);
  drawArrows(g, rare.length <= ARROWS_MAX ? rare : []);
}

function drawArrows(g, copies) {
  arrows = copies;
  const { of, list, fate, copy } = run.messages;
  const withHeads = copies.length <= HEADS_MAX;
  const isCareful = copies.length <= 400;
  const byFamily = new Map(FAMILIES.map((family) => [family, { vivid: [], dim: [] }]));
  for (const s of copies) {
    const message = list[of[s]];
    const isDim = view.past && !(view.past[message.step] && message.heard.some((i) => view.past[i]));
    byFamily.get(FAMILIES[message.family])[isDim ? 'dim' : 'vivid'].push(s);
  }
  for (const part of ['dim', 'vivid']) {
    for (const family of FAMILIES) {
      const some = byFamily.get(family)[part];
      if (!some.length) continue;
      g.strokeStyle = g.fillStyle = look[family];
      const alpha = part === 'dim' ? 0.1 : family === 'heartbeat' ? 0.65 : isCareful ? 0.95 : 0.6;
      g.globalAlpha = alpha;
      g.lineWidth = isCareful && family !== 'heartbeat' ? 1.5 : 1;
      strokeCopies(g, some.filter((s) => fate[s] === FATE.heard && !copy[s]), [], withHeads);
      strokeCopies(g, some.filter((s) => fate[s] === FATE.heard && copy[s]), [1.5, 3], withHeads);
      strokeCopies(g, some.filter((s) => fate[s] !== FATE.heard && fate[s] !== FATE.underway), [5, 4], false);
      g.globalAlpha = alpha * 0.3;
      strokeCopies(g, some.filter((s) => fate[s] === FATE.underway), [], false);
    }
  }
  g.globalAlpha = 1;
  if (withHeads) for (const s of copies) drawLoss(g, s);
  const i = view.selected;
  const sent = i >= 0 ? (run.code[i] === CODE.sent ? i : run.sentBy[i]) : -1;
  if (sent < 0) return;
  for (const s of copies) {
    if (list[of[s]].step !== sent) continue;
    g.strokeStyle = g.fillStyle = look.accent;
    g.lineWidth = 2.6;
    strokeCopies(g, [s], fate[s] === FATE.heard ? [] : [5, 4], true);
  }
}

/** Where a copy begins and ends on the picture; what was lost ends half way. */
function wayOf(s) {
  const { of, list, fate } = run.messages;
  const message = list[of[s]];
  const [y0, y1] = [laneY(message.from), laneY(message.to)];
  const x0 = scale.place(scale.begins[s]);
  const sign = Math.sign(y1 - y0);
  const edge = Math.abs(y1 - y0) > BAND * 2 ? BAND * 0.6 : 0;
  if (fate[s] === FATE.lost) return [x0, y0 + sign * edge, x0 + 16, y0 + (y1 - y0) * 0.42];
  return clipped(x0, y0 + sign * edge, scale.place(scale.ends[s]), y1 - sign * edge);
}

/** The part of a line that is in view, or nearly: very long lines are slow to draw. */
function clipped(x0, y0, x1, y1) {
  const [low, high] = [scale.left - 200, scale.width + 200];
  const at = (x) => y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
  const start = x0 < low && x1 > low ? [low, at(low)] : [x0, y0];
  const end = x1 > high && x0 < high ? [high, at(high)] : [x1, y1];
  return [...start, ...end];
}

function strokeCopies(g, copies, dash, withHeads) {
  if (!copies.length) return;
  g.setLineDash(dash);
  g.beginPath();
  for (const s of copies) {
    const [x0, y0, x1, y1] = wayOf(s);
    g.moveTo(x0, y0);
    g.lineTo(x1, y1);
  }
  g.stroke();
  g.setLineDash([]);
  if (!withHeads) return;
  g.beginPath();
  for (const s of copies) {
    const [x0, y0, x1, y1] = wayOf(s);
    const angle = Math.atan2(y1 - y0, x1 - x0);
    const side = (turn) => [x1 - 7 * Math.cos(angle + turn), y1 - 7 * Math.sin(angle + turn)];
    g.moveTo(x1, y1);
    g.lineTo(...side(0.36));
    g.lineTo(...side(-0.36));
    g.closePath();
  }
  g.fill();
}

function drawLoss(g, s) {
  const kind = run.messages.fate[s];
  if (kind === FATE.heard || kind === FATE.underway) return;
  const [, , x1, y1] = wayOf(s);
  g.globalAlpha = view.past ? 0.25 : 1;
  if (kind === FATE.nobody) {
    g.strokeStyle = look.bad;
    g.lineWidth = 1.4;
    g.beginPath();
    g.arc(x1, y1, 3.4, 0, Math.PI * 2);
    g.stroke();
  } else {
    cross(g, x1, y1, 3.2, look.bad, 1.6);
  }
  g.globalAlpha = 1;
}

/** How much each node says, by family, in columns of a few pixels. */
function drawDensity(g, copies) {
  const wide = 3;
  const { of, list } = run.messages;
  const { nodes } = run.head;
  const columns = Math.ceil((scale.width - LABELS) / wide) + 1;
  const counts = FAMILIES.map(() => new Uint16Array(columns * nodes));
  let most = 1;
  for (const s of copies) {
    const column = Math.floor((scale.place(scale.begins[s]) - LABELS) / wide);
    if (column < 0 || column >= columns) continue;
    const message = list[of[s]];
    const place = message.from * columns + column;
    const { family } = message;
    most = Math.max(most, ++counts[family][place]);
  }
  const room = layout.lane / 2 - BAND - 4;
  const unit = room / Math.log2(2 + most * 1.6);
  const base = new Float32Array(columns * nodes);
  g.globalAlpha = 0.75;
  FAMILIES.forEach((family, f) => {
    g.fillStyle = look[family];
    g.beginPath();
    for (let node = 0; node < nodes; node++) {
      const y = laneY(node) + BAND + 2;
      for (let column = 0; column < columns; column++) {
        const place = node * columns + column;
        const count = counts[f][place];
        if (!count) continue;
        const high = Math.min(unit * Math.log2(1 + count), room - base[place]);
        g.rect(LABELS + column * wide, y + base[place], wide - 0.6, high);
        base[place] += high;
      }
    }
    g.fill();
  });
  g.globalAlpha = 1;
}

/** The step under the pointer: an event of a lane, or the end of an arrow that passes there. */
function stepAt(x, y) {
  let best = { distance: 7, step: -1 };
  const { of, list } = run.messages;
  for (const s of arrows) {
    const [x0, y0, x1, y1] = wayOf(s);
    const distance = distanceTo(x, y, x0, y0, x1, y1);
    if (distance >= best.distance) continue;
    const message = list[of[s]];
    const isNearEnd = Math.hypot(x - x1, y - y1) < Math.hypot(x - x0, y - y0);
    best = { distance, step: isNearEnd && message.heard.length ? message.heard[0] : message.step };
  }
  const [first, last] = stepsInView();
  if (last - first <= scale.width * 4) {
    for (let i = first; i < last; i++) {
      if (run.node[i] < 0 || !isStepShown(i) || [CODE.sent, CODE.heard].includes(run.code[i])) continue;
      const distance = Math.hypot(x - scale.xOfStep(i), Math.max(0, Math.abs(y - laneY(run.node[i])) - BAND - 5)) + 1;
      if (distance < best.distance) best = { distance, step: i };
    }
  }
  if (y < layout.requests && y > AXIS) {
    const fault = run.faults.find((fault) => Math.min(fault.row, FAULT_ROWS - 1) === Math.floor((y - layout.faults) / FAULT_ROW) && x >= scale.x(fault.t0) - 3 && x <= Math.max(scale.x(fault.t1), scale.x(fault.t0) + 200));
    if (fault) return fault.step;
  }
  if (y >= layout.requests && y < layout.top) {
    const row = Math.floor((y - layout.requests) / REQUEST_ROW);
    const request = run.requests.findLast((r) => r.row % REQUEST_ROWS === row && x >= scale.x(r.t0) - 2 && x <= scale.x(r.t1) + 3);
    if (request) return request.step;
  }
  return best.step;
}

function distanceTo(x, y, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const along = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}
