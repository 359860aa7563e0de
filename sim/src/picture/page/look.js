// How things look: colours from the style sheet, canvases at the screen's own resolution, and what
// is shown and what is not.

const FAMILY = {
  'canvass': 'prepare', 'canvass reply': 'prepare', 'prepare': 'prepare', 'promise': 'prepare',
  'behind': 'prepare', 'nack': 'prepare', 'transfer': 'prepare',
  'accept': 'accept', 'accepted': 'accept',
  'heartbeat': 'heartbeat', 'heartbeat ack': 'heartbeat',
  'learn': 'learn', 'learned': 'learn',
  'forward': 'forward', 'refused': 'forward',
  'read index': 'read', 'read point': 'read',
  'founding': 'founding',
};
const FAMILIES = ['heartbeat', 'read', 'forward', 'learn', 'founding', 'other', 'accept', 'prepare']; // back to front
const familyOf = (kind) => FAMILY[kind] ?? 'other';
for (const message of run.messages.list) message.family = FAMILIES.indexOf(familyOf(message.kind));

const HOW = { committed: 'good', skipped: 'good', read: 'read', refused: 'slow', unread: 'slow', unknown: 'faint', abandoned: 'faint', open: 'faint' };
const FONT = '11px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif';
const MONO = '11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';

const look = {};

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const style = getComputedStyle(document.documentElement);
  for (const name of ['ground', 'raised', 'ink', 'muted', 'faint', 'line', 'lane', 'accent', 'bad', 'bad-soft', 'good', 'fault', 'slow', 'down', 'band-l', 'band-c', ...FAMILIES]) {
    look[name] = style.getPropertyValue('--' + name).trim();
  }
}

/** The colour of a ballot: neighbours in the order of ballots are far apart on the wheel. */
const ballots = new Map();
function hueOf(ballot) {
  if (!ballots.size) {
    const all = new Set();
    for (const spans of run.roles.flat()) for (const { ballot } of spans) all.add(ballot);
    for (const { ballot } of run.messages.list) all.add(ballot);
    const parts = (text) => text.split('.').map(Number);
    const sorted = [...all].filter(Boolean).sort((a, b) => parts(a)[0] - parts(b)[0] || parts(a)[1] - parts(b)[1]);
    sorted.forEach((ballot, k) => ballots.set(ballot, (215 + k * 137.508) % 360));
  }
  return ballots.get(ballot) ?? 260;
}
function tint(ballot, strength = 1) {
  return ballot ? `oklch(${look['band-l']} ${look['band-c'] * strength} ${hueOf(ballot).toFixed(1)})` : look.line;
}

/** What is shown. */
const view = {
  group: -1,              // -1: all
  nodesOff: new Set(),
  kindsOff: new Set(),
  instance: -1,           // -1: all
  selected: -1,           // a step
  past: null,             // which steps can have led to it, if asked for
  hoverTime: -1,          // where the pointer is
  hover: -1,              // a step
  shown: new Uint8Array(run.messages.size),
};

function isStepShown(i) {
  if (view.group >= 0 && run.group[i] >= 0 && run.group[i] !== view.group) return false;
  return !(run.node[i] >= 0 && view.nodesOff.has(run.node[i]));
}

/** Whether a step is about the instance that is looked for. */
function isAbout(i, instance) {
  const row = run.rows[i];
  switch (run.code[i]) {
    case CODE.sent: return row[9] >= 0 && row[9] <= instance && (instance <= row[10] || row[10] < 0);
    case CODE.heard: return run.sentBy[i] >= 0 && isAbout(run.sentBy[i], instance);
    case CODE.chosen: case CODE.executed: case CODE.knows: return row[5] === instance;
    case CODE.wrote: return some(row, 5, 3, instance);
    case CODE.synced: return some(row, 6, 4, instance);
    case CODE.recovered: return some(row, 6, 3, instance);
    default: return false;
  }
}
function some(row, first, step, value) {
  for (let k = first; k < row.length; k += step) if (row[k] === value) return true;
  return false;
}

/** Decides for every copy of a message whether it is drawn; called when a filter changes. */
function filterMessages() {
  const { list, size, of } = run.messages;
  const keep = list.map((message) => {
    if (view.kindsOff.has(message.kind)) return 0;
    if (view.group >= 0 && message.group >= 0 && message.group !== view.group) return 0;
    if (view.nodesOff.has(message.from) || view.nodesOff.has(message.to)) return 0;
    if (view.instance >= 0 && !isAbout(message.step, view.instance)) return 0;
    return 1;
  });
  for (let s = 0; s < size; s++) view.shown[s] = keep[of[s]];
}

/** What can have led to a step: what its node did before, and what the nodes it heard from did
    before they said it. */
function pastOf(step) {
  const past = new Uint8Array(run.count);
  const upto = new Int32Array(run.head.nodes).fill(-1);
  if (run.node[step] < 0) return past;
  upto[run.node[step]] = step;
  for (let i = step; i >= 0; i--) {
    const node = run.node[i];
    if (node < 0 || i > upto[node]) continue;
    past[i] = 1;
    const sent = run.sentBy[i];
    if (sent >= 0) upto[run.node[sent]] = Math.max(upto[run.node[sent]], sent);
  }
  return past;
}

/** A canvas that is as sharp as the screen; the context draws in CSS pixels. */
function surface(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const g = canvas.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, box.width, box.height);
  g.font = FONT;
  g.textBaseline = 'middle';
  return { g, width: box.width, height: box.height };
}

/** Text that ends with … where it does not fit; nothing if hardly any of it would. */
function label(g, text, x, y, room) {
  if (room < 14) return;
  let shown = text;
  const fits = (t) => g.measureText(t).width <= room;
  if (!fits(shown)) {
    let [low, high] = [0, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (fits(text.slice(0, middle) + '…')) low = middle; else high = middle - 1;
    }
    if (low < 2) return;
    shown = text.slice(0, low) + '…';
  }
  g.fillText(shown, x, y);
}
