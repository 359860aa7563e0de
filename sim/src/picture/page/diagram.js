// Nodes and time: the frame of the picture, and everything in it but the messages.

const LABELS = 98;
const AXIS = 22;
const FAULT_ROW = 15;
const FAULT_ROWS = 4;
const REQUEST_ROW = 5;
const REQUEST_ROWS = 6;
const BAND = 11;  // half the height of a lane's band
const CHOSEN = 22;

/** Where everything stands. */
const layout = {};
function place(width, height) {
  scale.width = width - 10;
  scale.left = LABELS;
  const faults = Math.min(run.faults.rows, FAULT_ROWS) * FAULT_ROW;
  const requests = Math.min(run.requests.rows, REQUEST_ROWS) * REQUEST_ROW;
  layout.faults = AXIS + 4;
  layout.requests = layout.faults + faults + 6;
  layout.top = layout.requests + requests + 6;
  layout.chosen = height - CHOSEN;
  layout.lane = (layout.chosen - layout.top) / run.head.nodes;
  layout.bottom = height;
}
const laneY = (node) => layout.top + (node + 0.5) * layout.lane;

function drawDiagram(canvas) {
  const { g, width, height } = surface(canvas);
  place(width, height);
  drawLanes(g, width);
  g.save();
  g.beginPath();
  g.rect(LABELS, AXIS, width - LABELS, height - AXIS);
  g.clip();
  drawFaults(g);
  drawRequests(g);
  for (let node = 0; node < run.head.nodes; node++) drawBands(g, node);
  const steps = stepsInView();
  const isDense = steps[1] - steps[0] > width * 4;
  drawMessages(g);
  if (!isDense) drawMarks(g, ...steps);
  drawChosen(g);
  drawCursor(g, height);
  drawFailure(g, height);
  g.restore();
  drawAxis(g, width);
}

/** The first step in view, and the one after the last. */
function stepsInView() {
  return [firstAt(run.at, scale.t0), firstAfter(run.at, scale.t1)];
}

function drawLanes(g, width) {
  for (let node = 0; node < run.head.nodes; node++) {
    const y = laneY(node);
    g.globalAlpha = view.nodesOff.has(node) ? 0.35 : 1;
    g.fillStyle = look.lane;
    g.fillRect(LABELS, y - BAND, width - LABELS, BAND * 2);
    g.textAlign = 'left';
    g.fillStyle = look.ink;
    g.font = '600 ' + FONT;
    g.fillText(`node ${node + 1}`, 14, y - 7);
    g.font = FONT;
    const t = cursorTime();
    const now = stateAt(node, t);
    g.fillStyle = now.isBad ? look.bad : look.muted;
    label(g, now.text, 14, y + 8, LABELS - 18);
    g.globalAlpha = 1;
  }
  g.fillStyle = look.muted;
  if (run.faults.rows) g.fillText('faults', 14, layout.faults + 7);
  if (run.requests.rows) g.fillText('requests', 14, layout.requests + Math.max(7, Math.min(run.requests.rows, REQUEST_ROWS) * REQUEST_ROW / 2));
  g.fillText('chosen', 14, layout.chosen + CHOSEN / 2);
}

/** What a node is at a time, in a word. */
function stateAt(node, t) {
  const down = run.downs[node].find((span) => span.t0 <= t && t < span.t1);
  if (down) return { text: down.why, isBad: down.why !== 'not started' };
  const spans = run.roles[node][Math.max(view.group, 0)];
  const role = spans.findLast((span) => span.t0 <= t && t < span.t1);
  if (!role) return { text: 'idle' };
  return { text: `${['follows', 'canvasses', 'prepares', 'leads'][role.role]} ${role.ballot}` };
}

function drawAxis(g, width) {
  g.fillStyle = look.ground;
  g.fillRect(0, 0, width, AXIS);
  g.strokeStyle = look.line;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(LABELS, AXIS - 0.5);
  g.lineTo(width, AXIS - 0.5);
  g.fillStyle = look.muted;
  g.textAlign = 'center';
  for (const [x, text] of scale.ticks()) {
    g.moveTo(x, AXIS - 5);
    g.lineTo(x, AXIS);
    g.fillText(text, x, 9);
  }
  g.stroke();
  g.textAlign = 'left';
  g.fillText('seconds', 14, 9);
}

