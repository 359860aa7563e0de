// The words beside the picture: head, legend, help, the list of events, and what is selected.

const $ = (id) => document.getElementById(id);
const ROW = 20;

/** An element with text; never with markup, since texts come from the run. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') made.onclick = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function fillHead() {
  const { head } = run;
  const { broken } = head;
  $('verdict').textContent = broken ? `Broke the rule “${broken.rule}”` : 'Passed: no rule was broken';
  $('verdict').className = broken ? 'bad' : 'good';
  $('words').textContent = broken ? broken.words : 'Every rule was watched from the first event to the last.';
  $('what').textContent = broken ? broken.what : '';
  const groups = head.groups === 1 ? '1 group' : `${head.groups} groups`;
  $('name').textContent = `${head.name} · ${head.nodes} nodes, ${groups} · ${run.count.toLocaleString('en')} steps in ${span(run.end)} · hash ${head.hash}`;
  $('command').textContent = head.command;
  $('command').title = head.command;
  $('plan-text').textContent = head.plan;
}

const SIGNS = [
  ['leads', '<rect x="0" y="1" width="20" height="10" fill="var(--s)"/>'],
  ['prepares', '<rect x="1" y="1.5" width="18" height="9" fill="none" stroke="var(--s)" stroke-dasharray="6 3" stroke-width="1.5"/>'],
  ['follows', '<rect x="0" y="5" width="20" height="2" fill="var(--s)"/>'],
  ['down', '<rect x="0" y="1" width="20" height="10" fill="var(--down)"/><path d="M2 2l8 8M10 2l-8 8" stroke="var(--bad)" stroke-width="2"/>'],
  ['lost', '<path d="M0 6h12" stroke="var(--accept)" stroke-dasharray="4 3" stroke-width="1.6"/><path d="M12 3l6 6M18 3l-6 6" stroke="var(--bad)" stroke-width="1.6"/>'],
  ['nobody up', '<path d="M0 6h12" stroke="var(--accept)" stroke-dasharray="4 3" stroke-width="1.6"/><circle cx="16" cy="6" r="3.2" fill="none" stroke="var(--bad)" stroke-width="1.4"/>'],
  ['second copy', '<path d="M0 6h20" stroke="var(--accept)" stroke-dasharray="1.5 3" stroke-width="1.6"/>'],
  ['writes', '<rect x="7" y="3" width="6" height="6" fill="none" stroke="var(--muted)" stroke-width="1.3"/>'],
  ['synced', '<rect x="7" y="3" width="7" height="7" fill="var(--ink)"/>'],
  ['executed', '<path d="M10 10l-4-8h8z" fill="var(--good)"/>'],
  ['asked', '<path d="M10 10l-4-8h8z" fill="var(--accent)"/>'],
  ['chosen', '<path d="M10 1l5 5-5 5-5-5z" fill="var(--good)"/>'],
];

function fillLegend(changed) {
  const legend = $('legend');
  const order = [...FAMILIES].reverse();
  const kinds = [...run.kinds].sort((a, b) => order.indexOf(familyOf(a)) - order.indexOf(familyOf(b)) || a.localeCompare(b));
  for (const kind of kinds) {
    const swatch = element('i', { style: `border-color: var(--${familyOf(kind)})` });
    legend.append(toggle(swatch, kind, `Hide or show “${kind}”; double click shows only it`, view.kindsOff, kind, kinds, changed));
  }
  legend.append(element('span', { class: 'rule' }));
  for (const [name, svg] of SIGNS) {
    const sign = element('span', { class: 'sign' });
    sign.innerHTML = `<svg viewBox="0 0 20 12" aria-hidden="true" style="--s: oklch(var(--band-l) var(--band-c) 215)">${svg}</svg>`;
    sign.append(name);
    legend.append(sign);
  }
}

/** A button that takes `value` in and out of the set of what is hidden. */
function toggle(icon, text, title, off, value, all, changed) {
  const button = element('button', { 'aria-pressed': 'true', title }, icon, text);
  const show = () => {
    for (const other of button.parentElement.querySelectorAll('button')) {
      other.setAttribute('aria-pressed', String(!off.has(other.value_)));
    }
    changed();
  };
  button.value_ = value;
  button.onclick = () => {
    if (off.has(value)) off.delete(value); else off.add(value);
    show();
  };
  button.ondblclick = () => {
    const isAlone = all.every((other) => other === value || off.has(other)) && !off.has(value);
    off.clear();
    if (!isAlone) for (const other of all) if (other !== value) off.add(other);
    show();
  };
  return button;
}

