// Uploads: several files, two at a time, each with its picture, its progress and a way to try again.

import { refreshGallery } from "./gallery.js";

const AT_ONCE = 2;
const TRIES = 5;
const LONGEST_PAUSE_SECONDS = 60;

const form = document.getElementById("upload");
const input = document.getElementById("file");
const zone = form.querySelector(".drop-zone");
const rows = document.getElementById("uploads");
const status = document.getElementById("upload-status");
const template = document.getElementById("upload-row");
const maxBytes = Number(form.dataset.maxBytes);

const queue = [];
let running = 0;
let done = 0;
let total = 0;
let session = null;

/** An answer that another try would not change. */
class Refusal extends Error {}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** The first upload of a visitor fetches the cookie; uploads beside it wait for the same one. */
function ensureSession() {
  if (document.body.dataset.session === "open") return Promise.resolve();
  session ??= fetch("/session", { method: "POST" }).then((response) => {
    if (!response.ok) throw new Error("The shop did not answer. Please try again.");
    document.body.dataset.session = "open";
  }).finally(() => { session = null; });
  return session;
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One attempt. fetch() tells nothing about the progress of a request, XMLHttpRequest does. */
function send(upload) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("file", upload.file);
    const request = new XMLHttpRequest();
    request.open("POST", "/api/photos");
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    // A second try after a lost answer must not make a second photo.
    request.setRequestHeader("Idempotency-Key", upload.key);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) upload.progress.value = (100 * event.loaded) / event.total;
    });
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("The connection broke.")));
    request.send(body);
  });
}

async function sendUntilTaken(upload) {
  for (let attempt = 1; ; attempt += 1) {
    await ensureSession();
    upload.note.textContent = "Uploading…";
    const answer = await send(upload);
    if (answer.status === 202) return;
    const busy = answer.status === 429 || answer.status === 503;
    if (!busy || attempt === TRIES) {
      const words = answer.response?.detail || answer.response?.title || `The shop answered ${answer.status}.`;
      throw busy || answer.status >= 500 ? new Error(words) : new Refusal(words);
    }
    const seconds = Math.min(Number(answer.getResponseHeader("Retry-After")) || 2, LONGEST_PAUSE_SECONDS);
    upload.note.textContent = `The shop is busy. Goes on in ${seconds} s.`;
    await pause(seconds);
  }
}

async function run(upload) {
  running += 1;
  upload.row.classList.remove("failed");
  upload.retry.hidden = true;
  try {
    if (upload.file.size > maxBytes) throw new Refusal("This file is too large.");
    await sendUntilTaken(upload);
    done += 1;
    await refreshGallery();
    remove(upload);
  } catch (error) {
    upload.row.classList.add("failed");
    upload.note.textContent = error.message;
    upload.retry.hidden = error instanceof Refusal;
  }
  running -= 1;
  announce();
  startNext();
}

function remove(upload) {
  URL.revokeObjectURL(upload.picture.src);
  upload.row.remove();
}

function announce() {
  const failed = rows.querySelectorAll(".failed").length;
  status.textContent = `${done} of ${total} uploaded${failed > 0 ? `, ${failed} failed` : ""}.`;
}

function startNext() {
  while (running < AT_ONCE && queue.length > 0) run(queue.shift());
}

function add(file) {
  const row = template.content.cloneNode(true).firstElementChild;
  const [picture, progress, retry] = ["img", "progress", "button"].map((name) => row.querySelector(name));
  const upload = { file, row, picture, progress, retry, note: row.querySelector(".upload-note"), key: randomKey() };
  picture.addEventListener("error", () => picture.removeAttribute("src")); // no picture, or none that we can show
  picture.src = URL.createObjectURL(file);
  row.querySelector(".upload-name").textContent = file.name;
  progress.setAttribute("aria-label", `Upload of ${file.name}`);
  retry.setAttribute("aria-label", `Try again: ${file.name}`);
  retry.addEventListener("click", () => {
    queue.push(upload);
    startNext();
  });
  rows.append(row);
  queue.push(upload);
  total += 1;
}

input.addEventListener("change", () => {
  for (const file of input.files) add(file);
  input.value = "";
  announce();
  startNext();
});
for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, () => zone.classList.add("is-over"));
for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("is-over"));