function drawFaults(g) {
  const [t0, t1] = [scale.t0, scale.t1];
  const lanes = laneY(run.head.nodes - 1) + layout.lane / 2 - layout.top;
  g.fillStyle = look.fault;
  g.globalAlpha = 0.06;
  for (const cut of run.faults.cuts) {
    if (cut.t1 < t0 || cut.t0 > t1) continue;
    g.fillRect(scale.x(cut.t0), layout.top, Math.max(scale.x(cut.t1) - scale.x(cut.t0), 1), lanes);
  }
  const free = new Float64Array(FAULT_ROWS); // the last row holds all that found no room above
  for (const fault of run.faults) {
    if (fault.t1 < t0 || fault.t0 > t1) continue;
    const [x0, x1] = [scale.near(scale.x(fault.t0)), scale.near(scale.x(fault.t1))];
    const wide = Math.max(x1 - x0, 3);
    const colour = fault.isCut || !fault.links.length ? look.fault : look.slow;
    const row = Math.min(fault.row, FAULT_ROWS - 1);
    const y = layout.faults + row * FAULT_ROW;
    g.fillStyle = colour;
    if (fault.links.length) {
      g.globalAlpha = 0.4;
      drawCutEdges(g, fault, x0, wide);
      g.globalAlpha = 0.14;
      g.fillRect(x0, y, wide, FAULT_ROW - 3);
    }
    g.globalAlpha = 1;
    g.fillRect(x0, y, fault.links.length ? 2.5 : 3, FAULT_ROW - 3);
    const left = Math.max(x0, LABELS);
    if (left < free[row]) continue;
    free[row] = left + Math.min(g.measureText(fault.text).width, 260) + 8;
    const room = (fault.next ? scale.x(fault.next.t0) : scale.width) - left - 10;
    g.fillStyle = colour;
    label(g, fault.text, left + 6, y + 6.5, Math.min(room, Math.max(x1 - left - 8, 260)));
  }
}

/** Nodes whose links are cut have a line at the edge of their band: above what they say, below what
    they hear. */
function drawCutEdges(g, fault, x0, wide) {
  for (const from of new Set(fault.links.map((link) => link[0]))) g.fillRect(x0, laneY(from) - BAND - 3, wide, 2);
  for (const to of new Set(fault.links.map((link) => link[1]))) g.fillRect(x0, laneY(to) + BAND + 1, wide, 2);
}

function drawRequests(g) {
  const [t0, t1] = [scale.t0, scale.t1];
  const drawn = new Float64Array(REQUEST_ROWS); // short ones that fall on each other count as one
  for (const request of run.requests) {
    if (request.t0 > t1) break;
    if (request.t1 < t0 || (view.group >= 0 && request.group !== view.group) || view.nodesOff.has(request.node)) continue;
    const [x0, x1] = [scale.place(scale.steps[request.step]), request.end < 0 ? scale.x(request.t1) : scale.xOfStep(request.end)];
    const isIt = view.selected >= 0 && (view.selected === request.step || view.selected === request.end);
    const row = request.row % REQUEST_ROWS;
    if (x1 < drawn[row] + 0.7 && !isIt) continue;
    drawn[row] = Math.max(x0 + 1.5, x1);
    g.fillStyle = isIt ? look.accent : look[HOW[request.how] ?? 'faint'];
    g.globalAlpha = isIt ? 1 : HOW[request.how] === 'faint' ? 0.4 : 0.75;
    g.fillRect(x0, layout.requests + row * REQUEST_ROW, Math.max(x1 - x0, 1.5), isIt ? 5 : 3.5);
  }
  g.globalAlpha = 1;
}

