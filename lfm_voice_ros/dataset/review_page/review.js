"use strict";

const at = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=review-token]").content;
const fields = { transcript: at("transcript"), response: at("response") };
const sounds = { person: at("person"), reply: at("reply") };
const filters = ["all", "unreviewed", "rejected"];
const checkDelay = 150; // ms after the last key

let examples = []; // [number, state] of each, in the order of the file
let example = null; // the one that is shown
let stored = {}; // what its fields held when they were filled
let busy = false; // an example is on its way: nobody may decide on one that isn't seen yet
let checks = 0; // the last check that was asked for

class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Ask the server; a body makes it a POST. Raises Refused with what to tell the person. */
async function ask(path, body) {
  const request = { headers: { "X-Review-Token": token } };
  if (body !== undefined) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(path, request);
    answer = await response.json();
  } catch {
    throw new Refused("There is no answer: start `lfm-voice data review` again and open its address. What you typed is still here.", 0);
  }
  if (!response.ok) throw new Refused(answer.message, response.status);
  return answer;
}

function say(text, wrong = false) {
  at("message").textContent = text && text[0].toUpperCase() + text.slice(1);
  at("message").classList.toggle("wrong", wrong);
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

const filter = () => at("filter").value;
const fits = (state) => filter() === "all" || (state || "unreviewed") === filter();
const typed = () => example !== null && Object.keys(fields).some((name) => fields[name].value !== stored[name]);
// A field changes ends of lines; what nobody typed into is sent as it came.
const text = (name) => (fields[name].value === stored[name] ? example[name] : fields[name].value);

function fill() {
  for (const [name, field] of Object.entries(fields)) {
    field.value = example[name];
    stored[name] = field.value;
  }
}

/** Take the answer to a request for an example. What the person typed is kept if ``keep``. */
function take(answer, keep = false) {
  const other = example === null || example.number !== answer.example.number;
  const silent = example && example.response_audio;
  examples = answer.examples;
  example = answer.example;
  if (keep) for (const name of Object.keys(fields)) stored[name] = example[name];
  else fill();
  at("undo").dataset.possible = answer.undo;
  if (other) load("person", example.audio);
  if (other || silent !== example.response_audio) load("reply", example.response_audio);
  showAbout();
  showFacts();
  showResults();
  showTyped();
  if (keep) check();
  else showChecked(answer.checked);
}

function load(voice, name) {
  const there = Boolean(name);
  if (there) sounds[voice].src = `/sounds/${example.number}/${voice}`;
  else sounds[voice].removeAttribute("src");
  at(`play-${voice}`).disabled = !there;
  sounds[voice].hidden = !there;
  if (voice === "reply") at("no-reply").hidden = there;
}

function showAbout() {
  const shown = examples.filter(([, state]) => fits(state));
  const count = (state) => examples.filter((each) => each[1] === state).length;
  const reviewed = examples.length - count("");
  at("progress").max = examples.length || 1;
  at("progress").value = reviewed;
  at("counts").textContent = `${reviewed} of ${examples.length} reviewed: ${count("accepted")} accepted, ${count("rejected")} rejected`;
  at("example").hidden = example === null;
  at("empty").hidden = example !== null;
  for (const id of ["previous", "next", "save", "reject", "accept"]) at(id).disabled = example === null;
  at("undo").disabled = at("undo").dataset.possible !== "true" && !typed();
  if (example === null) {
    at("empty").textContent = examples.length ? `There are no ${filter()} examples.` : "There are no examples yet.";
    return;
  }
  const place = examples.findIndex(([number]) => number === example.number) + 1;
  at("position").textContent = `${place} of ${examples.length}` + (filter() === "all" ? "" : ` (${shown.length} ${filter()})`);
  at("state").textContent = example.review || "unreviewed";
  at("state").className = example.review;
}

function showFacts() {
  const when = new Date(example.recorded);
  const facts = {
    speaker: example.speaker,
    kind: example.kind,
    condition: example.condition,
    recorded: isNaN(when) ? example.recorded : when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }),
    file: example.audio,
  };
  at("facts").replaceChildren(
    ...Object.entries(facts)
      .filter(([, value]) => value)
      .map(([name, value]) => {
        const pair = element("div", "");
        pair.append(element("dt", name), element("dd", value));
        return pair;
      }),
  );
}

function showResults() {
  const lines = example.results.map((result) => {
    const data = Object.entries(result.data).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
    return element("div", [`${result.name} ${result.status}`, result.speech && `“${result.speech}”`, ...data].filter(Boolean).join(" · "));
  });
  at("results").replaceChildren(...(lines.length ? lines : [element("span", "none", "none")]));
}

