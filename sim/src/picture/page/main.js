// Puts it together: what the pointer and the keys do, and one frame at a time.

let isStale = false;
/** Draws again, once, with the next frame. */
function redraw() {
  if (isStale) return;
  isStale = true;
  requestAnimationFrame(() => {
    isStale = false;
    drawOverview($('overview'));
    drawDiagram($('diagram'));
    drawGrid($('grid'));
  });
}

function select(i, isMoving = true) {
  view.selected = i;
  if (view.past) view.past = i >= 0 ? pastOf(i) : null;
  if (i >= 0 && isMoving) scale.reveal(run.at[i]);
  if (i >= 0) scrollList();
  if (list.matches.length) $('found').textContent = `${list.matches.indexOf(i) + 1 || '–'}/${list.matches.length}`;
  $('causes').setAttribute('aria-pressed', String(Boolean(view.past)));
  drawDetails();
  drawList();
  redraw();
}

function filtersChanged() {
  markGroup();
  filterMessages();
  fillList();
  drawList();
  drawDetails();
  redraw();
}

function setInstance(instance) {
  view.instance = instance > 0 ? instance : -1;
  $('instance').value = view.instance > 0 ? view.instance : '';
  filtersChanged();
  if (view.selected >= 0) scrollList();
}

function setCauses(isOn) {
  view.past = isOn && view.selected >= 0 ? pastOf(view.selected) : null;
  select(view.selected, false);
}

function setMeasure(isEven) {
  scale.measure(isEven);
  $('even').setAttribute('aria-pressed', String(isEven));
  $('real').setAttribute('aria-pressed', String(!isEven));
  redraw();
}

/** The next step of the list, in either direction. */
function stepBy(by) {
  if (!list.steps.length) return;
  const here = view.selected < 0 ? list.steps.length : firstAt(list.steps, view.selected);
  select(list.steps[Math.min(Math.max(here + by, 0), list.steps.length - 1)]);
}

function matchBy(by) {
  const { matches } = list;
  if (!matches.length) return;
  const here = view.selected < 0 ? -1 : firstAt(matches, view.selected);
  const isOn = matches[here] === view.selected;
  const next = isOn || by < 0 ? here + by : here;
  select(matches[(next + matches.length) % matches.length]);
}

/** From one end of a message to the other. */
function otherEnd() {
  const i = view.selected;
  if (i < 0) return;
  if (run.code[i] === CODE.heard && run.sentBy[i] >= 0) select(run.sentBy[i]);
  const message = run.code[i] === CODE.sent && run.messages.list.find((m) => m.step === i);
  if (message && message.heard.length) select(message.heard[0]);
}

/** The end of the run: the last events, and some air after them. */
function showEnd() {
  const last = run.count - 1;
  const from = Math.max(0, last - LAST_STEPS);
  const [u0, u1] = [scale.unit(run.at[from] ?? 0), scale.unit(run.at[last] ?? run.end)];
  scale.show(u0 - (u1 - u0) * 0.04, u1 + Math.max((u1 - u0) * 0.14, 1));
}
const LAST_STEPS = 90;

function showAll() {
  scale.show(scale.unit(0), scale.unit(run.end));
}

// The whole run at a glance.