function fillFilters(changed) {
  const { nodes, groups } = run.head;
  const all = [...Array(nodes).keys()];
  if (nodes > 1) for (const node of all) $('nodes').append(toggle('', `n${node + 1}`, `Hide or show node ${node + 1}; double click shows only it`, view.nodesOff, node, all, changed));
  if (groups > 1) {
    for (let group = -1; group < groups; group++) {
      const button = element('button', { title: 'Which group (g)' }, group < 0 ? 'all groups' : `g${group}`);
      button.onclick = () => { view.group = group; changed(); };
      $('groups').append(button);
    }
  }
}

function markGroup() {
  [...$('groups').children].forEach((button, k) => button.setAttribute('aria-pressed', String(k - 1 === view.group)));
}

// The list: only the rows in view exist.

const list = { steps: new Int32Array(0), query: '', matches: [], isMatch: null };

/** Which steps are listed; called when a filter changes. */
function fillList() {
  const steps = [];
  for (let i = 0; i < run.count; i++) {
    if (!isStepShown(i)) continue;
    if (view.instance >= 0 && !isAbout(i, view.instance)) continue;
    const code = run.code[i];
    if (code === CODE.sent || code === CODE.heard) {
      const sent = code === CODE.sent ? i : run.sentBy[i];
      if (sent >= 0 && view.kindsOff.has(run.texts[run.rows[sent][7]])) continue;
    }
    steps.push(i);
  }
  list.steps = Int32Array.from(steps);
  $('rows').style.height = `${steps.length * ROW}px`;
  find(list.query);
}

/** Looks for a text in the events listed. */
function find(query) {
  list.query = query;
  const wanted = query.trim().toLowerCase();
  list.matches = [];
  list.isMatch = new Uint8Array(run.count);
  if (wanted) {
    const texts = run.texts.map((text) => text.toLowerCase().includes(wanted));
    for (const i of list.steps) {
      const place = run.rows[run.sentBy[i] >= 0 ? run.sentBy[i] : i][4];
      if (place >= 0 && texts[place]) {
        list.matches.push(i);
        list.isMatch[i] = 1;
      }
    }
  }
  const here = list.matches.indexOf(view.selected);
  $('found').textContent = wanted ? `${here < 0 ? '–' : here + 1}/${list.matches.length}` : '';
}

const LOOK = {
  [CODE.crashed]: 'bad', [CODE.fault]: 'bad', [CODE.cut]: 'bad', [CODE.role]: 'strong', [CODE.started]: 'strong',
  [CODE.chosen]: 'strong', [CODE.note]: 'quiet', [CODE.told]: 'quiet', [CODE.knows]: 'quiet', [CODE.passed]: 'quiet',
};

function drawList() {
  const box = $('list');
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4);
  const last = Math.min(list.steps.length, first + Math.ceil(box.clientHeight / ROW) + 8);
  const rows = [];
  for (let k = first; k < last; k++) {
    const i = list.steps[k];
    const names = ['row', LOOK[run.code[i]] ?? ''];
    if (i === view.selected) names.push('here');
    if (list.isMatch?.[i]) names.push('match');
    if (view.past && !view.past[i]) names.push('far');
    if (run.head.broken && i === run.count - 1) names.push('last');
    const who = run.node[i] < 0 ? '–' : `n${run.node[i] + 1}`;
    const group = run.head.groups > 1 && run.group[i] >= 0 ? `g${run.group[i]} ` : '';
    const row = element('div', { class: names.join(' '), style: `top:${k * ROW}px` }, element('time', {}, clock(run.at[i])), element('b', {}, who), group + lineOf(i));
    row.onclick = () => select(i);
    rows.push(row);
  }
  $('rows').replaceChildren(...rows);
}