function showTyped() {
  for (const [name, field] of Object.entries(fields)) field.classList.toggle("typed", field.value !== stored[name]);
  at("undo").disabled = at("undo").dataset.possible !== "true" && !typed();
}

function showChecked(checked) {
  const calls = checked.calls.flatMap(([call, problem]) => [element("code", call, problem && "wrong"), " "]);
  at("calls").replaceChildren(...(calls.length ? calls : [element("span", "none", "none")]));
  at("speech").replaceChildren(checked.speech || element("span", "nothing", "none"));
  at("problems").replaceChildren(
    ...checked.problems.map((problem) => element("li", problem, "wrong")),
    ...checked.notes.map((note) => element("li", note)),
  );
  fields.response.setAttribute("aria-invalid", String(checked.problems.length > 0));
}

async function check() {
  const mine = ++checks;
  if (example === null) return;
  try {
    const checked = await ask(`/api/examples/${example.number}/check`, { transcript: text("transcript"), response: text("response") });
    if (mine === checks) showChecked(checked);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
  }
}

/** Do one thing at a time; what the server refuses is told. Give whether it was done. */
async function alone(work) {
  if (busy) return false;
  busy = true;
  // What comes from the server must not overwrite what is being typed.
  for (const field of Object.values(fields)) field.readOnly = true;
  try {
    return (await work()) !== false;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
    return false;
  } finally {
    busy = false;
    for (const field of Object.values(fields)) field.readOnly = false;
  }
}

/** Write what is shown; ``review`` is null where the state stays. */
async function write(review) {
  const body = { version: example.version, transcript: text("transcript"), response: text("response"), review };
  const number = example.number;
  checks++;
  try {
    const answer = await ask(`/api/examples/${number}`, body);
    take(answer);
    return answer.done;
  } catch (error) {
    if (error.status === 409) take(await ask(`/api/examples/${number}`), typed());
    if (error.status === 404) await goOn();
    throw error;
  }
}

async function show(number) {
  checks++;
  take(await ask(`/api/examples/${number}`));
  play("person");
}

/** The example was deleted: show another one. */
async function goOn() {
  const known = await ask("/api/dataset");
  examples = known.examples;
  const there = examples.find(([, state]) => fits(state));
  example = null;
  if (there) await show(there[0]);
  else showAbout();
}

/** The number of the next (1) or previous (-1) example that the filter shows. */
function neighbour(step) {
  const here = examples.findIndex(([number]) => number === example.number);
  for (let place = here + step; place >= 0 && place < examples.length; place += step) {
    if (fits(examples[place][1])) return examples[place][0];
  }
  return null;
}

async function move(step, done = "") {
  const number = neighbour(step);
  const end = step > 0 ? "This is the last one" : "This is the first one";
  if (number !== null) await show(number);
  say([done, number === null ? end : ""].filter(Boolean).join(". "));
}

const step = (by) =>
  alone(async () => {
    if (example === null) return;
    const done = typed() ? ["saved", ...(await write(null))] : [];
    await move(by, done.join(": "));
  });

const decide = (review) =>
  alone(async () => {
    if (example === null) return;
    const done = await write(review);
    await move(1, [review, ...done].join(": "));
  });

const save = () =>
  alone(async () => {
    if (example === null) return;
    const done = await write(null);
    document.activeElement.blur();
    say(["saved", ...done].join(": "));
  });

const undo = () =>
  alone(async () => {
    if (typed()) {
      checks++;
      take(await ask(`/api/examples/${example.number}`));
      say("What was typed is taken back");
      return;
    }
    checks++;
    take(await ask("/api/undo", {}));
    say("The last change is taken back");
  });

const choose = (name) =>
  alone(async () => {
    if (typed()) await write(null);
    at("filter").value = name;
    const here = example === null ? 0 : examples.findIndex(([number]) => number === example.number);
    const found = [...examples.slice(here), ...examples.slice(0, here)].find(([, state]) => fits(state));
    if (!found) {
      example = null;
      stop();
      showAbout();
    } else if (example === null || found[0] !== example.number) await show(found[0]);
    else showAbout();
    say("");
  });

function stop() {
  for (const sound of Object.values(sounds)) sound.pause();
}

async function play(voice) {
  const sound = sounds[voice];
  if (example === null) return;
  if (!sound.getAttribute("src")) {
    say("Nobody spoke this reply yet; `lfm-voice data speak` does");
    return;
  }
  stop();
  sound.currentTime = 0;
  try {
    await sound.play();
  } catch (error) {
    // A browser plays nothing by itself before the first key; another sound may have come meanwhile.
    if (error.name === "NotAllowedError") say("Press Space to hear the person");
  }
}