let overviewCounts = null;
function drawOverview(canvas) {
  const { g, width, height } = surface(canvas);
  const { isEven, left } = scale;
  const room = width - 10 - left;
  const whole = scale.unit(run.end) || 1;
  const xOf = (t) => left + (scale.unit(t) / whole) * room;
  const key = `${room}:${isEven}`;
  if (overviewCounts?.key !== key) {
    const counts = new Float32Array(Math.ceil(room / 2) + 1);
    for (let i = 0; i < run.count; i++) counts[Math.floor((xOf(run.at[i]) - left) / 2)]++;
    overviewCounts = { key, counts, most: counts.reduce((a, b) => Math.max(a, b), 1) };
  }
  g.fillStyle = look.muted;
  g.fillText('whole run', 14, height / 2);
  const group = Math.max(view.group, 0);
  run.roles.forEach((nodes) => {
    for (const { t0, t1, role, ballot } of nodes[group]) {
      if (role !== ROLE.leader) continue;
      g.fillStyle = tint(ballot);
      g.fillRect(xOf(t0), 4, Math.max(xOf(Math.min(t1, run.end)) - xOf(t0), 1), 8);
    }
  });
  g.fillStyle = look.fault;
  g.globalAlpha = 0.7;
  for (const fault of run.faults) g.fillRect(xOf(fault.t0), 14, Math.max(xOf(fault.t1) - xOf(fault.t0), 1.5), 2);
  g.fillStyle = look.faint;
  g.globalAlpha = 0.8;
  overviewCounts.counts.forEach((count, k) => {
    const high = (count / overviewCounts.most) ** 0.5 * (height - 22);
    g.fillRect(left + k * 2, height - 2 - high, 1.6, high);
  });
  g.globalAlpha = 1;
  g.fillStyle = look.slow;
  for (const i of list.matches.slice(0, 4000)) g.fillRect(xOf(run.at[i]), height - 8, 1, 8);
  if (run.head.broken) {
    g.fillStyle = look.bad;
    g.fillRect(xOf(run.at[run.count - 1]) - 1.5, 2, 3, height - 4);
  }
  const [a, b] = [scale.u0, scale.u1].map((u) => left + Math.min(Math.max(u / whole, 0), 1) * room);
  g.fillStyle = look.accent;
  g.globalAlpha = 0.13;
  g.fillRect(a, 1, Math.max(b - a, 3), height - 2);
  g.globalAlpha = 1;
  g.strokeStyle = look.accent;
  g.lineWidth = 1.2;
  g.strokeRect(a, 1, Math.max(b - a, 3), height - 2);
}

// The pointer.