function scrollList() {
  const box = $('list');
  const k = firstAt(list.steps, view.selected);
  const top = k * ROW;
  if (top < box.scrollTop + ROW || top > box.scrollTop + box.clientHeight - 2 * ROW) {
    box.scrollTop = top - box.clientHeight / 2;
  }
}

/** What became durable and was chosen at the place in the log where the rule broke. */
function story({ group = 0, instance }) {
  if (instance === undefined || !log.cells[group]) return [];
  const events = [];
  log.cells[group].forEach((cells, node) => {
    for (const { t, state, ballot, value } of cells.get(instance) ?? []) {
      if (state === STATE.durable) events.push({ t, ballot, text: `node ${node + 1} ${ballot ? `votes ${ballot} for` : 'learns'} ${value}` });
    }
  });
  const chosen = log.chosen[group].get(instance);
  if (chosen) events.push({ t: chosen.t + 0.5, isChosen: true, text: 'a quorum holds it: chosen' });
  events.sort((a, b) => a.t - b.t);
  const shown = events.slice(-9);
  const lines = shown.map(({ t, ballot, text, isChosen }) => element('li', isChosen ? { class: 'chosen' } : {},
    element('a', { onclick: () => select(firstAt(run.at, t - 0.5)) }, clock(t)), element('i', { style: isChosen ? 'background: var(--good)' : `background: ${tint(ballot)}` }), element('span', { title: text }, text)));
  return lines.length ? [element('p', { class: 'text' }, `On the disks at #${instance}:`), element('ol', {}, ...lines)] : [];
}

// What is selected.

const NAMES = ['note', 'starts', 'crashes', 'pauses', 'goes on', 'recovers', 'role', 'learns what is chosen', 'writes', 'synced', 'hears of its sync', 'says', 'hears', 'does not hear', 'chosen', 'executes', 'is asked', 'answers', 'fault', 'fault passes', 'faults end'];

function drawDetails() {
  const box = $('details');
  const i = view.selected;
  const parts = [];
  const { broken } = run.head;
  if (broken && (i < 0 || i === run.count - 1)) {
    const { node, group, instance } = broken.spot;
    const where = [node !== undefined ? `node ${node + 1}` : '', group !== undefined ? `group ${group}` : '', instance !== undefined ? `#${instance}` : ''].filter(Boolean).join(', ');
    parts.push(element('div', { class: 'broken' }, element('h2', {}, `Here it broke${where ? ': ' + where : ''}`), element('p', { class: 'text' }, 'This is the last event before the rule “', broken.rule, '” no longer held. Press c to see only what can have led to it.'), ...story(broken.spot)));
  }
  if (i < 0) {
    parts.push(element('p', { class: 'text' }, 'Click an event or an arrow. Arrow keys move, + and − zoom, j and k step.'));
    box.replaceChildren(...parts);
    return;
  }
  const who = run.node[i] < 0 ? '' : `node ${run.node[i] + 1} `;
  parts.push(element('h2', {}, `${who}${NAMES[run.code[i]]}`, element('time', {}, `${clock(run.at[i])} s`)));
  parts.push(element('p', { class: 'text mono' }, lineOf(i)));
  const facts = element('dl');
  const fact = (name, ...what) => facts.append(element('dt', {}, name), element('dd', {}, ...what));
  const link = (step, text) => element('a', { onclick: () => select(step) }, text);
  const sent = run.code[i] === CODE.sent ? i : run.sentBy[i];
  if (run.group[i] >= 0 && run.head.groups > 1) fact('group', String(run.group[i]));
  if (sent >= 0) messageFacts(sent, i, fact, link);
  if (run.code[i] === CODE.crashed || run.code[i] === CODE.started) {
    const down = run.downs[run.node[i]].find((s) => s.t0 === run.at[i] || s.t1 === run.at[i]);
    if (down && down.t1 > down.t0) fact('down for', span(down.t1 - down.t0));
  }
  const request = run.requests.find((r) => r.step === i || r.end === i);
  if (request) {
    if (request.step !== i) fact('asked', link(request.step, clock(request.t0)), ' ', textOf(request.step));
    if (request.end >= 0 && request.end !== i) fact('over', link(request.end, clock(request.t1)), ' ', textOf(request.end));
    fact('took', span(request.t1 - request.t0));
  }
  const fault = run.code[i] === CODE.fault && run.faults.find((f) => f.step === i);
  if (fault) {
    if (fault.links.length) fact('links', fault.links.map(([a, b]) => `${a + 1}→${b + 1}`).join(' '));
    if (fault.t1 > fault.t0) fact('lasts', span(fault.t1 - fault.t0));
  } else if (run.code[i] === CODE.fault) fact('', 'it found nobody to strike');
  const instance = instanceOf(i);
  if (instance > 0) fact('instance', element('a', { onclick: () => setInstance(view.instance === instance ? -1 : instance) }, view.instance === instance ? `#${instance} (show all again)` : `#${instance} (show only this)`));
  const earlier = previousOf(i);
  if (earlier >= 0) fact('before, here', link(earlier, clock(run.at[earlier])), ' ', lineOf(earlier).slice(0, 90));
  parts.push(facts);
  box.replaceChildren(...parts);
}