function edit(field) {
  if (example === null) return;
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

/** Insert a call behind those that are there; the caret goes to where its first argument is missing. */
function insert(tool) {
  if (example === null) return;
  const field = fields.response;
  const wanted = tool.required.length ? tool.required : tool.arguments.slice(0, 1);
  const call = `<tool>${tool.name}${wanted.length ? `(${wanted.map((name) => `${name}=`).join(", ")})` : ""}</tool>`;
  const closing = "</tool>";
  const place = field.value.includes(closing) ? field.value.lastIndexOf(closing) + closing.length : 0;
  const before = field.value.slice(0, place).trimEnd();
  const after = field.value.slice(place).trimStart();
  field.value = [before, call, after].filter(Boolean).join(" ");
  const start = before ? before.length + 1 : 0;
  const caret = start + (wanted.length ? call.indexOf("=") + 1 : call.length);
  field.focus();
  field.setSelectionRange(caret, caret);
  field.dispatchEvent(new Event("input"));
}

const tools = [];
const keys = {
  " ": () => play("person"),
  r: () => play("reply"),
  a: () => decide("accepted"),
  x: () => decide("rejected"),
  e: () => edit(fields.transcript),
  c: () => edit(fields.response),
  u: undo,
  f: () => choose(filters[(filters.indexOf(filter()) + 1) % filters.length]),
  "?": () => at("keys").showModal(),
};
const steps = { j: 1, ArrowDown: 1, ArrowRight: 1, k: -1, ArrowUp: -1, ArrowLeft: -1 };

function press(event) {
  if (at("keys").open || event.isComposing) return;
  const target = event.target;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    save();
    return;
  }
  if (event.key === "Escape") {
    target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("textarea, select, audio")) return;
  if (event.key === " " && target.closest("button")) return;
  const number = Number(event.key);
  let work = null;
  if (event.key === " " && event.shiftKey) work = keys.r;
  else if (event.key in steps) work = () => step(steps[event.key]);
  // A key that is held down must not accept one example after another.
  else if (!event.repeat && Object.hasOwn(keys, event.key)) work = keys[event.key];
  else if (!event.repeat && number >= 1 && number <= tools.length) work = () => insert(tools[number - 1]);
  if (work === null) return;
  event.preventDefault();
  work();
}

function listen() {
  document.addEventListener("keydown", press);
  const clicks = {
    "play-person": () => play("person"),
    "play-reply": () => play("reply"),
    previous: () => step(-1),
    next: () => step(1),
    undo,
    save,
    reject: () => decide("rejected"),
    accept: () => decide("accepted"),
    help: () => at("keys").showModal(),
  };
  for (const [id, work] of Object.entries(clicks)) at(id).addEventListener("click", work);
  // After the mouse, Space plays; it must not press the same button again.
  document.addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest("button")?.blur();
  });
  at("filter").addEventListener("change", () => {
    at("filter").blur();
    choose(filter());
  });
  let delay = 0;
  for (const field of Object.values(fields)) {
    field.addEventListener("input", () => {
      showTyped();
      checks++;
      clearTimeout(delay);
      delay = setTimeout(check, checkDelay);
    });
  }
  for (const sound of Object.values(sounds)) {
    sound.addEventListener("error", () => {
      if (sound.getAttribute("src")) say(`${sound.getAttribute("aria-label")} can't be played: is the sound file there?`, true);
    });
  }
  addEventListener("beforeunload", (event) => {
    if (typed()) event.preventDefault();
  });
}

async function start() {
  const dataset = await ask("/api/dataset");
  const [folder, file] = dataset.name.split("/").slice(-2);
  at("name").textContent = `${folder}/${file}`;
  at("name").title = dataset.name;
  document.title = `${folder}: review`;
  at("undo").dataset.possible = dataset.undo;
  tools.push(...dataset.tools.slice(0, 9));
  at("tools").replaceChildren(
    ...dataset.tools.map((tool, place) => {
      const button = element("button", `${tool.name} `);
      button.type = "button";
      button.title = tool.description + (tool.arguments.length ? ` (${tool.arguments.join(", ")})` : "");
      if (place < tools.length) button.append(element("kbd", String(place + 1)));
      button.addEventListener("click", () => insert(tool));
      return button;
    }),
  );
  examples = dataset.examples;
  const first = examples.find(([, state]) => !state) ?? examples[0];
  if (first) await show(first[0]);
  else showAbout();
}

listen();
alone(start);