function local(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function tip(event, title, text) {
  const box = $('tip');
  box.hidden = !text;
  if (!text) return;
  box.replaceChildren(element('small', {}, title), text);
  const [w, h] = [box.offsetWidth, box.offsetHeight];
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 8))}px`;
  box.style.top = `${event.clientY + 18 + h > innerHeight ? event.clientY - h - 10 : event.clientY + 18}px`;
}

function listenDiagram(canvas) {
  let drag = null;
  canvas.addEventListener('pointerdown', (event) => {
    const [x, y] = local(event);
    drag = { x, y, moved: 0 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const [x, y] = local(event);
    if (drag) {
      drag.moved += Math.abs(x - drag.x) + Math.abs(y - drag.y);
      if (drag.moved > 3) {
        canvas.classList.add('dragging');
        tip(event);
        scale.pan(drag.x - x);
        [drag.x, drag.y] = [x, y];
        redraw();
      }
      return;
    }
    view.hoverTime = x > LABELS ? Math.min(Math.max(scale.timeAt(x), 0), run.end) : -1;
    view.hover = x > LABELS ? stepAt(x, y) : -1;
    const i = view.hover;
    if (i >= 0) {
      const who = run.node[i] < 0 ? '' : `node ${run.node[i] + 1} ${NAMES[run.code[i]]} · `;
      tip(event, `${who}${clock(run.at[i])} s`, lineOf(i).slice(0, 300));
    } else tip(event);
    redraw();
  });
  canvas.addEventListener('pointerup', (event) => {
    canvas.classList.remove('dragging');
    if (drag && drag.moved <= 3) select(stepAt(...local(event)), false);
    drag = null;
  });
  canvas.addEventListener('pointerleave', (event) => {
    view.hoverTime = view.hover = -1;
    tip(event);
    redraw();
  });
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const [x] = local(event);
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) scale.pan(event.deltaX || event.deltaY);
    else scale.zoom(Math.exp(-event.deltaY * 0.0022), Math.max(x, LABELS));
    redraw();
  }, { passive: false });
}

function listenOverview(canvas) {
  const move = (event) => {
    const [x] = local(event);
    const whole = scale.unit(run.end) || 1;
    const u = ((x - scale.left) / (scale.width - scale.left)) * whole;
    const half = (scale.u1 - scale.u0) / 2;
    scale.show(u - half, u + half);
    redraw();
  };
  canvas.addEventListener('pointerdown', (event) => { canvas.setPointerCapture(event.pointerId); move(event); });
  canvas.addEventListener('pointermove', (event) => { if (event.buttons) move(event); });
}

function listenGrid(canvas) {
  canvas.addEventListener('pointermove', (event) => {
    const cell = cellTextAt(...local(event));
    tip(event, cell?.title, cell?.text);
  });
  canvas.addEventListener('pointerleave', (event) => tip(event));
  canvas.addEventListener('click', (event) => {
    const cell = cellTextAt(...local(event));
    if (cell) setInstance(view.instance === cell.instance ? -1 : cell.instance);
  });
}

// The keys.

const KEYS = {
  ArrowLeft: (event) => scale.pan(event.shiftKey ? -600 : -120),
  ArrowRight: (event) => scale.pan(event.shiftKey ? 600 : 120),
  '+': () => scale.zoom(1.5, middle()), '=': () => scale.zoom(1.5, middle()),
  '-': () => scale.zoom(1 / 1.5, middle()),
  0: showAll, f: showEnd, Home: showAll, End: showEnd,
  j: () => stepBy(1), ArrowDown: () => stepBy(1), k: () => stepBy(-1), ArrowUp: () => stepBy(-1),
  n: otherEnd,
  c: () => setCauses(!view.past),
  m: () => setMeasure(!scale.isEven),
  t: switchTheme,
  g: () => { if (run.head.groups > 1) { view.group = ((view.group + 2) % (run.head.groups + 1)) - 1; filtersChanged(); } },
  i: () => $('instance').focus(),
  '/': () => $('search').focus(),
  '?': () => $('help').showModal(),
  Escape: () => { view.past = null; setInstance(-1); select(-1); },
};

/** Zooming by key keeps the selected event where it is, if it is in view. */
function middle() {
  const x = view.selected >= 0 ? scale.x(run.at[view.selected]) : -1;
  return x > LABELS && x < scale.width ? x : (LABELS + scale.width) / 2;
}

function listenKeys() {
  document.addEventListener('keydown', (event) => {
    if (event.target instanceof HTMLInputElement) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
    redraw();
  });
}

function switchTheme() {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  setTheme(next);
  try { localStorage.setItem('synod-theme', next); } catch { /* a page from a file may not keep anything */ }
  redraw();
}

function listenControls() {
  const click = (id, act) => { $(id).onclick = () => { act(); redraw(); }; };
  click('in', () => scale.zoom(1.6, middle()));
  click('out', () => scale.zoom(1 / 1.6, middle()));
  click('all', showAll);
  click('end', showEnd);
  click('even', () => setMeasure(true));
  click('real', () => setMeasure(false));
  click('causes', () => setCauses(!view.past));
  click('previous', () => matchBy(-1));
  click('next', () => matchBy(1));
  click('theme', switchTheme);
  click('plan-open', () => $('plan').showModal());
  click('help-open', () => $('help').showModal());
  $('copy').onclick = async () => {
    try { await navigator.clipboard.writeText(run.head.command); } catch { getSelection().selectAllChildren($('command')); return; }
    $('copy').textContent = 'copied';
    setTimeout(() => { $('copy').textContent = 'copy'; }, 1200);
  };
  $('search').oninput = () => { find($('search').value); drawList(); redraw(); };
  $('search').onkeydown = (event) => { if (event.key === 'Enter') matchBy(event.shiftKey ? -1 : 1); };
  $('instance').onchange = () => setInstance(Number($('instance').value) || -1);
  $('list').onscroll = () => drawList();
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let kept = null;
  try { kept = localStorage.getItem('synod-theme'); } catch { /* as above */ }
  setTheme(kept ?? (dark.matches ? 'dark' : 'light'));
  dark.addEventListener('change', () => { setTheme(dark.matches ? 'dark' : 'light'); redraw(); });
  addEventListener('resize', () => { redraw(); drawList(); });
}

function open() {
  listenControls();
  fillHead();
  fillFilters(filtersChanged);
  fillLegend(filtersChanged);
  fillHelp();
  listenDiagram($('diagram'));
  listenOverview($('overview'));
  listenGrid($('grid'));
  listenKeys();
  sizeGrid($('grid'));
  const { broken } = run.head;
  if (run.head.groups > 1 && broken?.spot.group !== undefined) view.group = broken.spot.group;
  const box = $('diagram').getBoundingClientRect();
  place(box.width, box.height);
  if (broken) showEnd(); else showAll();
  filtersChanged();
  select(broken && run.count ? run.count - 1 : -1, false);
  $('list').scrollTop = broken ? list.steps.length * ROW : 0;
  drawList();
}
open();
