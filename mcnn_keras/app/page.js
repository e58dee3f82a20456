import { ask, send } from "./ask.js";

// The form is sent as one job, or one for each file; the list of jobs follows the server's.
(() => {
  const find = (id) => document.getElementById(id);
  const OVER = ["done", "failed", "stopped"];
  const TEXTS = ["quality", "temporal", "faults", "defocus", "wavelength", "energy", "pixel_size",
    "numerical_aperture", "refractive_index", "coherence_angle", "spherical_aberration", "focus",
    "flat", "background", "frames", "dtype", "refine", "image"];
  const TICKS = ["flip_defocus", "register", "force", "uncertainty", "overwrite", "resume"];
  const FILE = "file"; // the choice of a model file, which is no name of a model
  let models = [], formats = [".tif"], largest = 2e9, chosen = [], known = null;
  let jobs = new Map(), shown = null, latest = null, timer = null;

  // ---- The form

  const task = () => document.querySelector("input[name=task]:checked").value;
  const together = () => task() === "phase" || (task() === "predict" && known?.images > 1);

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }

  function fits(model) {
    const wanted = { denoise: ["frames"], phase: ["any_planes", "planes"] }[task()];
    return wanted ? wanted.includes(model.inputs) : model.inputs !== "any_planes";
  }

  function showTask() {
    for (const part of document.querySelectorAll("[data-tasks]")) {
      part.hidden = !part.dataset.tasks.split(" ").includes(task());
    }
    const own = models.filter(fits).sort((a, b) => a.name.length - b.name.length);
    const choices = own.map((m) => option(m.name, `${m.name}: ${m.description}`));
    if (task() === "denoise") choices.splice(0, choices.length, option("", "the one for the quality"));
    choices.push(option(FILE, "a file of this machine ..."));
    find("model-choice").replaceChildren(...choices);
    if (task() === "predict") find("model-choice").value = FILE;
    showFiles();
    showModel();
  }

  function modelName() {
    const choice = find("model-choice").value;
    if (choice === FILE) return find("model").value.trim();
    if (choice || task() !== "denoise") return choice;
    return find("quality").value === "fast" ? "denoise-fast" : "denoise";
  }

  async function showModel() {
    const name = modelName(), of = find("model-choice").value === FILE;
    find("model-file").hidden = !of;
    let told = "";
    known = models.find((m) => m.name === name) || null;
    if (!known && of && name) {
      try {
        known = await ask(`model?name=${encodeURIComponent(name)}`);
      } catch (error) {
        told = error.message;
      }
      if (name !== modelName()) return; // another was named meanwhile
    }
    if (known) {
      told = [known.description, known.planes.length
        ? `for images at ${known.planes.join(", ")} ${known.unit}` : ""].filter(Boolean).join("; ");
    }
    find("model-told").textContent = told;
    const can = !known || known.uncertainty;
    find("with-uncertainty").hidden = !can;
    if (!can) find("uncertainty").checked = false;
    showFiles();
  }

  function size(bytes) {
    const power = bytes < 1e6 ? ["kB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
    return `${(bytes / power[1]).toPrecision(3)} ${power[0]}`;
  }

  function choose(files) {
    chosen = [...files].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    showFiles();
  }

  function showFiles() {
    find("chosen").replaceChildren(...chosen.map((file) => {
      const item = document.createElement("li");
      item.textContent = `${file.name} (${size(file.size)})`;
      return item;
    }));
    find("files-help").textContent = together()
      ? "A stack, or a file for each plane, which are taken in the order of their names; and the .txt or .json "
        + "with planes and optics, if there is one of the same name."
      : "Each file is worked through by itself. For a movie of single files, name their folder below.";
  }

  function values() {
    const found = {};
    for (const id of [...TEXTS, ...TICKS]) {
      const field = find(id);
      const part = field.closest("[data-tasks]");
      if (part && !part.dataset.tasks.split(" ").includes(task())) continue;
      if (TICKS.includes(id)) { if (field.checked) found[id] = true; } else if (field.value.trim()) {
        found[id] = field.value.trim();
      }
    }
    const name = find("model-choice").value === FILE ? find("model").value.trim()
      : find("model-choice").value;
    if (name) found.model = name;
    return found;
  }

  // Each image, with the texts of planes and optics that share its name.
  function byImage(files) {
    const beside = (file) => /\.(txt|json)$/i.test(file.name);
    const stem = (file) => file.name.replace(/\.[^.]*$/, "");
    const images = files.filter((file) => !beside(file));
    if (!images.length) return [files];
    return images.map((image) => [image,
      ...files.filter((file) => beside(file) && stem(file) === stem(image))]);
  }

  function complain(text) {
    find("error").textContent = text;
    find("error").hidden = !text;
  }

  async function submit(event) {
    event.preventDefault();
    complain("");
    const path = find("path").value.trim(), output = find("output").value.trim();
    const order = { task: task(), values: values(), path, output };
    find("run").disabled = true;
    try {
      const large = chosen.find((file) => file.size > largest);
      if (large) {
        throw new Error(`${large.name} is larger than ${size(largest)}. Name its place on this `
          + "machine instead, or start the program with a larger --largest.");
      }
      if (chosen.length && path) throw new Error("Files are chosen, and one of this machine is named, too. Keep one of both.");
      if (!chosen.length && !path) throw new Error("Choose files first, or name a file or folder of this machine.");
      const groups = path ? [[]] : together() ? [chosen] : byImage(chosen);
      if (output && groups.length > 1) {
        throw new Error("For several files leave the place for the results empty, and download them; or name the folder of the images.");
      }
      for (const group of groups) {
        const uploads = [];
        for (const file of group) {
          uploads.push(await send(file, (sent) => {
            find("sending").textContent = `Sending ${file.name}: ${size(sent)} of ${size(file.size)}`;
          }));
        }
        const job = await ask("jobs", { method: "POST", body: JSON.stringify({ ...order, uploads }) });
        jobs.set(job.id, null);
        latest = job.id;
        find("told").textContent = `${job.title} waits.`;
      }
      choose([]);
      find("files").value = "";
    } catch (error) {
      complain(error.message);
    }
    find("sending").textContent = "";
    find("run").disabled = false;
    follow();
  }

  // ---- The jobs

  async function follow() {
    clearTimeout(timer);
    let list;
    try {
      list = await ask("jobs");
    } catch (error) {
      complain(error.message);
      timer = setTimeout(follow, 5000);
      return;
    }
    const before = jobs;
    jobs = new Map(list.map((job) => [job.id, job]));
    find("none").hidden = list.length > 0;
    for (const [id] of before) if (!jobs.has(id)) find(`job-${id}`)?.remove();
    list.forEach((job, place) => {
      const text = JSON.stringify(job), old = find(`job-${job.id}`);
      if (old && old.dataset.told === text && job.state !== "waiting") return;
      const waiting = list.slice(0, place).filter((j) => !OVER.includes(j.state)).length;
      const made = show(job, waiting, old);
      made.dataset.told = text;
      if (!old) find("jobs").prepend(made);
      const was = before.get(job.id);
      if (OVER.includes(job.state) && (was === null || (was && was.state !== job.state))) {
        find("told").textContent = `${job.title}: ${job.state}. ${job.errors.join(" ")}`;
        if (job.report && job.state === "done" && (find("view").hidden || job.id === latest)) look(job, false);
      }
    });
    if (list.some((job) => !OVER.includes(job.state))) timer = setTimeout(follow, 500);
  }

  function make(kind, text = "", name = "") {
    const made = document.createElement(kind);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function button(text, job, act) {
    const made = make("button", text);
    made.type = "button";
    made.setAttribute("aria-label", `${text}: ${job.title}`);
    made.addEventListener("click", async () => {
      made.disabled = true;
      try { await act(); } catch (error) { complain(error.message); }
      made.disabled = false;
    });
    return made;
  }

  const TASKS = { denoise: "Denoise", phase: "Phase", predict: "Model" };

  function state(job, waiting) {
    const took = `${job.seconds} s`;
    switch (job.state) {
      case "waiting": return waiting ? `waits; ${waiting} before it` : "begins";
      case "running": return job.progress
        ? `${job.progress[2]} ${job.progress[0]} of ${job.progress[1]}, ${took}` : `runs, ${took}`;
      case "stopping": return "stops after what is being computed";
      case "done": return `done in ${took}`;
      case "failed": return "failed";
      default: return "stopped";
    }
  }

  function list(lines, name) {
    const made = make("ul", "", name);
    made.append(...lines.map((line) => make("li", line)));
    return made;
  }

  // Fills the item of a job; what has the focus keeps it where it is still there.
  function show(job, waiting, old) {
    const item = old || document.createElement("li");
    const focused = item.contains(document.activeElement) ? document.activeElement.textContent : null;
    const format = item.querySelector("select")?.value;
    item.id = `job-${job.id}`;
    item.className = `job ${job.state}`;
    const parts = [make("h3", job.title), make("p", `${TASKS[job.task]}: ${state(job, waiting)}`)];
    const row = make("div", "", "row");
    if (!OVER.includes(job.state)) {
      const bar = document.createElement("progress");
      bar.setAttribute("aria-label", `Progress of ${job.title}`);
      if (job.progress) [bar.value, bar.max] = job.progress; else if (job.state === "waiting") bar.value = 0;
      parts.push(bar);
      if (job.state !== "stopping") row.append(button("Stop", job, () => act(job, "stop")));
    } else {
      if (job.errors.length) parts.push(list(job.errors, "warnings"));
      if (job.warnings.length) parts.push(list(job.warnings, "warnings"));
      if (job.messages.length) {
        const more = document.createElement("details");
        more.append(make("summary", "What the run said"), list(job.messages, "quiet"));
        parts.push(more);
      }
      if (job.report) row.append(button("Show", job, () => look(job, true)));
      if (job.files.length) row.append(...downloads(job, format));
      if (job.report) row.append(link("Save the report", `jobs/${job.id}/report?keep=1`));
      row.append(button("Remove", job, async () => {
        await ask(`jobs/${job.id}`, { method: "DELETE" });
        if (shown?.id === job.id) find("view").hidden = true;
        await follow();
        find("runs").scrollIntoView({ block: "nearest" });
      }));
    }
    item.replaceChildren(...parts, row);
    if (focused) [...item.querySelectorAll("button")].find((b) => b.textContent === focused)?.focus();
    return item;
  }

  async function act(job, what) {
    await ask(`jobs/${job.id}/${what}`, { method: "POST" });
    await follow();
  }

  function link(text, address) {
    const made = make("a", text, "button");
    made.href = address;
    made.setAttribute("download", "");
    return made;
  }

  function downloads(job, format) {
    const label = make("label", "Format");
    const choice = document.createElement("select");
    choice.append(...formats.map((f) => option(f, f)));
    if (format) choice.value = format;
    choice.setAttribute("aria-label", `Format of the download: ${job.title}`);
    label.append(choice);
    const address = (file) => `jobs/${job.id}/result?file=${file}&format=${choice.value}`;
    const parts = [label];
    let which = () => 0;
    if (job.files.length > 1) {
      const one = make("label", "Result");
      const files = document.createElement("select");
      files.append(...job.files.map((name, i) => option(i, name)));
      files.setAttribute("aria-label", `Result to download: ${job.title}`);
      one.append(files);
      parts.push(one);
      which = () => files.value;
    }
    parts.push(button("Download", job, async () => {
      // Asked first: an error is told here, and no page of its own.
      const path = address(which()), answer = await fetch(path, { method: "HEAD" });
      if (!answer.ok) await ask(path);
      const hidden = link("", path);
      hidden.click();
    }));
    return parts;
  }

  // ---- The images

  function look(job, go) {
    shown = job;
    find("view").hidden = false;
    find("view-title").textContent = `Result: ${job.title}`;
    find("one-by-one").hidden = false;
    const single = job.shown.length > 0;
    for (const id of ["number", "before", "next", "overview", "of-file"]) {
      (find(id).closest("label") || find(id)).hidden = !single;
    }
    find("of-file").replaceChildren(...job.shown.map((i) => option(i, job.files[i])));
    find("of-file").closest("label").hidden = job.shown.length < 2;
    find("number").value = 0;
    load(`jobs/${job.id}/report`);
    if (go) {
      find("view").scrollIntoView();
      find("view-title").focus({ preventScroll: true });
    }
  }

  function load(address) {
    find("frame").src = address;
    find("own-tab").href = address;
  }

  async function one(step) {
    const number = Math.max(0, Math.floor(Number(find("number").value) || 0) + step);
    const address = `jobs/${shown.id}/image?file=${find("of-file").value}&number=${number}`;
    try {
      const answer = await fetch(address, { method: "HEAD" });
      if (!answer.ok) await ask(address);
      find("number").value = number;
      complain("");
      load(address);
    } catch (error) {
      complain(error.message);
      find("error").scrollIntoView({ block: "center" });
    }
  }

  // ---- The start

  async function start() {
    find("form").addEventListener("submit", submit);
    for (const radio of document.querySelectorAll("input[name=task]")) radio.addEventListener("change", showTask);
    for (const id of ["model-choice", "model", "quality"]) find(id).addEventListener("change", showModel);
    find("files").addEventListener("change", () => choose(find("files").files));
    const drop = find("drop");
    for (const kind of ["dragover", "dragleave", "drop"]) {
      window.addEventListener(kind, (event) => event.preventDefault()); // no file replaces the page
      drop.addEventListener(kind, () => drop.classList.toggle("over", kind === "dragover"));
    }
    drop.addEventListener("drop", (event) => choose(event.dataTransfer.files));
    find("number").addEventListener("change", () => one(0));
    find("before").addEventListener("click", () => one(-1));
    find("next").addEventListener("click", () => one(1));
    find("overview").addEventListener("click", () => load(`jobs/${shown.id}/report`));
    try {
      ({ models, formats, largest } = await ask("about"));
    } catch (error) {
      complain(error.message);
    }
    showTask();
    follow();
  }

  start();
})();
