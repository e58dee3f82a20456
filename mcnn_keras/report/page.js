"use strict";
// Each view shows two of its layers, left and right of a line; zoom and place hold for all layers.
(() => {
  const MOST = 40, STEP = 1.4, MOVE = 0.1;
  document.documentElement.classList.add("live");
  for (const view of document.querySelectorAll(".view")) start(view);

  function clamped(value, low, high) {
    return Math.min(high, Math.max(low, value));
  }

  // The largest of 1, 2 and 5 times a power of ten that is not above a length.
  function roundLength(most) {
    const power = 10 ** Math.floor(Math.log10(most) + 1e-9);
    return power * (most >= 5 * power ? 5 : most >= 2 * power ? 2 : 1);
  }

  function start(view) {
    const find = (what) => view.querySelector(what);
    const all = (what) => [...view.querySelectorAll(what)];
    const stage = find(".stage"), pan = find(".pan"), slider = find("input"), line = find(".line");
    const pictures = all(".pan img"), legends = all(".legend"), chosen = all("select");
    const tags = all(".tag"), bar = find(".bar"), told = find("output");
    const width = Number(view.dataset.width);
    let zoom = 1, x = 0, y = 0; // the place of the layers, as a share of the stage
    const names = pictures.map((picture) => picture.dataset.title);

    function draw() {
      const [left, right] = chosen.length ? chosen.map((c) => Number(c.value)) : [0, 0];
      const share = slider ? slider.value / 100 : 1;
      const cut = 100 * clamped((share - x) / zoom, 0, 1);
      pictures.forEach((picture, i) => {
        picture.hidden = i !== left && i !== right;
        picture.style.clipPath = left === right ? "none"
          : i === left ? `inset(0 ${100 - cut}% 0 0)` : `inset(0 0 0 ${cut}%)`;
        const enlarged = stage.clientWidth * zoom * devicePixelRatio / picture.naturalWidth;
        picture.style.imageRendering = enlarged >= 2 ? "pixelated" : "auto";
      });
      legends.forEach((legend, i) => {
        legend.hidden = i !== left && i !== right;
        legend.style.order = i === left ? 0 : 1;
      });
      pan.style.transform = `translate(${100 * x}%, ${100 * y}%) scale(${zoom})`;
      stage.classList.toggle("near", zoom > 1);
      told.textContent = `${zoom.toFixed(1)}x`;
      if (slider) {
        line.style.left = `${100 * share}%`;
        line.hidden = left === right;
        tags.forEach((tag, i) => { tag.textContent = names[[left, right][i]]; });
        const percent = Math.round(100 * share);
        slider.setAttribute("aria-valuetext",
          `${percent} % ${names[left]}, ${100 - percent} % ${names[right]}`);
      }
      if (bar) {
        const length = roundLength(width / zoom / 3);
        bar.querySelector("span").textContent = `${Number(length.toPrecision(3))} ${view.dataset.unit}`;
        bar.querySelector("i").style.width = `${100 * length * zoom / width}%`;
      }
    }

    function move(right, down) {
      x = clamped(x + right, 1 - zoom, 0);
      y = clamped(y + down, 1 - zoom, 0);
      draw();
    }

    // About a point of the stage, given as a share of it.
    function enlarge(times, across = 0.5, down = 0.5) {
      const next = clamped(zoom * times, 1, MOST);
      x = across - (across - x) * next / zoom;
      y = down - (down - y) * next / zoom;
      zoom = next;
      move(0, 0);
    }

    function slide(share) {
      if (slider) slider.value = 100 * share;
      draw();
    }

    const keys = {
      "+": () => enlarge(STEP), "=": () => enlarge(STEP), "-": () => enlarge(1 / STEP),
      "0": () => enlarge(1 / MOST),
      ArrowLeft: () => zoom > 1 ? move(MOVE, 0) : slide(slider ? slider.value / 100 - 0.02 : 1),
      ArrowRight: () => zoom > 1 ? move(-MOVE, 0) : slide(slider ? slider.value / 100 + 0.02 : 1),
      ArrowUp: () => zoom > 1 && move(0, MOVE),
      ArrowDown: () => zoom > 1 && move(0, -MOVE),
    };
    stage.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      if (zoom === 1 && /Up|Down/.test(event.key)) return; // the page scrolls
      event.preventDefault();
      act();
    });
    const acts = { in: keys["+"], out: keys["-"], all: keys["0"] };
    for (const button of all("button")) button.addEventListener("click", acts[button.value]);
    for (const input of [slider, ...chosen]) if (input) input.addEventListener("input", draw);

    function placed(event) {
      const box = stage.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    }
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      enlarge(event.deltaY < 0 ? STEP : 1 / STEP, ...placed(event));
    }, { passive: false });

    const touches = new Map();
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      touches.set(event.pointerId, placed(event));
      if (zoom === 1 && touches.size === 1 && event.pointerType === "mouse") slide(placed(event)[0]);
    });
    stage.addEventListener("pointermove", (event) => {
      const before = touches.get(event.pointerId);
      if (!before) return;
      const now = placed(event);
      touches.set(event.pointerId, now);
      if (touches.size === 2) {
        const [, other] = [...touches].find(([id]) => id !== event.pointerId);
        const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
        enlarge(apart(now) / Math.max(apart(before), 0.01), ...other);
      } else if (zoom > 1) {
        move(now[0] - before[0], now[1] - before[1]);
      } else {
        slide(now[0]);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => touches.delete(event.pointerId));
    }
    addEventListener("resize", draw);
    addEventListener("load", draw);
    draw();
  }
})();
