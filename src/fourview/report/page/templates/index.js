"use strict";
// The table of a run. All texts that came from outside are set as textContent, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { columns, texts } = data;
  const count = columns.exam.length;
  const PAGE = 100; // rows at a time: 20,000 rows with pictures would make any browser slow
  const MOST_PRINTED = 1000;
  const HANGING = ["R-CC", "L-CC", "R-MLO", "L-MLO"]; // the right breast on the viewer's left
  const QUICK = ["all", "read", "failed", "warnings", "marks"];
  const byId = (id) => document.getElementById(id);
  const table = byId("exams");
  const body = table.tBodies[0];
  const cells = [...table.tHead.rows].reduce((n, row) => n + row.querySelectorAll("th[data-key]").length, 0)
    + (data.pages ? 1 : 0);
  const grouped = new Intl.NumberFormat("en-US");

  // ---- columns

  const larger = columns.exam.map((_, i) => {
    const found = [columns.right_malignant[i], columns.left_malignant[i]].filter((p) => p !== null);
    return found.length ? Math.max(...found) : null;
  });
  const keysOf = (i) => texts[columns.images[i]].split(" ").filter(Boolean);
  const views = columns.exam.map((_, i) =>
    columns.failed[i] ? null : new Set(keysOf(i).map((key) => key.split("_")[0])).size);
  const amount = (column) => columns.exam.map((_, i) => (columns.failed[i] ? null : column[i].length));
  // Texts sort by their rank, which is worked out once, so that sorting again is quick.
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const rankOf = (values) => {
    const known = [...new Set(values)].filter((v) => v !== "").sort(collator.compare);
    const rank = new Map(known.map((v, n) => [v, n]));
    return values.map((v) => (v === "" ? null : rank.get(v)));
  };
  const sortable = {
    number: { values: () => columns.number },
    exam: { values: () => rankOf(columns.exam) },
    label: { values: () => (columns.label ? rankOf(columns.label) : columns.number.map(() => null)) },
    right_malignant: { values: () => columns.right_malignant, high: true },
    left_malignant: { values: () => columns.left_malignant, high: true },
    larger: { values: () => larger, high: true },
    sd: { values: () => columns.sd, high: true },
    right_benign: { values: () => columns.right_benign, high: true },
    left_benign: { values: () => columns.left_benign, high: true },
    views: { values: () => views },
    warnings: { values: () => amount(columns.warnings), high: true },
    marks: { values: () => amount(columns.marks), high: true },
    status: { values: () => columns.failed.map((failed) => 1 - failed) },
  };
  for (const column of Object.values(sortable)) {
    const work = column.values;
    let known = null;
    column.values = () => (known ??= work());
  }

  // ---- state: what the address of the page holds

  const INITIAL = { q: "", show: "all", least: null, sort: "", down: false, page: 0, exam: "" };
  let state = { ...INITIAL };
  let shown = []; // indexes of the exams that fit the filter, in the chosen order
  let current = -1; // place in `shown` of the row that the keyboard is on
  const open = new Set(); // exams whose details are shown

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const least = Number.parseFloat(given.get("least") ?? "");
    return {
      q: given.get("q") ?? "",
      show: QUICK.includes(given.get("show")) ? given.get("show") : "all",
      least: Number.isFinite(least) ? least : null,
      sort: Object.hasOwn(sortable, given.get("sort") ?? "") ? given.get("sort") : "",
      down: given.get("order") === "down",
      page: Math.max(0, (Number.parseInt(given.get("page") ?? "1", 10) || 1) - 1),
      exam: given.get("exam") ?? "",
    };
  }

  let written = null;
  function writeAddress() {
    const now = new URLSearchParams();
    if (state.q) now.set("q", state.q);
    if (state.show !== "all") now.set("show", state.show);
    if (state.least !== null) now.set("least", String(state.least));
    if (state.sort) now.set("sort", state.sort);
    if (state.sort && state.down) now.set("order", "down");
    if (state.page) now.set("page", String(state.page + 1));
    if (state.exam) now.set("exam", state.exam);
    written = now.toString();
    if (written === location.hash.slice(1)) return;
    history.replaceState(null, "", written ? `#${written}` : location.pathname + location.search);
  }

  // ---- filter and order

  let haystacks = null;
  function haystack(i) {
    haystacks ??= columns.exam.map((exam, n) => [
      exam,
      columns.label ? columns.label[n] : "",
      columns.failed[n] ? "failed" : "read",
      texts[columns.reason[n]],
      ...columns.warnings[n].map((t) => texts[t]),
      ...columns.marks[n].map((t) => texts[t]),
      columns.names[n],
    ].join("\n").toLowerCase());
    return haystacks[i];
  }

  const fitsQuick = {
    all: () => true,
    read: (i) => !columns.failed[i],
    failed: (i) => Boolean(columns.failed[i]),
    warnings: (i) => columns.warnings[i].length > 0,
    marks: (i) => columns.marks[i].length > 0,
  };

  function fits(i, words) {
    if (!fitsQuick[state.show](i)) return false;
    if (state.least !== null && !(larger[i] !== null && larger[i] >= state.least)) return false;
    return words.every((word) => haystack(i).includes(word));
  }

  /** Stable; missing values last both ways; ties in input order. */
  function sorted(indexes) {
    if (!state.sort) return indexes;
    const values = sortable[state.sort].values();
    const there = indexes.filter((i) => values[i] !== null);
    const missing = indexes.filter((i) => values[i] === null);
    const sign = state.down ? -1 : 1;
    there.sort((a, b) => sign * (values[a] - values[b]) || a - b);
    return there.concat(missing);
  }

  // ---- drawing

  function make(tag, { text, ...set } = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(set)) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    if (text !== undefined) element.textContent = text;
    element.append(...children);
    return element;
  }
  const outside = (text) => make("bdi", { text });
  const decimal = (p) => (p === null ? "–" : p.toFixed(4));
  const folder = (i) => `exams/${encodeURIComponent(columns.exam[i])}`;
  const record = (i) => `${folder(i)}/reading.json`;
  const page = (i) => (data.pages ? `${folder(i)}/exam.html` : record(i));

  function numberCell(p, kind) {
    return make("td", { class: p === null ? `${kind} missing` : kind, text: decimal(p) });
  }

  function pictures(i) {
    const keys = keysOf(i);
    const link = make("a", { href: page(i), tabindex: "-1", "aria-label": `Images of exam ${columns.exam[i]}` });
    for (const view of HANGING) {
      const slot = make("span", { class: `slot ${view[0]}` });
      if (keys.includes(view)) {
        const source = `${folder(i)}/thumbnail_${encodeURIComponent(view)}.png`;
        slot.append(make("img", { loading: "lazy", decoding: "async", alt: "", title: view, src: source }));
      } else {
        slot.classList.add("empty");
        slot.title = `no ${view}`;
      }
      link.append(slot);
    }
    return make("td", { class: "pictures" }, link);
  }

  function countCell(i, kind) {
    const number = columns[kind][i].length;
    const cell = make("td", { class: "number count" });
    if (number === 0) {
      cell.textContent = "0";
      cell.classList.add("missing");
    } else {
      cell.append(make("button", {
        type: "button", class: `count ${kind}`, "data-details": i, "aria-expanded": String(open.has(i)), text: number,
        "aria-label": `${number} ${kind} of exam ${columns.exam[i]}`,
        title: columns[kind][i].map((t) => texts[t]).join("\n"),
      }));
    }
    return cell;
  }

  function rowOf(place) {
    const i = shown[place];
    const row = make("tr", { "data-place": place, "aria-rowindex": place + 3, tabindex: place === current ? "0" : "-1" });
    row.append(make("td", { class: "place", text: columns.number[i] }));
    if (columns.failed[i]) row.append(make("td", { class: "id", text: columns.exam[i] || "–" }));
    else {
      row.append(make("td", { class: "id" },
        make("a", { href: page(i), text: columns.exam[i] }),
        data.pages ? make("a", { class: "json", href: record(i), text: "json", title: "reading.json" }) : ""));
    }
    if (data.ids) row.append(make("td", { class: "label" }, outside(columns.label?.[i] || "–")));
    if (columns.failed[i]) {
      row.className = "failed";
      const wide = cells - 3 - (data.ids ? 1 : 0);
      row.append(make("td", { colspan: wide, class: "reason" }, outside(texts[columns.reason[i]]),
        columns.names[i] ? make("small", {}, outside(columns.names[i])) : ""));
    } else {
      if (data.pages) row.append(pictures(i));
      const bar = numberCell(larger[i], "number larger");
      bar.style.setProperty("--p", larger[i] ?? 0);
      row.append(
        numberCell(columns.right_malignant[i], "number first"),
        numberCell(columns.left_malignant[i], "number"),
        bar,
        numberCell(columns.sd[i], "number faint"),
        numberCell(columns.right_benign[i], "number first"),
        numberCell(columns.left_benign[i], "number"),
        viewsCell(i),
        countCell(i, "warnings"),
        countCell(i, "marks"),
      );
    }
    row.append(make("td", { class: "status" },
      make("span", { class: columns.failed[i] ? "pill bad" : "pill", text: columns.failed[i] ? "failed" : "read" })));
    return row;
  }

  function viewsCell(i) {
    const images = keysOf(i).length;
    const more = images > views[i];
    return make("td", {
      class: views[i] < 4 ? "number few" : "number",
      text: more ? `${views[i]}+` : views[i],
      title: `${images} images of ${views[i]} views: ${keysOf(i).join(", ")}`,
    });
  }

  function detailsOf(i) {
    const cell = make("div", { class: "parts" });
    const list = (title, items) => {
      if (!items.length) return;
      const part = make("div", {}, make("h3", { text: title }), make("ul", {}));
      part.lastChild.append(...items.map((text) => make("li", {}, outside(text))));
      cell.append(part);
    };
    list("Warnings", columns.warnings[i].map((t) => texts[t]));
    list("Reasons to distrust", columns.marks[i].map((t) => texts[t]));
    const scores = columns.scores?.[i];
    if (scores) cell.append(make("div", {}, make("h3", { text: "Images" }), scoreTable(scores)));
    if (columns.names[i]) list("Files", columns.names[i].split("; "));
    if (!cell.childNodes.length) cell.append(make("p", { text: "No warnings, no marks." }));
    return make("tr", { class: "details", "data-of": i }, make("td", { colspan: cells }, cell));
  }

  function scoreTable(scores) {
    const head = make("tr", {}, ...["view", "p_malignant", "sd", "p_benign"].map((text) => make("th", { text })));
    const rank = (view) => (HANGING.indexOf(view) + HANGING.length) % HANGING.length;
    const inOrder = scores.view.map((_, n) => n).sort((a, b) => rank(scores.view[a]) - rank(scores.view[b]) || a - b);
    const rows = inOrder.map((n) => make("tr", {},
      make("td", { text: scores.view[n] }),
      numberCell(scores.malignant[n], "number"), numberCell(scores.sd[n], "number faint"),
      numberCell(scores.benign[n], "number")));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  }

  function drawRows(first, last) {
    const rows = [];
    for (let place = first; place < last; place += 1) {
      rows.push(rowOf(place));
      if (open.has(shown[place])) rows.push(detailsOf(shown[place]));
    }
    if (!rows.length) {
      const text = count ? "No exam fits the filter." : "There are no exams in this run.";
      rows.push(make("tr", { class: "nothing" }, make("td", { colspan: cells, text })));
    }
    body.replaceChildren(...rows);
  }

  function drawHead() {
    for (const head of table.tHead.querySelectorAll("th[data-key]")) {
      const chosen = head.dataset.key === state.sort;
      head.setAttribute("aria-sort", chosen ? (state.down ? "descending" : "ascending") : "none");
    }
  }

  function drawBar() {
    if (byId("filter").value !== state.q) byId("filter").value = state.q;
    const least = state.least === null ? "" : String(state.least);
    if (Number.parseFloat(byId("least").value) !== state.least) byId("least").value = least;
    for (const button of document.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", String(button.dataset.show === state.show));
    }
    const filtered = Boolean(state.q || state.show !== "all" || state.least !== null);
    byId("clear").hidden = !filtered;
    byId("shown").textContent = filtered
      ? `${grouped.format(shown.length)} of ${grouped.format(count)} exams`
      : `${grouped.format(count)} ${data.total > count ? "listed exams" : count === 1 ? "exam" : "exams"}`;
    // A failed exam that a filter hides must not be forgotten.
    const failed = columns.failed.reduce((a, b) => a + b, 0);
    const hidden = failed - shown.reduce((n, i) => n + columns.failed[i], 0);
    if (hidden) byId("shown").append(make("span", { class: "hidden-failed", text: `${grouped.format(hidden)} failed hidden` }));
    const last = pages() - 1;
    byId("pager").hidden = last === 0;
    byId("page").textContent = `${state.page + 1} / ${last + 1}`;
    byId("before").disabled = state.page === 0;
    byId("after").disabled = state.page === last;
  }

  const pages = () => Math.max(1, Math.ceil(shown.length / PAGE));

  /** The state as it is, drawn. The row of the exam in the address stays the current one. */
  function draw({ seek = false } = {}) {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const all = columns.exam.map((_, i) => i);
    shown = sorted(all.filter((i) => fits(i, words)));
    current = state.exam ? shown.findIndex((i) => columns.exam[i] === state.exam) : -1;
    if (current < 0) state.exam = "";
    if (seek && current >= 0) state.page = Math.floor(current / PAGE);
    drawPage();
  }

  function drawPage() {
    state.page = Math.min(state.page, pages() - 1);
    const first = state.page * PAGE;
    drawRows(first, Math.min(shown.length, first + PAGE));
    table.setAttribute("aria-rowcount", String(shown.length + 2));
    const onPage = body.querySelector(`tr[data-place="${current}"]`) ?? body.querySelector("tr[data-place]");
    if (onPage) onPage.tabIndex = 0;
    mark();
    drawHead();
    drawBar();
    writeAddress();
  }

  // ---- rows and the keyboard

  const rowAt = (place) => body.querySelector(`tr[data-place="${place}"]`);

  function mark() {
    for (const row of body.querySelectorAll("tr.current")) row.classList.remove("current");
    rowAt(current)?.classList.add("current");
  }

  function goTo(place, { focus = true } = {}) {
    if (!shown.length) return;
    const to = Math.max(0, Math.min(shown.length - 1, place));
    body.querySelector('tr[tabindex="0"]')?.setAttribute("tabindex", "-1");
    current = to;
    state.exam = columns.exam[shown[to]];
    if (Math.floor(to / PAGE) !== state.page) {
      state.page = Math.floor(to / PAGE);
      drawPage();
    }
    const row = rowAt(to);
    row.tabIndex = 0;
    mark();
    if (focus) row.focus({ preventScroll: true });
    bringIntoView(row);
    writeAddress();
  }

  function bringIntoView(row) {
    const top = table.tHead.getBoundingClientRect().bottom;
    const box = row.getBoundingClientRect();
    if (box.top < top) window.scrollBy(0, box.top - top - 4);
    else if (box.bottom > window.innerHeight) window.scrollBy(0, box.bottom - window.innerHeight + 4);
  }

  function toggleDetails(i) {
    const row = rowAt(shown.indexOf(i));
    if (!row || columns.failed[i]) return;
    if (open.delete(i)) row.nextElementSibling.remove();
    else {
      open.add(i);
      row.after(detailsOf(i));
      bringIntoView(row.nextElementSibling);
      bringIntoView(row);
    }
    for (const button of row.querySelectorAll("[data-details]")) {
      button.setAttribute("aria-expanded", String(open.has(i)));
    }
  }

  function turnTo(number) {
    const to = Math.max(0, Math.min(pages() - 1, number));
    if (to === state.page) return;
    state.page = to;
    current = -1;
    state.exam = "";
    drawPage();
    toTable();
  }

  /** The first row below the bar, if the reader has scrolled past it. */
  function toTable() {
    const past = byId("bar").getBoundingClientRect().bottom - table.getBoundingClientRect().top;
    if (past > 1) window.scrollBy(0, -past);
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    const typing = target.matches("input");
    if (event.key === "Escape" && typing) {
      if (target.id === "filter" && target.value) {
        state.q = "";
        changeFilter();
      } else target.blur();
      return;
    }
    if (event.key === "/" && !typing) {
      event.preventDefault();
      byId("filter").focus();
      byId("filter").select();
      return;
    }
    if (event.key === "ArrowDown" && target.id === "filter") {
      event.preventDefault();
      apply();
      goTo(state.page * PAGE);
      return;
    }
    if (typing) return;
    const inRow = target.matches("tr[data-place]");
    const from = current >= 0 && Math.floor(current / PAGE) === state.page ? current : state.page * PAGE - 1;
    const todo = {
      j: () => goTo(from + 1),
      ArrowDown: () => goTo(from + 1),
      k: () => goTo(Math.max(from, 0) - 1),
      ArrowUp: () => goTo(Math.max(from, 0) - 1),
      "]": () => turnTo(state.page + 1),
      "[": () => turnTo(state.page - 1),
    }[event.key] ?? (inRow && {
      Home: () => goTo(0),
      End: () => goTo(shown.length - 1),
      Enter: () => rowAt(current)?.querySelector("td.id a")?.click(),
      " ": () => toggleDetails(shown[current]),
    }[event.key]);
    if (!todo) return;
    event.preventDefault();
    todo();
  }

  // ---- what a reader does

  function changeFilter() {
    state.page = 0;
    draw();
    toTable();
  }

  let waiting = 0;
  function apply() {
    clearTimeout(waiting);
    const least = Number.parseFloat(byId("least").value);
    const q = byId("filter").value;
    const now = Number.isFinite(least) ? least : null;
    if (q === state.q && now === state.least) return;
    state.q = q;
    state.least = now;
    changeFilter();
  }
  for (const id of ["filter", "least"]) {
    byId(id).addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, count > 2000 ? 150 : 60);
    });
    byId(id).addEventListener("change", apply);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.show) {
      state.show = button.dataset.show;
      changeFilter();
    } else if (button?.closest("th[data-key]")) {
      sortBy(button.closest("th").dataset.key);
    } else if (button?.dataset.details) {
      const i = Number(button.dataset.details);
      goTo(shown.indexOf(i), { focus: false });
      toggleDetails(i);
    } else if (button?.id === "clear") {
      state = { ...state, q: "", show: "all", least: null };
      byId("least").value = "";
      changeFilter();
    } else if (button?.id === "before") turnTo(state.page - 1);
    else if (button?.id === "after") turnTo(state.page + 1);
    else {
      const row = event.target.closest("tr[data-place]");
      if (row && !getSelection().toString()) goTo(Number(row.dataset.place), { focus: !event.target.closest("a") });
    }
  });

  /** First the way that is looked for more often (high numbers, texts from A), then the other, then input order. */
  function sortBy(key) {
    const high = Boolean(sortable[key].high);
    if (state.sort !== key) state = { ...state, sort: key, down: high };
    else if (state.down === high) state.down = !high;
    else state = { ...state, sort: "", down: false };
    state.page = 0;
    draw();
    toTable();
  }

  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => {
    if (location.hash.slice(1) === written) return;
    state = readAddress();
    draw({ seek: !location.hash.includes("page=") });
  });

  // A picture that is not there (a run that writes readings only, a folder that was moved) leaves its slot empty.
  body.addEventListener("error", (event) => {
    if (event.target.tagName !== "IMG") return;
    event.target.parentElement.classList.add("empty");
    event.target.remove();
  }, true);

  window.addEventListener("beforeprint", () => {
    drawRows(0, Math.min(shown.length, MOST_PRINTED));
    for (const picture of body.querySelectorAll("img")) picture.loading = "eager";
    byId("cut").hidden = shown.length <= MOST_PRINTED;
    byId("cut").textContent = `Printed: the first ${grouped.format(MOST_PRINTED)} of ${grouped.format(shown.length)} exams.`;
  });
  window.addEventListener("afterprint", () => {
    byId("cut").hidden = true;
    drawPage();
  });

  // ---- begin

  for (const button of document.querySelectorAll("[data-show]")) {
    const number = columns.exam.reduce((n, _, i) => n + (fitsQuick[button.dataset.show](i) ? 1 : 0), 0);
    button.append(" ", make("small", { text: grouped.format(number) }));
    button.classList.toggle("none", number === 0);
  }
  const searched = ["exam", ...(data.ids ? ["study"] : []), "status", "warning", "reason", ...(data.names ? ["file"] : [])];
  byId("filter").placeholder = `Filter: ${searched.join(", ")}`;
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--bar-height", `${byId("bar").getBoundingClientRect().height}px`);
  }).observe(byId("bar"));
  state = readAddress();
  draw({ seek: !location.hash.includes("page=") });
  if (current >= 0) goTo(current);
})();
