// What each node's disk holds at each instance, at any time: a history for each cell of the grid.

const STATE = { empty: 0, written: 1, durable: 2, chosen: 3 };

const log = histories();

function histories() {
  const { nodes, groups } = run.head;
  const cells = Array.from({ length: groups }, () => Array.from({ length: nodes }, () => new Map()));
  const steps = () => Array.from({ length: groups }, () => Array.from({ length: nodes }, () => ({ t: [], upto: [] })));
  const log = { cells, knows: steps(), executed: steps(), chosen: Array.from({ length: groups }, () => new Map()), top: new Array(groups).fill(0) };
  const unsynced = Array.from({ length: nodes }, () => new Set());

  const put = (group, node, instance, entry) => {
    const map = cells[group][node];
    if (!map.has(instance)) map.set(instance, []);
    map.get(instance).push(entry);
    log.top[group] = Math.max(log.top[group], instance);
  };
  for (let i = 0; i < run.count; i++) {
    const [row, t, node, group] = [run.rows[i], run.at[i], run.node[i], run.group[i]];
    switch (run.code[i]) {
      case CODE.wrote:
        for (let k = 5; k < row.length; k += 3) {
          put(group, node, row[k], { t, state: STATE.written, ...held(row, k) });
          unsynced[node].add(group + ':' + row[k]);
        }
        break;
      case CODE.synced:
        for (let k = 5; k < row.length; k += 4) {
          put(row[k], node, row[k + 1], { t, state: STATE.durable, ...held(row, k + 1) });
          unsynced[node].delete(row[k] + ':' + row[k + 1]);
        }
        break;
      case CODE.crashed: // what of this survived is told by the recovery
        for (const key of unsynced[node]) {
          const [g, instance] = key.split(':').map(Number);
          put(g, node, instance, before(cells[g][node].get(instance), t));
        }
        unsynced[node].clear();
        break;
      case CODE.recovered:
        for (const [instance, list] of cells[group][node]) {
          if (instance > row[5] && list.at(-1).state !== STATE.empty) list.push({ t, state: STATE.empty, ballot: '', value: '' });
        }
        for (let k = 6; k < row.length; k += 3) put(group, node, row[k], { t, state: STATE.durable, ...held(row, k) });
        rise(log.knows[group][node], t, row[5], true);
        rise(log.executed[group][node], t, 0, true);
        break;
      case CODE.knows: rise(log.knows[group][node], t, row[5]); break;
      case CODE.executed: rise(log.executed[group][node], t, row[5]); break;
      case CODE.chosen: {
        log.chosen[group].set(row[5], { t, step: i });
        log.top[group] = Math.max(log.top[group], row[5]);
        break;
      }
    }
  }
  const choices = [];
  for (let i = 0; i < run.count; i++) if (run.code[i] === CODE.chosen) choices.push(i);
  log.choices = { steps: choices, times: choices.map((i) => run.at[i]) };
  return log;
}

function held(row, k) {
  return { ballot: row[k + 1] < 0 ? '' : run.texts[row[k + 1]], value: run.texts[row[k + 2]] };
}

/** The last state of a cell that was durable, as of now. */
function before(list, t) {
  const durable = list.findLast((entry) => entry.state !== STATE.written);
  return durable ? { ...durable, t } : { t, state: STATE.empty, ballot: '', value: '' };
}

function rise(list, t, upto, anew = false) {
  list.t.push(t);
  list.upto.push(anew || !list.upto.length ? upto : Math.max(upto, list.upto.at(-1)));
}

/** How far `list` (known chosen, executed) was at a time. */
function uptoAt(list, t) {
  const place = firstAfter(list.t, t) - 1;
  return place < 0 ? 0 : list.upto[place];
}

/** What a node held at an instance at a time. */
function cellAt(group, node, instance, t) {
  const list = log.cells[group][node].get(instance);
  if (!list) return null;
  let entry = null;
  for (const next of list) { // few for each cell
    if (next.t > t) break;
    entry = next;
  }
  return entry && entry.state !== STATE.empty ? entry : null;
}

/** The first place in sorted `list` whose value is above `value`. */
function firstAfter(list, value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}