/** Who leads, who would like to, and whom the others follow; one strip for each group shown. */
function drawBands(g, node) {
  const groups = view.group >= 0 ? [view.group] : run.roles[node].map((_, group) => group);
  const y = laneY(node) - BAND;
  const high = (BAND * 2) / groups.length;
  const [t0, t1] = [scale.t0, scale.t1];
  g.globalAlpha = view.nodesOff.has(node) ? 0.35 : 1;
  groups.forEach((group, k) => {
    const top = y + k * high;
    for (const { t0: a, t1: b, role, ballot } of run.roles[node][group]) {
      if (b < t0 || a > t1) continue;
      const x0 = Math.max(scale.x(a), LABELS - 2);
      const wide = Math.max(scale.near(scale.x(Math.min(b, run.end))) - x0, 1);
      g.fillStyle = tint(ballot);
      if (role === ROLE.leader) g.fillRect(x0, top, wide, high - (groups.length > 1 ? 1 : 0));
      else if (role === ROLE.follower) g.fillRect(x0, top + high / 2 - 1, wide, 2);
      else {
        g.fillRect(x0, top + high / 2 - 1, wide, 2);
        g.strokeStyle = tint(ballot);
        g.lineWidth = 1.5;
        g.setLineDash(role === ROLE.canvassing ? [2, 3] : [7, 3]);
        g.strokeRect(x0 + 0.75, top + 0.75, Math.max(wide - 1.5, 1), high - 1.5);
        g.setLineDash([]);
      }
      if (role !== ROLE.follower && high > 9) {
        g.fillStyle = look.ink;
        const word = ['', 'canvasses', 'prepares', 'leads'][role];
        label(g, `${word} ${ballot}`, x0 + 5, top + high / 2 + 0.5, wide - 8);
      }
    }
  });
  for (const { t0: a, t1: b, why } of run.downs[node]) {
    if (b < t0 || a > t1) continue;
    const x0 = Math.max(scale.x(a), LABELS - 2);
    const x1 = scale.near(scale.x(Math.min(b, run.end)));
    g.fillStyle = look.down;
    g.fillRect(x0, y, Math.max(x1 - x0, 1), BAND * 2);
    hatch(g, x0, y, x1 - x0, BAND * 2);
    if (why !== 'not started' && a >= t0) cross(g, scale.x(a), laneY(node), 6, look.bad, 2.5);
    g.fillStyle = look.muted;
    if (x1 - x0 > 60) label(g, why, x0 + 14, laneY(node) + 0.5, x1 - x0 - 20);
  }
  g.globalAlpha = 1;
}

function hatch(g, x, y, wide, high) {
  if (wide < 8) return;
  g.save();
  g.beginPath();
  g.rect(x, y, wide, high);
  g.clip();
  g.strokeStyle = look.ground;
  g.lineWidth = 2;
  g.beginPath();
  const first = Math.floor((x - high) / 9) * 9;
  for (let at = first; at < x + wide; at += 9) {
    g.moveTo(at, y + high);
    g.lineTo(at + high, y);
  }
  g.stroke();
  g.restore();
}

function cross(g, x, y, size, colour, width) {
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.beginPath();
  g.moveTo(x - size, y - size); g.lineTo(x + size, y + size);
  g.moveTo(x + size, y - size); g.lineTo(x - size, y + size);
  g.stroke();
}

/** What a node does with its disk (below the band) and with its state machine (above). */
function drawMarks(g, first, last) {
  for (let i = first; i < last; i++) {
    const node = run.node[i];
    if (node < 0 || !isStepShown(i)) continue;
    const isDim = (view.past && !view.past[i]) || (view.instance >= 0 && !isAbout(i, view.instance));
    drawMark(g, i, scale.xOfStep(i), laneY(node), isDim ? 0.15 : 1);
  }
  g.globalAlpha = 1;
}

function drawMark(g, i, x, y, alpha) {
  g.globalAlpha = alpha;
  g.lineWidth = 1.3;
  switch (run.code[i]) {
    case CODE.wrote:
      g.strokeStyle = look.muted;
      g.strokeRect(x - 2.5, y + BAND + 3.5, 5, 5);
      break;
    case CODE.synced:
      g.fillStyle = look.ink;
      g.fillRect(x - 3, y + BAND + 3, 6, 6);
      break;
    case CODE.executed:
      g.fillStyle = look.good;
      triangle(g, x, y - BAND - 4, 3.6, -1);
      break;
    case CODE.started:
      g.fillStyle = look.good;
      g.beginPath();
      g.moveTo(x, y - 6); g.lineTo(x + 8, y); g.lineTo(x, y + 6);
      g.fill();
      break;
    case CODE.asked:
      g.fillStyle = look.accent;
      triangle(g, x, y - BAND - 5, 3.6, 1);
      break;
  }
}

