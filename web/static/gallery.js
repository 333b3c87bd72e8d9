// The gallery: pictures appear when they are ready, and the order button counts the ticks.

import { watch } from "./live.js";
import { coalesce, fetchPage, keepingFocus } from "./swap.js";

// A browser opens six connections to a server that speaks HTTP/1.1: leave some for uploads and pictures.
const WATCHERS = 2;

const gallery = document.getElementById("gallery");
const status = document.getElementById("gallery-status");
const seen = new Set();
const queue = [];
let watchers = 0;

/** Fetches the page again and exchanges what changed; ticks and unchanged pictures stay as they are. */
export const refreshGallery = coalesce(async () => {
  const fresh = (await fetchPage()).getElementById("gallery");
  if (!fresh) return;
  const list = gallery.querySelector(".frames");
  const freshList = fresh.querySelector(".frames");
  keepingFocus(() => {
    if (list && freshList) {
      list.replaceChildren(...[...freshList.children].map(unchangedOrFresh));
      gallery.querySelector(".pager").replaceWith(document.adoptNode(fresh.querySelector(".pager")));
    } else {
      gallery.replaceChildren(...fresh.childNodes);
    }
  });
  count();
  watchAll();
}, 150);

function unchangedOrFresh(card) {
  const current = document.getElementById(card.id);
  if (!current) return card;
  if (current.dataset.status === card.dataset.status) return current;
  const [tick, freshTick] = [current, card].map((element) => element.querySelector("input"));
  if (tick && freshTick) freshTick.checked = tick.checked;
  const name = card.querySelector(".frame-name").textContent;
  status.textContent = card.dataset.status === "ready" ? `${name} is ready.` : `${name} was rejected.`;
  return card;
}

function watchAll() {
  // The oldest first: it is done first.
  const cards = [...gallery.querySelectorAll("[data-status=processing]")].reverse();
  for (const { dataset } of cards) {
    if (seen.has(dataset.job)) continue;
    seen.add(dataset.job);
    queue.push(dataset.job);
  }
  while (watchers < WATCHERS && queue.length > 0) next();
}

async function next() {
  watchers += 1;
  await watch(queue.shift());
  watchers -= 1;
  refreshGallery();
  watchAll();
}

function count() {
  const tally = gallery.querySelector("[data-tally]");
  const ticked = gallery.querySelectorAll("input:checked").length;
  if (tally) tally.textContent = ticked > 0 ? `(${ticked})` : "";
}

gallery.addEventListener("change", count);
count();
watchAll();
