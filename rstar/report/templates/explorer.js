// The tree explorer: one tree as an ARIA tree, folded, coloured and filtered. Needs nothing but the page itself.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themed = (name) => {
    root.dataset.theme = name;
    byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  };
  themed(dark.matches ? "dark" : "light");
  dark.addEventListener("change", (event) => themed(event.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => themed(root.dataset.theme === "dark" ? "light" : "dark"));

  const data = JSON.parse(byId("data").textContent);
  if (!data.forests.length) return;
  const at = Object.fromEntries(data.fields.map((name, place) => [name, place]));
  const get = (node, name) => node[at[name]] ?? null;
  const element = (tag, classes = "", text = null) => {
    const made = document.createElement(tag);
    if (classes) made.className = classes;
    if (text !== null) made.textContent = text;
    return made;
  };
  const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);
  const words = (name) => name.replaceAll("_", " ");
  const MARKS = [
    ["S", "★", "s", "selected for the policy's training data"],
    ["s", "•", "s", "on a selected trajectory"],
    ["c", "▲", "c", "chosen: preferred over a sibling"],
    ["r", "▼", "r", "rejected: a sibling is preferred"],
    ["C", "△", "c", "its whole solution is preferred over a wrong one"],
    ["R", "▽", "r", "a right solution is preferred over its whole one"],
    ["A", "◆", "A", "the search's answer"],
    ["a", "•", "A", "on the way to the search's answer"],
  ];

  let problem = null;   // what is shown
  let tree = null;      // {nodes, kids, byId, ends}
  let open = new Set(); // ids of unfolded nodes
  let reasons = new Set();
  let current = null;   // id of the node that is read
  let colour = "q";

  // --- problems -----------------------------------------------------------------------------------------------------
  const forestOf = () => data.forests[byId("stage").value];
  data.forests.forEach((forest, i) => byId("stage").append(new Option(forest.title, i)));

  function listProblems() {
    const forest = forestOf();
    const asked = byId("find").value.toLowerCase();
    const level = byId("level").value, how = byId("difficulty").value;
    const found = forest.problems.filter((one) =>
      (!level || one.level === level) && (!how || one.difficulty === how) &&
      (!asked || `${one.id} ${one.text}`.toLowerCase().includes(asked)));
    byId("count").textContent = `${found.length} shown · ${forest.problems.length} of ${forest.of} problems are in this page`;
    byId("problems").replaceChildren(...found.map((one) => {
      const item = element("li");
      item.setAttribute("role", "option");
      item.tabIndex = -1;
      const head = element("small");
      head.append(element("i", `dot ${one.difficulty}`), `${one.id} · ${one.level === "all" ? "" : one.level + " · "}${one.difficulty}`);
      item.append(head, element("span", "", one.text));
      item.addEventListener("click", () => { pick(one); item.focus(); });
      item.problem = one;
      return item;
    }));
    pick(found.includes(problem) ? problem : found[0] ?? null);
  }

  function chooseStage() {
    const levels = [...new Set(forestOf().problems.map((one) => one.level))].sort();
    byId("level").replaceChildren(new Option("all levels", ""), ...levels.map((name) => new Option(name, name)));
    byId("level").hidden = levels.length < 2;
    problem = null;
    listProblems();
  }

  function pick(one) {
    problem = one;
    for (const item of byId("problems").children) {
      const its = item.problem === one;
      item.setAttribute("aria-selected", its);
      item.tabIndex = its ? 0 : -1;
    }
    byId("attempt").replaceChildren(...(one?.trees ?? []).map((its, i) =>
      new Option(its.attempt ? `retry ${its.attempt}: ${its.rollouts} rollouts` : `${its.rollouts} rollouts`, i)));
    byId("attempt").hidden = (one?.trees.length ?? 0) < 2;
    byId("question").textContent = one ? one.text : "No problem matches.";
    byId("reference").textContent = one ? `Reference: ${one.answer ?? "–"}` : "";
    show();
  }

  // --- one tree -----------------------------------------------------------------------------------------------------
  function show() {
    const raw = problem?.trees[byId("attempt").value || 0];
    tree = null;
    current = null;
    reasons = new Set();
    if (raw) {
      const kids = new Map(), places = new Map(), ends = new Map();
      for (const node of raw.nodes) {
        places.set(get(node, "id"), node);
        kids.set(get(node, "id"), []);
        kids.get(get(node, "parent"))?.push(node);
      }
      for (const node of [...raw.nodes].reverse()) { // children stand behind their parents
        const mine = ends.get(get(node, "id")) ?? new Set();
        if (get(node, "terminal")) mine.add(get(node, "terminal"));
        ends.set(get(node, "id"), mine);
        const above = ends.get(get(node, "parent")) ?? new Set();
        mine.forEach((name) => above.add(name));
        ends.set(get(node, "parent"), above);
      }
      tree = { nodes: raw.nodes, kids, places, ends, leftOut: raw.left_out };
      open = new Set(raw.nodes.filter((node) => get(node, "parent") < 0 || /[sa]/.test(marks(node))).map((node) => get(node, "id")));
      const scored = raw.nodes.some((node) => get(node, "score") !== null);
      byId("by-ppm").disabled = !scored;
      byId("by-ppm").title = scored ? "" : "no value model scored this tree";
      if (!scored) colour = "q";
    }
    drawReasons();
    draw();
    const star = tree?.nodes.find((node) => /[SA]/.test(marks(node)));
    read(tree ? get(star ?? tree.nodes[0], "id") : null);
  }

  const marks = (node) => get(node, "marks") ?? "";
  /** Whether a node that is the end of its trajectory needs no mark of being on it. */
  const ended = (node, letter) => "sa".includes(letter) && marks(node).includes(letter.toUpperCase());

  function drawReasons() {
    const counts = new Map();
    for (const node of tree?.nodes ?? [])
      if (get(node, "terminal")) counts.set(get(node, "terminal"), (counts.get(get(node, "terminal")) ?? 0) + 1);
    byId("reasons").replaceChildren(...[...counts].sort().map(([name, count]) => {
      const chip = element("button", "chip", `${words(name)} ${count}`);
      chip.dataset.reason = name;
      chip.setAttribute("aria-pressed", reasons.has(name));
      chip.addEventListener("click", () => {
        reasons.has(name) ? reasons.delete(name) : reasons.add(name);
        chip.setAttribute("aria-pressed", reasons.has(name));
        if (reasons.size) for (const node of tree.nodes) if (fits(node)) open.add(get(node, "id"));
        draw();
      });
      return chip;
    }));
  }

  /** Whether a node lies on the way to an end that is asked for. */
  const fits = (node) => !reasons.size || [...tree.ends.get(get(node, "id"))].some((name) => reasons.has(name));

  function tone(node) {
    const value = get(node, colour === "q" ? "q" : "score");
    if (value === null || (colour === "q" && !get(node, "visits"))) return null;
    return `color-mix(in oklab, var(--${value < 0 ? "wrong" : "right"}) ${Math.round(100 * Math.abs(value))}%, var(--fade))`;
  }

  function draw() {
    byId("by-q").setAttribute("aria-pressed", colour === "q");
    byId("by-ppm").setAttribute("aria-pressed", colour === "ppm");
    byId("tree").replaceChildren(...(tree ? [item(tree.nodes[0], 1)] : []));
    byId("cut").textContent = tree?.leftOut ? `${tree.leftOut} nodes of this large tree are left out: those least visited.` : "";
    focusable();
  }

  function item(node, level) {
    const id = get(node, "id");
    const kids = tree.kids.get(id).filter(fits);
    const made = element("li", /[sa]/.test(marks(node)) ? "picked" : "");
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", level);
    made.setAttribute("aria-selected", id === current);
    made.tabIndex = -1;
    made.dataset.id = id;
    const row = element("div", "row");
    const shade = tone(node);
    if (shade) row.style.setProperty("--tone", shade);
    row.append(element("span", "fold", kids.length ? (open.has(id) ? "▾" : "▸") : ""), element("span", "swatch"));
    const score = get(node, "score");
    row.append(element("code", "", colour === "q" || score === null
      ? `N ${get(node, "visits")}  Q ${signed(get(node, "q"))}` : `N ${get(node, "visits")}  PPM ${signed(score)}`));
    for (const [letter, sign, kind, meaning] of MARKS)
      if (marks(node).includes(letter) && !ended(node, letter)) {
        const mark = element("span", `mark ${kind}`, sign);
        mark.title = meaning;
        row.append(mark);
      }
    row.append(element("span", "step", id === 0 ? "problem" : title(node)));
    if (get(node, "comment") && get(node, "code")) row.append(element("span", "source", get(node, "code").split("\n")[0]));
    const terminal = get(node, "terminal");
    if (terminal) {
      const verdict = terminal === "answered" ? get(node, "verdict") : "different"; // what failed is wrong
      const sign = { equivalent: "✓", different: "✗" }[verdict] ?? "?";
      const kind = { equivalent: "right", different: "bad" }[verdict] ?? "";
      const said = terminal === "answered" ? `${sign} ${get(node, "answer") ?? ""}` : words(terminal);
      row.append(element("span", `tag ${kind}`, short(said, 28)));
    }
    made.append(row);
    if (kids.length) {
      made.setAttribute("aria-expanded", open.has(id));
      if (open.has(id)) {
        const group = element("ul");
        group.setAttribute("role", "group");
        group.append(...kids.map((kid) => item(kid, level + 1)));
        made.append(group);
      }
    }
    return made;
  }

  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const title = (node) => short((get(node, "comment") || get(node, "code") || words(get(node, "action") ?? "") || "(nothing)").split("\n")[0], 90);

  // --- the node that is read ------------------------------------------------------------------------------------------
  function read(id) {
    current = id;
    for (const one of byId("tree").querySelectorAll('[role="treeitem"]')) one.setAttribute("aria-selected", Number(one.dataset.id) === id);
    focusable();
    const node = tree?.places.get(id);
    const panel = byId("node");
    panel.replaceChildren();
    if (!node) return;
    const depth = depthOf(node);
    panel.append(element("h3", "", depth ? `Step ${depth}` : "The problem"));
    const numbers = element("div", "nums");
    const score = get(node, "score");
    for (const [name, value] of [["N visits", get(node, "visits")], ["Q-value", signed(get(node, "q"))], ["PPM score", score === null ? "–" : signed(score)]]) {
      const box = element("div");
      box.append(element("b", "", String(value)), element("span", "", name));
      numbers.append(box);
    }
    panel.append(numbers);
    section(panel, "Comment", depth ? get(node, "comment") : problem.text, "p");
    section(panel, depth ? "Code" : "Setup", depth ? get(node, "code") : problem.setup, "pre");
    section(panel, "Output", get(node, "output"), "pre");
    section(panel, "Error", get(node, "error"), "pre");
    const facts = element("dl");
    const said = [
      ["Ended as", get(node, "terminal") && words(get(node, "terminal"))],
      ["Answer", get(node, "answer")],
      ["Verdict", get(node, "verdict") && `${get(node, "verdict")}${get(node, "rule") ? ` (rule ${get(node, "rule")})` : ""}`],
      ["Reference", depth ? null : problem.answer],
      ["Action", get(node, "action") && words(get(node, "action"))],
      ["Sampled", get(node, "count") > 1 ? `${get(node, "count")} times, merged` : null],
      ["Children", tree.kids.get(id).length || null],
      ...MARKS.filter(([letter]) => marks(node).includes(letter) && !ended(node, letter)).map(([, sign, , meaning]) => [sign, meaning]),
    ];
    for (const [name, value] of said)
      if (value !== null && value !== "") facts.append(element("dt", "", name), element("dd", "", String(value)));
    panel.append(facts);
    byId("node-pane").scrollTop = 0;
  }

  function section(panel, name, text, tag) {
    if (text) panel.append(element("h4", "", name), element(tag, "", text));
  }

  function depthOf(node) {
    let depth = 0;
    for (let up = node; get(up, "parent") >= 0; up = tree.places.get(get(up, "parent"))) depth += 1;
    return depth;
  }

  // --- keys and clicks ------------------------------------------------------------------------------------------------
  const visible = () => [...byId("tree").querySelectorAll('[role="treeitem"]')];

  /** One item of the tree takes part in the page's order of tabs: the one that is read, else the first. */
  function focusable() {
    const items = visible();
    const mine = items.find((one) => Number(one.dataset.id) === current) ?? items[0];
    for (const one of items) one.tabIndex = one === mine ? 0 : -1;
  }

  function go(id) {
    read(id);
    byId("tree").querySelector(`[data-id="${id}"]`)?.focus();
  }

  function fold(id, unfold) {
    unfold ? open.add(id) : open.delete(id);
    draw();
    go(id);
  }

  byId("tree").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    const id = Number(row.parentElement.dataset.id);
    if (event.target.closest(".fold") || id === current) fold(id, !open.has(id));
    else go(id);
  });

  byId("tree").addEventListener("keydown", (event) => {
    const here = event.target.closest('[role="treeitem"]');
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = Number(here.dataset.id), items = visible(), place = items.indexOf(here);
    const parent = get(tree.places.get(id), "parent");
    const kids = tree.kids.get(id).filter(fits);
    const moves = {
      ArrowDown: () => items[place + 1] && go(Number(items[place + 1].dataset.id)),
      ArrowUp: () => items[place - 1] && go(Number(items[place - 1].dataset.id)),
      Home: () => go(Number(items[0].dataset.id)),
      End: () => go(Number(items.at(-1).dataset.id)),
      ArrowRight: () => kids.length && (open.has(id) ? go(get(kids[0], "id")) : fold(id, true)),
      ArrowLeft: () => (kids.length && open.has(id) ? fold(id, false) : parent >= 0 && go(parent)),
      Enter: () => kids.length && fold(id, !open.has(id)),
      " ": () => kids.length && fold(id, !open.has(id)),
      "*": () => { unfoldAll(); go(id); },
    };
    if (moves[event.key]) { event.preventDefault(); moves[event.key](); }
  });

  byId("problems").addEventListener("keydown", (event) => {
    const items = [...byId("problems").children], place = items.indexOf(event.target.closest("li"));
    const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next === undefined || !items[next]) return;
    event.preventDefault();
    pick(items[next].problem);
    items[next].focus();
  });

  function unfoldAll() {
    open = new Set(tree.nodes.map((node) => get(node, "id")));
    draw();
  }

  byId("unfold").addEventListener("click", () => tree && unfoldAll());
  byId("foldup").addEventListener("click", () => { open = new Set([0]); draw(); });
  for (const name of ["q", "ppm"]) byId(`by-${name}`).addEventListener("click", () => { colour = name; draw(); });
  byId("stage").addEventListener("change", chooseStage);
  byId("attempt").addEventListener("change", show);
  byId("find").addEventListener("input", listProblems);
  for (const name of ["level", "difficulty"]) byId(name).addEventListener("change", listProblems);
  chooseStage();
})();
