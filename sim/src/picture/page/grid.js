// Instances by nodes: what each disk holds at the cursor. A cell is tinted by the ballot of its vote;
// hollow while only written, full once durable, with a dot once the node knows that it is chosen.

const GRID_HEAD = 22;
const GRID_ROW = 25;
const GRID_FOOT = 4;
const CELL_MIN = 52;

let gridCells = [];

/** The group whose log is shown. */
function gridGroup() {
  if (view.group >= 0) return view.group;
  const i = view.selected;
  if (i >= 0 && run.group[i] >= 0) return run.group[i];
  return run.head.broken?.spot.group ?? 0;
}

function sizeGrid(canvas) {
  canvas.style.height = `${GRID_HEAD + run.head.nodes * GRID_ROW + GRID_FOOT}px`;
}

function drawGrid(canvas) {
  const { g, width } = surface(canvas);
  const group = gridGroup();
  const t = cursorTime();
  const count = Math.max(1, Math.floor((width - LABELS - 8) / CELL_MIN));
  const first = firstInstance(group, t, count);
  const wide = Math.min((width - LABELS - 8) / count, 110);
  gridCells = [];
  g.fillStyle = look.muted;
  g.textAlign = 'left';
  label(g, run.head.groups > 1 ? `log, g${group}` : 'log', 14, GRID_HEAD / 2 + 1, LABELS - 18);
  g.textAlign = 'center';
  for (let k = 0; k < count; k++) {
    const instance = first + k;
    const x = LABELS + k * wide;
    if (instance > log.top[group]) break;
    const chosen = log.chosen[group].get(instance);
    const isChosen = chosen && chosen.t <= t;
    g.font = (isChosen ? '600 ' : '') + FONT;
    g.fillStyle = view.instance === instance ? look.accent : isChosen ? look.good : look.muted;
    g.fillText((isChosen ? '◆ ' : '') + '#' + instance, x + wide / 2, GRID_HEAD / 2 + 1);
    for (let node = 0; node < run.head.nodes; node++) drawCell(g, group, node, instance, x, wide, t);
  }
  g.textAlign = 'left';
  for (let node = 0; node < run.head.nodes; node++) {
    g.fillStyle = look.ink;
    g.font = FONT;
    g.fillText(`node ${node + 1}`, 14, GRID_HEAD + (node + 0.5) * GRID_ROW);
  }
  circleFailure(g, group, first, count, wide);
}

function drawCell(g, group, node, instance, x, wide, t) {
  const y = GRID_HEAD + node * GRID_ROW;
  const box = [x + 1.5, y + 1.5, wide - 3, GRID_ROW - 3];
  gridCells.push({ box, group, node, instance });
  const known = instance <= uptoAt(log.knows[group][node], t);
  const executed = instance <= uptoAt(log.executed[group][node], t);
  const cell = cellAt(group, node, instance, t);
  if (!cell) {
    g.fillStyle = look.lane;
    g.fillRect(...box);
  } else if (cell.state === STATE.written) {
    g.strokeStyle = tint(cell.ballot);
    g.setLineDash([3, 2]);
    g.lineWidth = 1.5;
    g.strokeRect(box[0] + 0.75, box[1] + 0.75, box[2] - 1.5, box[3] - 1.5);
    g.setLineDash([]);
  } else {
    g.fillStyle = cell.ballot ? tint(cell.ballot) : look.lane;
    g.fillRect(...box);
    if (!cell.ballot) {
      g.strokeStyle = look.good;
      g.lineWidth = 1;
      g.strokeRect(box[0] + 0.5, box[1] + 0.5, box[2] - 1, box[3] - 1);
    }
  }
  if (cell) {
    g.font = FONT;
    g.fillStyle = look.ink;
    g.textAlign = 'left';
    label(g, cell.ballot || '✓', x + 6, y + GRID_ROW / 2 - (GRID_ROW > 24 ? 4.5 : 0), wide - 18);
    g.font = '9px ui-monospace, "DejaVu Sans Mono", monospace';
    g.globalAlpha = 0.75;
    label(g, cell.value, x + 6, y + GRID_ROW / 2 + 6, wide - 10);
    g.globalAlpha = 1;
    g.font = FONT;
  }
  if (known || executed) {
    g.fillStyle = g.strokeStyle = look.good;
    g.lineWidth = 1.4;
    g.beginPath();
    g.arc(x + wide - 8, y + 8, 2.8, 0, Math.PI * 2);
    if (executed) g.fill(); else g.stroke();
  }
  g.textAlign = 'center';
}

/** Instances around the one that matters: the one looked for, that of the failure, or the newest. */
function firstInstance(group, t, count) {
  const top = Math.max(log.top[group], 1);
  const { broken } = run.head;
  const i = view.selected;
  let centre = -1;
  if (view.instance > 0) centre = view.instance;
  else if (broken?.spot.instance && (broken.spot.group ?? group) === group && t >= run.at[run.count - 1]) centre = broken.spot.instance;
  else if (view.hoverTime < 0 && i >= 0 && run.group[i] === group && instanceOf(i) > 0) centre = instanceOf(i);
  if (centre < 0) {
    let newest = 0;
    for (let node = 0; node < run.head.nodes; node++) newest = Math.max(newest, uptoAt(log.knows[group][node], t));
    centre = newest + 3 - Math.floor(count / 4);
  }
  return Math.max(1, Math.min(centre - Math.floor(count / 2), top - count + 1));
}

/** The instance that a step is about, if about one. */
function instanceOf(i) {
  const row = run.rows[i];
  switch (run.code[i]) {
    case CODE.sent: return row[9];
    case CODE.heard: return run.sentBy[i] < 0 ? -1 : run.rows[run.sentBy[i]][9];
    case CODE.wrote: return row[5] ?? -1;
    case CODE.synced: return row[6] ?? -1;
    case CODE.chosen: case CODE.executed: case CODE.knows: return row[5];
    default: return -1;
  }
}

function circleFailure(g, group, first, count, wide) {
  const spot = run.head.broken?.spot;
  if (!spot || spot.instance === undefined || (spot.group ?? group) !== group) return;
  if (spot.instance < first || spot.instance >= first + count) return;
  const x = LABELS + (spot.instance - first) * wide;
  g.strokeStyle = look.bad;
  g.lineWidth = 2.5;
  g.beginPath();
  if (spot.node === undefined) g.roundRect(x, 2, wide, GRID_HEAD + run.head.nodes * GRID_ROW, 8);
  else g.roundRect(x - 1, GRID_HEAD + spot.node * GRID_ROW - 1, wide + 2, GRID_ROW + 2, 8);
  g.stroke();
}

/** What the pointer is over, in words. */
function cellTextAt(x, y) {
  const found = gridCells.find(({ box }) => x >= box[0] && x <= box[0] + box[2] && y >= box[1] && y <= box[1] + box[3]);
  if (!found) return null;
  const { group, node, instance } = found;
  const t = cursorTime();
  const cell = cellAt(group, node, instance, t);
  const parts = [];
  if (cell) {
    parts.push(cell.ballot ? `vote in ballot ${cell.ballot} for ${cell.value}` : `learned ${cell.value}`);
    parts.push(cell.state === STATE.written ? 'written, not durable yet' : 'durable');
  } else parts.push('nothing');
  if (instance <= uptoAt(log.knows[group][node], t)) parts.push('known chosen here');
  if (instance <= uptoAt(log.executed[group][node], t)) parts.push('executed');
  return { title: `node ${node + 1}, #${instance}, at ${clock(t)} s`, text: parts.join(' · '), instance };
}
