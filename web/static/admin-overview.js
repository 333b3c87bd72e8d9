// Keeps the operators' overview up to date: exchanges its part #live every few seconds, as long as it is looked at.

import { fetchPage, keepingFocus } from "./swap.js";

const LOOK_EVERY_MS = 2500;
// Only who missed some looks in a row should be told: one that fails now and then is no news.
const PATIENCE = 3;

const live = () => document.getElementById("live");
let failures = 0;

/** What was opened stays open. */
function keepOpen(fresh) {
  for (const open of live().querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
}

async function look() {
  try {
    const fresh = (await fetchPage(location.pathname)).getElementById("live");
    // The session is over: the login says so.
    if (!fresh) return location.reload();
    failures = 0;
    const before = live().dataset.words;
    keepOpen(fresh);
    keepingFocus(() => live().replaceWith(document.adoptNode(fresh)));
    // Numbers change all the time; only what needs attention is read out.
    if (fresh.dataset.words !== before) {
      document.getElementById("live-status").textContent = fresh.dataset.words;
    }
  } catch {
    failures += 1;
  }
  document.getElementById("stale").hidden = failures < PATIENCE;
}

async function lookAgain() {
  if (!document.hidden) await look();
  setTimeout(lookAgain, LOOK_EVERY_MS);
}

setTimeout(lookAgain, LOOK_EVERY_MS);
