// The exam page. One JSON block says what there is; JPEGs and heatmaps lie beside it, as base64.
//
// Coordinates. Source pixels (row, col) are those of the file, never mirrored; the middle of pixel (0, 0) is (0, 0).
// A pane measures in units (mm where all images know their pixel size, else source pixels): `depth` from the
// chest wall towards the nipple and `down` from the top of the image. R panes have the nipple on the left, L panes on
// the right, so what is the same depth in two panes is the same place, mirrored.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const ZOOM = { least: 0.2, most: 60, step: 1.25, place: 3 };
  const MARGIN = 4; // px around what is fitted
  const CROP_LINE = "rgb(0, 190, 220)";

  const state = {
    linked: true,
    whole: false, // fit whole images instead of breasts
    single: null, // the only pane on show
    heat: false,
    finding: "both",
    crop: false,
    grey: { width: 1, level: 0, inverted: false }, // of the first window of each image
    place: null,
  };

  // ---- what the page holds ----

  function bytes(id) {
    const element = byId(id);
    const text = atob(element.textContent.trim());
    element.remove(); // decoded once: its text need not stay in memory
    const found = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place += 1) found[place] = text.charCodeAt(place);
    return found;
  }

  async function inflate(packed) {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function newCanvas(width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    return canvas;
  }

  /** The image and its halves, largest first: drawing takes the one that is just large enough. */
  function halves(bitmap) {
    const levels = [bitmap];
    for (let last = bitmap; Math.min(last.width, last.height) > 256; last = levels.at(-1)) {
      const half = newCanvas(Math.ceil(last.width / 2), Math.ceil(last.height / 2));
      const context = half.getContext("2d");
      context.imageSmoothingQuality = "medium";
      context.drawImage(last, 0, 0, half.width, half.height);
      levels.push(half);
    }
    return levels;
  }

  /** Pixels and heatmaps of one image, decoded when it is first shown. */
  function load(image) {
    image.loading ??= (async () => {
      const number = data.images.indexOf(image);
      const jpeg = new Blob([bytes(`jpeg-${number}`)], { type: "image/jpeg" });
      image.levels = halves(await createImageBitmap(jpeg));
      if (image.heat) {
        const [malignant, benign] = await Promise.all(
          ["malignant", "benign"].map((finding) => inflate(bytes(`map-${number}-${finding}`))),
        );
        image.heat.values = { malignant, benign };
      }
    })();
    return image.loading;
  }

  /** The heatmap in colour, as report/overlay.py blends it: colours in proportion, their sum at most `strength`. */
  function paintHeat(image, finding) {
    const [rows, cols] = image.heat.cells;
    const canvas = newCanvas(cols, rows);
    const picture = new ImageData(cols, rows);
    const findings = finding === "both" ? ["malignant", "benign"] : [finding];
    const strength = (value) =>
      data.strength * clamp((value / 255 - data.shown_from) / (1 - data.shown_from), 0, 1);
    for (let cell = 0; cell < rows * cols; cell += 1) {
      let share = 0;
      const colour = [0, 0, 0];
      for (const name of findings) {
        const own = strength(image.heat.values[name][cell]);
        share += own;
        data.colours[name].forEach((part, channel) => (colour[channel] += own * part));
      }
      if (share === 0) continue;
      picture.data.set(colour.map((part) => Math.round(part / share)), cell * 4);
      picture.data[cell * 4 + 3] = Math.round(255 * Math.min(share, data.strength));
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }

  function heatCanvas(image) {
    image.heat.painted ??= {};
    image.heat.painted[state.finding] ??= paintHeat(image, state.finding);
    return image.heat.painted[state.finding];
  }

  // ---- panes ----

  const panes = [...document.querySelectorAll(".pane")].map((element) => ({
    element,
    view: element.dataset.view,
    nipple: element.dataset.view.startsWith("R") ? -1 : 1, // where the nipple points on the screen
    box: element.querySelector(".pane-images"),
    canvases: ["grey", "heat", "lines"].map((name) => element.querySelector(`canvas.${name}`)),
    images: data.images.filter((image) => image.view === element.dataset.view),
    at: 0, // which of its images
    zoom: 1, // of the fit
    moved: { depth: 0, down: 0 }, // from the fit, in units
    width: 0,
    height: 0,
    drawn: true,
  }));
  const filled = panes.filter((pane) => pane.images.length > 0);
  let active = filled[0];

  const paneOf = (view) => panes.find((pane) => pane.view === view);
  const imageOf = (pane) => pane.images[pane.at];
  const unit = (image) => (data.common_mm ? image.spacing_mm : 1);
  const isShown = (pane) => pane.images.length > 0 && (state.single === null || state.single === pane);
  const together = (pane) => (state.linked ? filled : [pane]);

  /** Columns between the chest wall and an edge coordinate (pixel 0 reaches from 0 to 1). */
  const fromWall = (image, edge) => (image.faces === "left" ? image.cols - edge : edge);

  /** What "fit" shows of an image, in units. */
  function fitted(image) {
    const [top, bottom, left, right] =
      state.whole || !image.crop ? [0, image.rows, 0, image.cols] : image.crop;
    const depth = Math.max(fromWall(image, left), fromWall(image, right));
    return { depth: depth * unit(image), top: top * unit(image), bottom: bottom * unit(image) };
  }

  /** Screen px per unit at zoom 1: one scale for all panes on show, so that sizes compare. */
  function fitScale() {
    const scales = filled.filter(isShown).map((pane) => {
      const part = fitted(imageOf(pane));
      return Math.min(
        (pane.width - MARGIN) / part.depth,
        (pane.height - 2 * MARGIN) / (part.bottom - part.top),
      );
    });
    return Math.max(1e-6, Math.min(...scales));
  }

  /**
   * What stands in the middle of a pane, in units, and px per unit. Fitted images touch the middle of the page, so that
   * the chest walls meet; an image alone stands in the middle of its pane.
   */
  function geometry(pane) {
    const fit = fitScale();
    const part = fitted(imageOf(pane));
    return {
      scale: fit * pane.zoom,
      depth: (state.single === null ? pane.width / fit : part.depth) / 2 + pane.moved.depth,
      down: (part.top + part.bottom) / 2 + pane.moved.down,
    };
  }

  /** Edge coordinates of the file -> px in the pane. */
  function toPane(pane, rowEdge, colEdge) {
    const image = imageOf(pane);
    const { scale, depth, down } = geometry(pane);
    const nippleward = (fromWall(image, colEdge) * unit(image) - depth) * scale;
    return {
      x: pane.width / 2 + pane.nipple * nippleward,
      y: pane.height / 2 + (rowEdge * unit(image) - down) * scale,
    };
  }

  /** px in the pane -> the pixel of the file, with fractions. */
  function toSource(pane, x, y) {
    const image = imageOf(pane);
    const { scale, depth, down } = geometry(pane);
    const wall = ((pane.nipple * (x - pane.width / 2)) / scale + depth) / unit(image);
    const colEdge = image.faces === "left" ? image.cols - wall : wall;
    return { row: ((y - pane.height / 2) / scale + down) / unit(image) - 0.5, col: colEdge - 0.5 };
  }

  // ---- moving ----

  /** Moves by px on the pane's screen; linked panes move as much, mirrored. */
  function pan(pane, dx, dy) {
    const towardsNipple = pane.nipple * dx;
    for (const other of together(pane)) {
      const { scale } = geometry(other);
      other.moved.depth -= towardsNipple / scale;
      other.moved.down -= dy / scale;
      draw(other);
    }
  }

  /** Zooms so that what lies under (x, y) of the pane stays there; in linked panes, at the mirrored place. */
  function zoom(pane, factor, x = pane.width / 2, y = pane.height / 2) {
    const real = clamp(pane.zoom * factor, ZOOM.least, ZOOM.most) / pane.zoom;
    const nippleward = pane.nipple * (x - pane.width / 2);
    const down = y - pane.height / 2;
    for (const other of together(pane)) {
      const before = geometry(other).scale;
      other.zoom *= real;
      other.moved.depth += nippleward / before - nippleward / (before * real);
      other.moved.down += down / before - down / (before * real);
      draw(other);
    }
  }

  function fit(which = filled) {
    for (const pane of which) {
      pane.zoom = 1;
      pane.moved = { depth: 0, down: 0 };
    }
    drawAll();
  }

  function fitWhole(whole) {
    state.whole = whole;
    fit();
  }

  /** The place in the middle of its pane, near enough to be looked at, with a ring around it. */
  function showPlace(number) {
    const place = data.places[number];
    const image = data.images[place.image];
    const pane = paneOf(image.view);
    if (state.single !== null) showOnly(pane);
    choose(pane, pane.images.indexOf(image));
    state.place = place;
    if (pane.zoom < ZOOM.place) zoom(pane, ZOOM.place / pane.zoom);
    const at = toPane(pane, place.row + 0.5, place.col + 0.5);
    pan(pane, pane.width / 2 - at.x, pane.height / 2 - at.y);
    active = pane;
    for (const button of document.querySelectorAll("[data-place]")) {
      if (Number(button.dataset.place) === number) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    readOut(pane, pane.width / 2, pane.height / 2);
    drawAll();
  }

  function showNextPlace() {
    if (data.places.length === 0) return;
    const number = (data.places.indexOf(state.place) + 1) % data.places.length;
    showPlace(number);
    document.querySelector(`[data-place="${number}"]`).scrollIntoView({ block: "nearest" });
  }

  function choose(pane, at) {
    if (at === pane.at) return;
    pane.at = at;
    for (const button of pane.element.querySelectorAll("[data-choose]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.choose) === at));
    }
    prepare(pane);
    drawAll();
  }

  function showOnly(pane) {
    keepMiddles(() => {
      state.single = pane;
      byId("hanging").classList.toggle("single", pane !== null);
      for (const other of panes) other.element.hidden = pane !== null && other !== pane;
      measure();
    });
  }

  // ---- drawing ----

  let frame = null;

  function draw(pane) {
    pane.drawn = false;
    frame ??= requestAnimationFrame(drawWaiting);
  }

  function drawAll() {
    filled.forEach(draw);
  }

  function drawWaiting() {
    frame = null;
    for (const pane of filled.filter((candidate) => !candidate.drawn && isShown(candidate))) {
      pane.drawn = true;
      drawPane(pane);
    }
  }

  function drawPane(pane) {
    const image = imageOf(pane);
    const [grey, heat, lines] = pane.canvases.map((canvas) => cleared(canvas, pane));
    if (image.levels) {
      toImage(grey, pane);
      grey.drawImage(levelFor(pane, image), 0, 0, image.cols, image.rows);
    }
    if (state.heat && image.heat?.values) {
      const { left, top, width, height } = image.heat;
      toImage(heat, pane);
      heat.drawImage(heatCanvas(image), left, top, width, height);
    }
    if (state.crop && image.crop) drawCrop(lines, pane, image.crop);
    if (state.place && data.images[state.place.image] === image) drawRing(lines, pane, state.place);
    if (image.spacing_mm) drawScaleBar(lines, pane, image);
  }

  /** The context of a canvas of the pane's size, empty, in CSS px. */
  function cleared(canvas, pane) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(pane.width * ratio), Math.round(pane.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(width / pane.width, 0, 0, height / pane.height, 0, 0);
    context.imageSmoothingQuality = "medium";
    return context;
  }

  /** From here on, the context draws in edge coordinates of the file. */
  function toImage(context, pane) {
    const image = imageOf(pane);
    const from = toPane(pane, 0, 0);
    const to = toPane(pane, image.rows, image.cols);
    context.transform((to.x - from.x) / image.cols, 0, 0, (to.y - from.y) / image.rows, from.x, from.y);
  }

  function levelFor(pane, image) {
    const wanted = geometry(pane).scale * unit(image) * image.cols * (window.devicePixelRatio || 1);
    return image.levels.findLast((level) => level.width >= wanted) ?? image.levels[0];
  }

  function drawCrop(context, pane, [top, bottom, left, right]) {
    const from = toPane(pane, top, left);
    const to = toPane(pane, bottom, right);
    context.strokeStyle = CROP_LINE;
    context.lineWidth = 1;
    context.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
  }

  function drawRing(context, pane, place) {
    const { x, y } = toPane(pane, place.row + 0.5, place.col + 0.5);
    const rings = [
      [4, "rgba(0, 0, 0, 0.7)"],
      [2, `rgb(${data.colours[place.finding].join(", ")})`],
    ];
    for (const [width, colour] of rings) {
      context.beginPath();
      context.arc(x, y, 26, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  function drawScaleBar(context, pane, image) {
    const pxPerMm = (geometry(pane).scale * unit(image)) / image.spacing_mm;
    const mm = [100, 50, 20, 10, 5, 2, 1, 0.5].find((length) => length * pxPerMm <= pane.width / 4) ?? 0.2;
    const [y, outer] = [pane.height - 10, pane.nipple < 0 ? 10 : pane.width - 10];
    const inner = outer - pane.nipple * mm * pxPerMm;
    context.beginPath();
    context.moveTo(outer, y - 4);
    context.lineTo(outer, y);
    context.lineTo(inner, y);
    context.lineTo(inner, y - 4);
    context.strokeStyle = "rgb(211, 216, 220)";
    context.lineWidth = 1.5;
    context.stroke();
    context.fillStyle = "rgb(211, 216, 220)";
    context.font = "11px system-ui, sans-serif";
    context.textAlign = pane.nipple < 0 ? "left" : "right";
    context.fillText(`${mm >= 10 ? mm / 10 : mm} ${mm >= 10 ? "cm" : "mm"}`, outer, y - 8);
  }

  // ---- grey window ----

  /** Black and white of an image, in values of its file. */
  function greyWindow(image) {
    const [dark, bright] = image.shown;
    const width = (bright - dark) * state.grey.width;
    const centre = (dark + bright) / 2 + (bright - dark) * state.grey.level;
    return { centre, width, dark: centre - width / 2 };
  }

  /** A filter on the pane's canvas does it, so the image is not drawn again. */
  function setFilter(pane) {
    const image = imageOf(pane);
    const { centre, width, dark } = greyWindow(image);
    const [low, high] = image.held;
    const sign = state.grey.inverted ? -1 : 1;
    const slope = (sign * (high - low)) / width;
    const intercept = (sign * (low - dark)) / width + (state.grey.inverted ? 1 : 0);
    for (const channel of document.querySelectorAll(`#window-${pane.view} feComponentTransfer > *`)) {
      channel.setAttribute("slope", slope);
      channel.setAttribute("intercept", intercept);
    }
    pane.canvases[0].style.filter = `url(#window-${pane.view})`;
    pane.element.querySelector(".pane-window").textContent = `W ${Math.round(width)}  L ${Math.round(centre)}`;
  }

  function setGrey(change) {
    Object.assign(state.grey, change);
    state.grey.width = clamp(state.grey.width, 0.05, 3);
    state.grey.level = clamp(state.grey.level, -1, 1);
    byId("width").value = Math.round(state.grey.width * 100);
    byId("level").value = Math.round(state.grey.level * 100);
    byId("invert").setAttribute("aria-pressed", String(state.grey.inverted));
    filled.forEach(setFilter);
  }

  // ---- what the page says ----

  function heatAt(image, row, col) {
    if (!image.heat?.values) return null;
    const { left, top, width, height, cells, values } = image.heat;
    const y = Math.floor(((row + 0.5 - top) / height) * cells[0]);
    const x = Math.floor(((col + 0.5 - left) / width) * cells[1]);
    if (y < 0 || x < 0 || y >= cells[0] || x >= cells[1]) return null;
    const cell = y * cells[1] + x;
    return { malignant: values.malignant[cell] / 255, benign: values.benign[cell] / 255 };
  }

  function readOut(pane, x, y) {
    const image = imageOf(pane);
    const at = toSource(pane, x, y);
    const [row, col] = [Math.round(at.row), Math.round(at.col)];
    const inside = row >= 0 && col >= 0 && row < image.rows && col < image.cols;
    const heat = inside ? heatAt(image, row, col) : null;
    const parts = [inside ? `${pane.view}  row ${row}, col ${col}` : `${pane.view}  outside the image`];
    if (heat) parts.push(`malignant ${heat.malignant.toFixed(2)}`, `benign ${heat.benign.toFixed(2)}`);
    else if (inside && image.heat) parts.push("outside the heatmap");
    byId("readout").textContent = parts.join("  ·  ");
  }

  /** Everything about a pane that changes with its image. */
  function prepare(pane) {
    const image = imageOf(pane);
    const message = pane.element.querySelector(".loading");
    pane.element.querySelector(".mirrored-note").hidden = !image.mirrored;
    pane.element.querySelector(".unread-note").hidden = image.read;
    message.hidden = Boolean(image.levels);
    setFilter(pane);
    return load(image).then(
      () => {
        if (imageOf(pane) === image) message.hidden = true;
        draw(pane);
      },
      (error) => {
        message.textContent = "this image could not be decoded";
        throw error;
      },
    );
  }

  // ---- sizes ----

  function measure() {
    for (const pane of panes) {
      const { width, height } = pane.box.getBoundingClientRect();
      if (width > 0 && height > 0) Object.assign(pane, { width, height });
    }
    drawAll();
  }

  /** What is in the middle of a pane that was moved stays there, at its size in the fit, while panes change size. */
  function keepMiddles(change) {
    const moved = filled.filter((pane) => pane.zoom !== 1 || pane.moved.depth !== 0 || pane.moved.down !== 0);
    const before = moved.map((pane) => geometry(pane));
    change();
    moved.forEach((pane, number) => {
      const after = geometry(pane);
      pane.moved.depth += before[number].depth - after.depth;
      pane.moved.down += before[number].down - after.down;
    });
  }

  // ---- mouse and touch ----

  function listenTo(pane) {
    const fingers = new Map(); // pointer id -> where it is
    const place = (event) => {
      const box = pane.box.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    let setsWindow = false;

    pane.box.addEventListener("pointerdown", (event) => {
      if (event.button === 1) return;
      active = pane;
      setsWindow = event.button === 2 || event.shiftKey;
      fingers.set(event.pointerId, place(event));
      pane.box.setPointerCapture(event.pointerId);
      pane.box.classList.toggle("dragging", !setsWindow);
    });

    pane.box.addEventListener("pointermove", (event) => {
      const now = place(event);
      const before = fingers.get(event.pointerId);
      active = fingers.size === 0 ? pane : active;
      if (before) {
        fingers.set(event.pointerId, now);
        if (fingers.size === 2) pinch(pane, fingers, event.pointerId, before);
        else if (setsWindow) dragWindow(now.x - before.x, now.y - before.y);
        else pan(pane, now.x - before.x, now.y - before.y);
      }
      readOut(pane, now.x, now.y);
    });

    for (const end of ["pointerup", "pointercancel"]) {
      pane.box.addEventListener(end, (event) => {
        fingers.delete(event.pointerId);
        pane.box.classList.remove("dragging");
      });
    }

    pane.box.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = place(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      zoom(pane, Math.exp(-clamp(event.deltaY * lines, -240, 240) * 0.0018), x, y);
    }, { passive: false });

    pane.box.addEventListener("dblclick", () => fit(together(pane)));
    pane.box.addEventListener("contextmenu", (event) => event.preventDefault());
    pane.element.addEventListener("focus", () => (active = pane));
    pane.element.querySelector(".maximise").addEventListener("click", () => toggleSingle(pane));
    for (const button of pane.element.querySelectorAll("[data-choose]")) {
      button.addEventListener("click", () => choose(pane, Number(button.dataset.choose)));
    }
  }

  function pinch(pane, fingers, movedId, before) {
    const [other] = [...fingers].filter(([id]) => id !== movedId).map(([, at]) => at);
    const now = fingers.get(movedId);
    const distance = (a, b) => Math.max(20, Math.hypot(a.x - b.x, a.y - b.y));
    zoom(pane, distance(now, other) / distance(before, other), (now.x + other.x) / 2, (now.y + other.y) / 2);
    pan(pane, (now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  function dragWindow(dx, dy) {
    setGrey({ width: state.grey.width * Math.exp(dx / 200), level: state.grey.level + dy / 400 });
  }

  // ---- buttons and keys ----

  function toggleSingle(pane) {
    if (pane.images.length === 0) return;
    showOnly(state.single === pane ? null : pane);
    active = pane;
  }

  function toggle(name, id) {
    state[name] = !state[name];
    byId(id).setAttribute("aria-pressed", String(state[name]));
    drawAll();
  }

  function showFinding(finding) {
    if (!byId("heat")) return;
    state.finding = finding;
    for (const button of document.querySelectorAll("[data-finding]")) {
      button.setAttribute("aria-pressed", String(button.dataset.finding === finding));
    }
    if (!state.heat) toggle("heat", "heat");
    drawAll();
  }

  function showAll() {
    if (state.single !== null) showOnly(null);
    fitWhole(false);
  }

  const KEYS = {
    h: () => byId("heat") && toggle("heat", "heat"),
    m: () => showFinding("malignant"),
    b: () => showFinding("benign"),
    a: () => showFinding("both"),
    i: () => setGrey({ inverted: !state.grey.inverted }),
    l: () => toggle("linked", "link"),
    c: () => toggle("crop", "crop"),
    r: () => setGrey({ width: 1, level: 0, inverted: false }),
    w: () => fitWhole(!state.whole),
    n: showNextPlace,
    0: showAll,
    Escape: showAll,
    "+": () => zoom(active, ZOOM.step),
    "=": () => zoom(active, ZOOM.step),
    "-": () => zoom(active, 1 / ZOOM.step),
    ArrowLeft: () => pan(active, 40, 0),
    ArrowRight: () => pan(active, -40, 0),
    ArrowUp: () => pan(active, 0, 40),
    ArrowDown: () => pan(active, 0, -40),
    ",": () => setGrey({ width: state.grey.width / 1.1 }),
    ".": () => setGrey({ width: state.grey.width * 1.1 }),
    "[": () => setGrey({ level: state.grey.level - 0.05 }),
    "]": () => setGrey({ level: state.grey.level + 0.05 }),
    "?": () => byId("help").showModal(),
  };
  for (const [number, pane] of panes.entries()) KEYS[number + 1] = () => toggleSingle(pane);

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const moves = key.startsWith("Arrow");
    if (moves && event.target.closest("input, [role=tablist], .panel")) return; // they have their own use for arrows
    if (!Object.hasOwn(KEYS, key) || filled.length === 0) return;
    event.preventDefault();
    KEYS[key]();
  }

  function onClick(id, action) {
    byId(id)?.addEventListener("click", action);
  }

  function listenToTools() {
    onClick("heat", KEYS.h);
    onClick("link", KEYS.l);
    onClick("crop", KEYS.c);
    onClick("invert", KEYS.i);
    onClick("reset-window", KEYS.r);
    onClick("fit", showAll);
    onClick("whole", () => fitWhole(true));
    onClick("show-help", KEYS["?"]);
    onClick("close-help", () => byId("help").close());
    byId("width").addEventListener("input", (event) => setGrey({ width: event.target.value / 100 }));
    byId("level").addEventListener("input", (event) => setGrey({ level: event.target.value / 100 }));
    byId("opacity")?.addEventListener("input", (event) => {
      for (const pane of filled) pane.canvases[1].style.opacity = event.target.value / 100;
    });
    for (const button of document.querySelectorAll("[data-finding]")) {
      button.addEventListener("click", () => showFinding(button.dataset.finding));
    }
    for (const button of document.querySelectorAll("[data-place]")) {
      button.addEventListener("click", () => showPlace(Number(button.dataset.place)));
    }
    document.addEventListener("keydown", onKey);
  }

  function listenToTabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const select = (chosen) => {
      for (const tab of tabs) {
        tab.setAttribute("aria-selected", String(tab === chosen));
        tab.tabIndex = tab === chosen ? 0 : -1;
        byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
      }
    };
    tabs.forEach((tab, number) => {
      tab.addEventListener("click", () => select(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        const next = tabs[(number + step + tabs.length) % tabs.length];
        select(next);
        next.focus();
      });
    });
    select(tabs[0]);
  }

  // ---- start ----

  listenToTools();
  listenToTabs();
  filled.forEach(listenTo);
  measure();
  new ResizeObserver(() => keepMiddles(measure)).observe(byId("hanging"));
  const ready = Promise.all(filled.map(prepare)).then(() => new Promise((done) => requestAnimationFrame(done)));

  /** For scripts that look at the page from outside: where a pixel of the file is on the screen, and back. */
  window.fourview = Object.freeze({
    ready,
    panes: Object.freeze({
      sourceToScreen(view, row, col) {
        const pane = paneOf(view);
        const box = pane.box.getBoundingClientRect();
        const { x, y } = toPane(pane, row + 0.5, col + 0.5);
        return { x: box.left + x, y: box.top + y };
      },
      screenToSource(view, x, y) {
        const pane = paneOf(view);
        const box = pane.box.getBoundingClientRect();
        return toSource(pane, x - box.left, y - box.top);
      },
    }),
  });
})();