function triangle(g, x, y, size, up) {
  g.beginPath();
  g.moveTo(x, y + size * up); g.lineTo(x - size, y - size * up); g.lineTo(x + size, y - size * up);
  g.fill();
}

/** When instances became chosen, whoever knew. */
function drawChosen(g) {
  const y = layout.chosen + CHOSEN / 2;
  const [t0, t1] = [scale.t0, scale.t1];
  g.strokeStyle = look.line;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(LABELS, layout.chosen + 0.5);
  g.lineTo(scale.width + 10, layout.chosen + 0.5);
  g.stroke();
  g.textAlign = 'left';
  let [free, drawn] = [-Infinity, -Infinity];
  const { choices } = log;
  for (let k = firstAt(choices.times, t0); k < choices.steps.length && choices.times[k] <= t1; k++) {
    const step = choices.steps[k];
    if (view.group >= 0 && run.group[step] !== view.group) continue;
    const [x, instance] = [scale.xOfStep(step), run.rows[step][5]];
    const isIt = view.instance === instance;
    if (x < drawn + 2 && !isIt) continue;
    drawn = x;
    g.fillStyle = isIt ? look.accent : look.good;
    g.beginPath();
    g.moveTo(x, y - 4); g.lineTo(x + 4, y); g.lineTo(x, y + 4); g.lineTo(x - 4, y);
    g.fill();
    const text = '#' + instance;
    const end = x + 14 + g.measureText(text).width;
    const next = choices.steps[k + 1];
    if (x > free && (isIt || next === undefined || scale.xOfStep(next) > end)) {
      g.fillStyle = look.muted;
      g.fillText(text, x + 6, y + 0.5);
      free = end;
    }
  }
}

/** The time for which the labels, the grid and the list speak. */
function cursorTime() {
  if (view.hoverTime >= 0) return view.hoverTime;
  return view.selected >= 0 ? run.at[view.selected] : run.end;
}

function drawCursor(g, height) {
  const line = (t, colour, dash) => {
    const x = scale.x(t);
    g.strokeStyle = colour;
    g.lineWidth = 1;
    g.setLineDash(dash);
    g.beginPath();
    g.moveTo(x, AXIS); g.lineTo(x, height);
    g.stroke();
    g.setLineDash([]);
  };
  if (view.hoverTime >= 0) line(view.hoverTime, look.faint, [2, 3]);
  const i = view.selected;
  if (i < 0) return;
  line(run.at[i], look.accent, []);
  if (run.node[i] >= 0) {
    g.strokeStyle = look.accent;
    g.lineWidth = 2;
    g.beginPath();
    g.arc(scale.x(run.at[i]), laneY(run.node[i]), 8, 0, Math.PI * 2);
    g.stroke();
  }
}

/** Where the rule broke: the end of the run. */
function drawFailure(g, height) {
  const { broken } = run.head;
  if (!broken) return;
  const x = scale.x(run.count ? run.at[run.count - 1] : run.end);
  if (x < LABELS - 20 || x > scale.width + 40) return;
  g.fillStyle = look.bad;
  g.globalAlpha = 0.07;
  g.fillRect(x, AXIS, scale.width + 10 - x, height);
  g.globalAlpha = 1;
  g.fillRect(x - 1, AXIS, 2, height - AXIS);
  g.font = '600 ' + FONT;
  const text = `broke “${broken.rule}”`;
  const wide = g.measureText(text).width + 12;
  const left = Math.min(x, scale.width + 8 - wide);
  g.fillRect(left, AXIS, wide, 18);
  g.fillStyle = look.ground;
  g.fillText(text, left + 6, AXIS + 9.5);
  g.font = FONT;
  if (broken.spot.node !== undefined) {
    g.strokeStyle = look.bad;
    g.lineWidth = 2.5;
    g.beginPath();
    g.arc(x, laneY(broken.spot.node), BAND + 4, 0, Math.PI * 2);
    g.stroke();
  }
}