function messageFacts(sent, i, fact, link) {
  const message = run.messages.list.find((m) => m.step === sent);
  if (!message) return;
  if (message.ballot) fact('ballot', message.ballot);
  if (i !== sent) fact('sent', link(sent, clock(run.at[sent])), ` by node ${message.from + 1}, ${span(run.at[i] - run.at[sent])} ago`);
  const { of, t1, fate, size } = run.messages;
  if (!message.arrivals.length) { fact('fate', FATES[FATE.lost]); return; }
  const m = run.messages.list.indexOf(message);
  const start = firstAt(run.messages.t0, run.at[sent]);
  for (let s = start; s < size && run.messages.t0[s] <= run.at[sent]; s++) {
    if (of[s] !== m) continue;
    const step = message.heard.find((h) => run.at[h] === t1[s]);
    const name = message.arrivals.length > 1 ? `copy ${run.messages.copy[s] + 1}` : 'fate';
    const after = `after ${span(t1[s] - run.at[sent])}`;
    if (step !== undefined && step !== i) fact(name, link(step, `heard by node ${message.to + 1}`), ` ${after}`);
    else if (step === undefined) fact(name, `${FATES[fate[s]]}, ${after}`);
  }
}

/** The last step of the same node at an earlier time. */
function previousOf(i) {
  for (let k = i - 1; k >= 0; k--) if (run.node[k] === run.node[i] && run.at[k] < run.at[i]) return k;
  return -1;
}

const HELP = [
  ['Move', [['drag, wheel', 'move; with Ctrl, or upwards over the picture, zoom'], ['← → , Shift for more', 'move'], ['+ −', 'zoom'], ['0', 'the whole run'], ['f', 'where it ended or broke'], ['m', 'events evenly, or true time']]],
  ['Events', [['click', 'select an event or a message'], ['j k', 'next and previous event'], ['n', 'the other end of a message'], ['c', 'dim all that cannot have led here'], ['Esc', 'let go of it all']]],
  ['Filter', [['/', 'search; Enter and Shift+Enter go from match to match'], ['i', 'only one instance'], ['g', 'next group'], ['t', 'light or dark'], ['names below', 'click hides a kind of message, double click leaves only it']]],
  ['What is drawn', [
    ['bands', 'a full band leads, in the colour of its ballot; a dashed frame asks to lead; a thin line follows the ballot of its colour'],
    ['arrows', 'messages, from the node that says to the node that hears, in the colour of their kind'],
    ['red edges of a band', 'links cut by a fault: above, what the node says; below, what it hears'],
    ['◆', 'an instance is chosen: a quorum of disks holds its value, whether anybody knows or not'],
    ['log', 'what each disk holds at the cursor. Dashed: written, not durable. Full: durable, in the colour of its ballot. Dot: known chosen; full dot: executed'],
  ]],
];

function fillHelp() {
  for (const [title, rows] of HELP) {
    const table = element('table');
    for (const [name, what] of rows) table.append(element('tr', {}, element('td', {}, name), element('td', {}, what)));
    $('help-text').append(element('section', {}, element('h2', {}, title), table));
  }
}
