// From time to place and back. By "events", a gap counts by its logarithm, so that a picture of
// microseconds and seconds can be read at once; by "time", everything has its true length.

const scale = {
  isEven: true,
  width: 1,
  left: 0,           // pixels that labels take
  u0: 0, u1: 1,      // what is in view, in units of the current measure
  times: null, units: null,
  steps: null, begins: null, ends: null, // where steps, and the two ends of messages, are

  prepare() {
    const times = [0];
    for (let i = 0; i < run.count; i++) if (run.at[i] > times.at(-1)) times.push(run.at[i]);
    if (run.end > times.at(-1)) times.push(run.end);
    this.times = Float64Array.from(times);
    this.units = new Float64Array(times.length);
    for (let k = 1; k < times.length; k++) {
      this.units[k] = this.units[k - 1] + 0.4 + Math.log2(1 + (times[k] - times[k - 1]) / 30e3);
    }
    this.settle();
  },

  /** Works out once what every frame needs. */
  settle() {
    const all = (times) => Float64Array.from(times, (t) => this.unit(t));
    this.steps = all(run.at);
    this.begins = all(run.messages.t0);
    this.ends = all(run.messages.t1);
  },

  unit(t) {
    if (!this.isEven) return t;
    const { times, units } = this;
    const k = Math.min(Math.max(firstAfter(times, t), 1), times.length - 1);
    const gap = times[k] - times[k - 1] || 1;
    return units[k - 1] + ((t - times[k - 1]) / gap) * (units[k] - units[k - 1]);
  },

  time(u) {
    if (!this.isEven) return u;
    const { times, units } = this;
    const k = Math.min(Math.max(firstAfter(units, u), 1), times.length - 1);
    const gap = units[k] - units[k - 1] || 1;
    return times[k - 1] + ((u - units[k - 1]) / gap) * (times[k] - times[k - 1]);
  },

  x(t) { return this.place(this.unit(t)); },
  xOfStep(i) { return this.place(this.steps[i]); },
  place(u) { return this.left + ((u - this.u0) / (this.u1 - this.u0)) * (this.width - this.left); },
  /** Places far out of view are moved closer: long shapes are slow to draw. */
  near(x) { return Math.min(Math.max(x, this.left - 40), this.width + 50); },
  timeAt(x) { return this.time(this.u0 + ((x - this.left) / (this.width - this.left)) * (this.u1 - this.u0)); },
  get t0() { return this.time(this.u0); },
  get t1() { return this.time(this.u1); },

  /** Shows these units; keeps within the run, with a little air at both ends. */
  show(u0, u1) {
    const [low, high] = [this.unit(0), this.unit(run.end)];
    const air = (high - low) * 0.04 + (u1 - u0) * 0.25;
    const least = this.isEven ? 3 : 2e3;
    let size = Math.min(Math.max(u1 - u0, least), (high - low) * 1.08 || least);
    let start = (u0 + u1 - size) / 2;
    start = Math.min(Math.max(start, low - air), Math.max(high + air - size, low - air));
    [this.u0, this.u1] = [start, start + size];
  },

  zoom(factor, x) {
    const part = (x - this.left) / (this.width - this.left);
    const u = this.u0 + part * (this.u1 - this.u0);
    const size = (this.u1 - this.u0) / factor;
    this.show(u - part * size, u + (1 - part) * size);
  },

  pan(pixels) {
    const by = (pixels / (this.width - this.left)) * (this.u1 - this.u0);
    this.show(this.u0 + by, this.u1 + by);
  },

  /** Brings a time into view, if it is not. */
  reveal(t, always = false) {
    const [u, size] = [this.unit(t), this.u1 - this.u0];
    if (always || u < this.u0 + size * 0.06 || u > this.u1 - size * 0.06) this.show(u - size / 2, u + size / 2);
  },

  /** Changes the measure; what was in view stays in view. */
  measure(isEven) {
    const [t0, t1] = [this.t0, this.t1];
    this.isEven = isEven;
    this.settle();
    this.show(this.unit(t0), this.unit(t1));
  },

  /** Times to write on the axis, with their places. */
  ticks() {
    const room = this.width - this.left;
    if (this.isEven) {
      const count = Math.max(2, Math.floor(room / 118));
      const ticks = [];
      for (let k = 0; k < count; k++) {
        const x = this.left + ((k + 0.5) * room) / count;
        const t = this.timeAt(x);
        if (t >= 0 && t <= run.end) ticks.push([x, clock(t)]);
      }
      return ticks;
    }
    const wide = ((this.u1 - this.u0) * 118) / room;
    const power = 10 ** Math.floor(Math.log10(wide));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wide);
    const ticks = [];
    for (let t = Math.ceil(Math.max(0, this.u0) / step) * step; t <= Math.min(this.u1, run.end); t += step) {
      ticks.push([this.x(t), clock(t)]);
    }
    return ticks;
  },
};
scale.prepare();
