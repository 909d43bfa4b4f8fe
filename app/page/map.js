// The map of emotions: points on a canvas, moved, zoomed, pointed at and chosen.
// The points are asked for once; each colour is drawn in one stroke, and what lies under the
// pointer is found in a grid, so that tens of thousands stay smooth.
(function () {
  "use strict";

  const AROUND = [0, 2, 5, 3, 4, 1]; // neighbours are alike: bright and calm above, dark below
  const GRID = 24;
  let answer = null; // of the service, kept for the next language

  function decode(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  async function points(address) {
    if (answer) return answer;
    const response = await fetch(address);
    if (!response.ok) throw new Error(String(response.status));
    const found = await response.json();
    found.shares = decode(found.shares);
    found.tops = new Uint8Array(found.ids.length);
    for (let i = 0; i < found.ids.length; i += 1) {
      let top = 0;
      for (let e = 1; e < 6; e += 1) if (found.shares[6 * i + e] > found.shares[6 * i + top]) top = e;
      found.tops[i] = top;
    }
    answer = found;
    return found;
  }

  function corner(emotion) {
    const angle = (-60 - 60 * AROUND.indexOf(emotion)) * Math.PI / 180;
    return [Math.cos(angle), Math.sin(angle)];
  }

  // Places in [-1, 1]: by weighted corners (RadViz, of squared shares), two shares, or the two
  // directions in which the songs differ most.
  function places(data, view, across, up) {
    const n = data.ids.length, found = new Float32Array(2 * n), s = data.shares;
    if (view === "axes") {
      for (let i = 0; i < n; i += 1) {
        found[2 * i] = 2 * s[6 * i + across] / 255 - 1;
        found[2 * i + 1] = 1 - 2 * s[6 * i + up] / 255;
      }
      return found;
    }
    if (view === "projection") return projected(s, n, found);
    const corners = [0, 1, 2, 3, 4, 5].map(corner);
    for (let i = 0; i < n; i += 1) {
      let x = 0, y = 0, total = 0;
      for (let e = 0; e < 6; e += 1) {
        const weight = s[6 * i + e] * s[6 * i + e];
        total += weight;
        x += weight * corners[e][0];
        y += weight * corners[e][1];
      }
      found[2 * i] = x / (total || 1);
      found[2 * i + 1] = y / (total || 1);
    }
    return found;
  }

  function projected(s, n, found) {
    const mean = new Float64Array(6), covariance = new Float64Array(36);
    for (let i = 0; i < n; i += 1) for (let e = 0; e < 6; e += 1) mean[e] += s[6 * i + e] / n;
    for (let i = 0; i < n; i += 1) {
      for (let a = 0; a < 6; a += 1) for (let b = 0; b < 6; b += 1) {
        covariance[6 * a + b] += (s[6 * i + a] - mean[a]) * (s[6 * i + b] - mean[b]);
      }
    }
    const axes = [];
    for (let k = 0; k < 2; k += 1) { // power iteration, with the first direction taken out
      let v = [1, 0.7, 0.5, -0.6, -0.4, 0.2].map((x, e) => (k ? x * (e % 2 ? -1 : 1) : x));
      for (let turn = 0; turn < 200; turn += 1) {
        const next = new Array(6).fill(0);
        for (let a = 0; a < 6; a += 1) for (let b = 0; b < 6; b += 1) next[a] += covariance[6 * a + b] * v[b];
        for (const axis of axes) {
          const share = axis.reduce((sum, x, e) => sum + x * next[e], 0);
          for (let e = 0; e < 6; e += 1) next[e] -= share * axis[e];
        }
        const length = Math.hypot(...next) || 1;
        v = next.map((x) => x / length);
      }
      axes.push(v);
    }
    let most = 1e-9;
    for (let i = 0; i < n; i += 1) for (let k = 0; k < 2; k += 1) {
      let value = 0;
      for (let e = 0; e < 6; e += 1) value += axes[k][e] * (s[6 * i + e] - mean[e]);
      found[2 * i + k] = value;
      most = Math.max(most, Math.abs(value));
    }
    for (let i = 0; i < 2 * n; i += 1) found[i] /= most;
    return found;
  }

  class EmotionMap {
    constructor(box, data) {
      this.box = box;
      this.data = data;
      this.words = JSON.parse(box.dataset.words);
      this.names = JSON.parse(box.dataset.names);
      this.canvas = box.querySelector("canvas");
      this.context = this.canvas.getContext("2d");
      this.tip = box.querySelector(".maeum-map-tip");
      this.hidden = new Set();
      this.found = null;
      this.chosen = -1;
      this.pointers = new Map();
      this.reset();
      this.listen();
      this.place();
      new ResizeObserver(() => this.resize()).observe(this.canvas);
      new MutationObserver(() => this.draw()).observe(document.body, {attributes: true, attributeFilter: ["class"]});
      this.resize();
    }

    reset() { this.scale = 1; this.x = 0; this.y = 0; }

    control(name) { return this.box.querySelector(`[data-map=${name}]`); }

    listen() {
      for (const name of ["view", "across", "up"]) {
        this.control(name).addEventListener("change", () => { this.reset(); this.place(); this.draw(); });
      }
      this.control("search").addEventListener("input", (event) => this.search(event.target.value));
      this.control("reset").addEventListener("click", () => {
        this.reset();
        this.hidden.clear();
        this.control("search").value = "";
        this.found = null;
        for (const key of this.box.querySelectorAll(".maeum-key")) key.setAttribute("aria-pressed", "true");
        this.draw();
      });
      for (const key of this.box.querySelectorAll(".maeum-key")) {
        key.addEventListener("click", () => {
          const emotion = Number(key.dataset.emotion);
          if (!this.hidden.delete(emotion)) this.hidden.add(emotion);
          key.setAttribute("aria-pressed", String(!this.hidden.has(emotion)));
          this.draw();
        });
      }
      const canvas = this.canvas;
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
      }, {passive: false});
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
        this.moved = 0;
      });
      canvas.addEventListener("pointermove", (event) => this.move(event));
      const end = (event) => this.pointers.delete(event.pointerId);
      canvas.addEventListener("pointercancel", end);
      canvas.addEventListener("pointerup", (event) => {
        end(event);
        if (this.moved < 6) this.choose(this.under(event.offsetX, event.offsetY, 14));
      });
      canvas.addEventListener("pointerleave", () => { if (document.activeElement !== canvas) this.point(-1); });
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    move(event) {
      const before = this.pointers.get(event.pointerId);
      if (!before) {
        this.point(this.under(event.offsetX, event.offsetY, 10));
        return;
      }
      const now = [event.offsetX, event.offsetY];
      if (this.pointers.size === 2) {
        const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
        const ratio = Math.hypot(now[0] - other[0], now[1] - other[1])
          / Math.max(Math.hypot(before[0] - other[0], before[1] - other[1]), 1);
        this.zoom(ratio, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        this.moved = 99;
      } else {
        this.x += now[0] - before[0];
        this.y += now[1] - before[1];
        this.moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
        this.later();
      }
      this.pointers.set(event.pointerId, now);
    }

    key(event) {
      const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
      if (event.key in steps) {
        this.point(this.next(...steps[event.key]));
      } else if (event.key === "Enter") {
        this.choose(this.chosen);
      } else if (event.key === "+" || event.key === "-") {
        this.zoom(event.key === "+" ? 1.25 : 0.8, this.width / 2, this.height / 2);
      } else {
        return;
      }
      event.preventDefault();
    }

    // The nearest song in a direction; the first is the one in the middle.
    next(dx, dy) {
      const [x, y] = this.chosen < 0 ? [this.width / 2, this.height / 2] : this.on(this.chosen);
      let best = this.chosen, least = Infinity;
      for (let i = 0; i < this.data.ids.length; i += 1) {
        if (i === this.chosen || !this.isShown(i)) continue;
        const [px, py] = this.on(i), ahead = (px - x) * dx + (py - y) * dy;
        const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
        if (this.chosen >= 0 && ahead <= 0.5) continue;
        const cost = this.chosen < 0 ? Math.hypot(px - x, py - y) : ahead + 2 * aside;
        if (cost < least) { least = cost; best = i; }
      }
      return best;
    }

    isShown(i) { return !this.hidden.has(this.data.tops[i]) && (!this.found || this.found[i]); }

    search(typed) {
      const wanted = typed.trim().toLowerCase();
      this.found = null;
      if (wanted) {
        const {titles, artists} = this.data;
        this.found = titles.map((t, i) => `${t}\n${artists[i]}`.toLowerCase().includes(wanted));
      }
      this.draw();
    }

    zoom(ratio, x, y) {
      const scale = Math.min(Math.max(this.scale * ratio, 0.6), 60);
      const by = scale / this.scale;
      this.x = x - this.width / 2 - (x - this.width / 2 - this.x) * by;
      this.y = y - this.height / 2 - (y - this.height / 2 - this.y) * by;
      this.scale = scale;
      this.later();
    }

    place() {
      const view = this.control("view").value;
      const index = (name) => this.control(name).selectedIndex;
      this.places = places(this.data, view, index("across"), index("up"));
      this.box.dataset.view = view;
      this.grid = new Map();
      for (let i = 0; i < this.data.ids.length; i += 1) {
        const cell = this.cell(this.places[2 * i], this.places[2 * i + 1]);
        if (!this.grid.has(cell)) this.grid.set(cell, []);
        this.grid.get(cell).push(i);
      }
    }

    cell(x, y) { return Math.floor((x + 1) * GRID) * 4096 + Math.floor((y + 1) * GRID); }

    resize() {
      const {clientWidth, clientHeight} = this.canvas;
      if (!clientWidth) return;
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      this.width = clientWidth;
      this.height = clientHeight;
      this.radius = 0.42 * Math.min(clientWidth, clientHeight);
      this.canvas.width = Math.round(clientWidth * ratio);
      this.canvas.height = Math.round(clientHeight * ratio);
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.draw();
    }

    on(i) {
      const size = this.radius * this.scale;
      return [this.width / 2 + this.x + size * this.places[2 * i], this.height / 2 + this.y + size * this.places[2 * i + 1]];
    }

    // The song nearest to a place on the canvas, if one is near.
    under(x, y, reach) {
      const size = this.radius * this.scale;
      const px = (x - this.width / 2 - this.x) / size, py = (y - this.height / 2 - this.y) / size;
      const cells = Math.min(Math.ceil(reach / size * GRID), GRID);
      let best = -1, least = reach * reach;
      for (let a = -cells; a <= cells; a += 1) for (let b = -cells; b <= cells; b += 1) {
        for (const i of this.grid.get(this.cell(px + a / GRID, py + b / GRID)) || []) {
          if (!this.isShown(i)) continue;
          const dx = (this.places[2 * i] - px) * size, dy = (this.places[2 * i + 1] - py) * size;
          if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = i; }
        }
      }
      return best;
    }

    point(i) {
      if (i === this.chosen) return;
      this.chosen = i;
      this.canvas.style.cursor = i < 0 ? "grab" : "pointer";
      this.tip.hidden = i < 0;
      if (i >= 0) {
        const {titles, artists, shares} = this.data;
        const order = [0, 1, 2, 3, 4, 5].sort((a, b) => shares[6 * i + b] - shares[6 * i + a]);
        this.tip.replaceChildren();
        const title = document.createElement("b"), artist = document.createElement("span");
        title.textContent = titles[i] || this.words.untitled;
        artist.textContent = artists[i] || this.words.artist;
        const list = document.createElement("p");
        for (const e of order.slice(0, 3)) {
          const part = document.createElement("span"), dot = document.createElement("i");
          dot.className = `maeum-dot maeum-${this.names[e]}`;
          part.append(dot, `${this.words.emotions[e]} ${Math.round(shares[6 * i + e] / 2.55)}%`);
          list.append(part);
        }
        this.tip.append(title, artist, list);
        const [x, y] = this.on(i);
        this.tip.style.left = `${Math.min(Math.max(x, 110), this.width - 110)}px`;
        this.tip.style.top = `${y < 130 ? y + 16 : y - 16}px`;
        this.tip.classList.toggle("is-below", y < 130);
      }
      this.later();
    }

    choose(i) {
      this.point(i);
      if (i >= 0) window.maeumLike(this.data.ids[i]);
    }

    later() {
      if (this.waits) return;
      this.waits = true;
      requestAnimationFrame(() => { this.waits = false; this.draw(); });
    }

    colour(emotion) { return this.style.getPropertyValue(`--em-${this.names[emotion]}`); }

    draw() {
      if (!this.width || !this.canvas.isConnected) return;
      const c = this.context, n = this.data.ids.length;
      this.style = getComputedStyle(this.canvas);
      c.clearRect(0, 0, this.width, this.height);
      this.frame(c);
      const size = this.radius * this.scale, side = Math.min(Math.max(2.2 * Math.sqrt(this.scale) + 60 / Math.sqrt(n), 3), 11);
      const ox = this.width / 2 + this.x, oy = this.height / 2 + this.y;
      for (const ghosts of this.found ? [true, false] : [false]) {
        for (let emotion = 0; emotion < 6; emotion += 1) {
          if (this.hidden.has(emotion)) continue;
          c.beginPath();
          for (let i = 0; i < n; i += 1) {
            if (this.data.tops[i] !== emotion || (this.found && this.found[i] === ghosts)) continue;
            const x = ox + size * this.places[2 * i], y = oy + size * this.places[2 * i + 1];
            if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
            if (n > 4000) {
              c.rect(x - side / 2, y - side / 2, side, side);
            } else {
              c.moveTo(x + side / 2, y);
              c.arc(x, y, side / 2, 0, 2 * Math.PI);
            }
          }
          c.globalAlpha = ghosts ? 0.08 : n > 4000 ? 0.62 : 0.85;
          c.fillStyle = this.colour(emotion);
          c.fill();
        }
      }
      c.globalAlpha = 1;
      if (this.chosen >= 0) {
        const [x, y] = this.on(this.chosen);
        c.beginPath();
        c.arc(x, y, side / 2 + 4, 0, 2 * Math.PI);
        c.lineWidth = 2.5;
        c.strokeStyle = this.style.getPropertyValue("--body-text-color");
        c.stroke();
      }
    }

    // Hexagon or axes, with the emotions' names.
    frame(c) {
      const size = this.radius * this.scale, ox = this.width / 2 + this.x, oy = this.height / 2 + this.y;
      c.lineWidth = 1;
      c.strokeStyle = this.style.getPropertyValue("--border-color-primary");
      c.fillStyle = this.style.getPropertyValue("--body-text-color");
      c.font = `600 14px ${this.style.fontFamily}`;
      c.textBaseline = "middle";
      c.beginPath();
      if (this.box.dataset.view === "hexagon") {
        AROUND.forEach((emotion, k) => {
          const [x, y] = corner(emotion);
          if (k) c.lineTo(ox + size * x, oy + size * y); else c.moveTo(ox + size * x, oy + size * y);
        });
        c.closePath();
        for (const emotion of AROUND) {
          const [x, y] = corner(emotion);
          c.moveTo(ox, oy);
          c.lineTo(ox + size * x, oy + size * y);
        }
        c.stroke();
        for (const emotion of AROUND) {
          const [x, y] = corner(emotion);
          const out = size + (Math.abs(x) > 0.9 ? 4 : 18), above = Math.abs(x) > 0.9 ? 22 : 0;
          c.textAlign = Math.abs(x) > 0.9 ? (x > 0 ? "right" : "left") : "center";
          const px = Math.min(Math.max(ox + out * x, 4), this.width - 4);
          c.fillText(this.words.emotions[emotion], px, oy + out * y - above);
        }
        return;
      }
      c.rect(ox - size, oy - size, 2 * size, 2 * size);
      c.stroke();
      if (this.box.dataset.view !== "axes") return;
      const name = (control) => this.words.emotions[this.control(control).selectedIndex];
      c.textAlign = "right";
      c.fillText(`${name("across")} →`, ox + size, Math.min(oy + size + 16, this.height - 8));
      c.textAlign = "left";
      c.fillText(`↑ ${name("up")}`, Math.max(ox - size, 4), Math.max(oy - size - 14, 10));
    }
  }

  async function fill(box) {
    box.dataset.filled = "1";
    const wait = box.querySelector(".maeum-map-wait"), words = JSON.parse(box.dataset.words);
    try {
      const data = await points(box.dataset.api);
      if (!data.ids.length) { wait.textContent = words.empty; return; }
      wait.remove();
      box.emotionMap = new EmotionMap(box, data);
      const number = (n) => n.toLocaleString();
      box.querySelector(".maeum-map-note").textContent = data.shown < data.count
        ? words.shown.replace("%s", number(data.shown)).replace("%c", number(data.count)) : "";
      box.dataset.filled = "2";
    } catch (error) {
      wait.textContent = words.failed;
    }
  }

  new MutationObserver(() => {
    for (const box of document.querySelectorAll(".maeum-map-box:not([data-filled])")) fill(box);
  }).observe(document.documentElement, {childList: true, subtree: true});
})();
