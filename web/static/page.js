// The page of one photo or one order: exchanges its part #live whenever its job moves on.

import { watch } from "./live.js";
import { coalesce, fetchPage, keepingFocus } from "./swap.js";

// For the page that a mailed link opens: it may not listen to the job, so it looks again now and then.
const LOOK_AGAIN_MS = 4000;

const live = () => document.getElementById("live");
const isFinal = () => live().dataset.final === "true";

const refresh = coalesce(async () => {
  const fresh = (await fetchPage()).getElementById("live");
  const before = live().dataset.words;
  if (!fresh || live().isEqualNode(fresh)) return;
  keepingFocus(() => live().replaceWith(document.adoptNode(fresh)));
  if (fresh.dataset.words !== before) {
    document.getElementById("live-status").textContent = fresh.dataset.words;
  }
}, 100);

async function lookAgain() {
  await refresh();
  if (!isFinal()) setTimeout(lookAgain, LOOK_AGAIN_MS);
}

if (!isFinal()) {
  const { job } = live().dataset;
  if (job) await watch(job, refresh);
  lookAgain();
}
