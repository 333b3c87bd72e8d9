// Waits for a job: by server-sent events, or, where those don't come through, by long polling.

const FINAL = ["succeeded", "failed", "cancelled"];
const LONGEST_WAIT_SECONDS = 25;
const SHORTEST_PAUSE_MS = 1000;
// EventSource reconnects by itself; after so many errors without an event in between, poll instead.
const PATIENCE = 3;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with the job once it is final, or with null if it can't be seen (any more). Never rejects. */
export async function watch(jobUrl, onChange = () => {}) {
  const job = await listen(`${jobUrl}/events`, onChange);
  return job === undefined ? poll(jobUrl, onChange) : job;
}

/** Resolves with the final job, or with undefined when events don't work here. */
function listen(url, onChange) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    let errors = 0;
    const end = (job) => {
      source.close();
      resolve(job);
    };
    source.addEventListener("status", (event) => {
      errors = 0;
      const job = JSON.parse(event.data);
      onChange(job);
      if (FINAL.includes(job.status)) end(job);
    });
    source.addEventListener("error", () => {
      errors += 1;
      if (source.readyState === EventSource.CLOSED || errors >= PATIENCE) end(undefined);
    });
  });
}

async function poll(url, onChange) {
  let tag = null;
  for (;;) {
    const started = Date.now();
    try {
      const headers = { Accept: "application/json", Prefer: `wait=${LONGEST_WAIT_SECONDS}` };
      if (tag) headers["If-None-Match"] = tag;
      const response = await fetch(url, { headers, cache: "no-store" });
      if (response.ok) {
        const job = await response.json();
        tag = response.headers.get("ETag");
        onChange(job);
        if (FINAL.includes(job.status)) return job;
      } else if ([401, 403, 404, 410].includes(response.status)) {
        return null;
      } else if (response.status !== 304) {
        await pause(1000 * (Number(response.headers.get("Retry-After")) || 3));
      }
    } catch {
      await pause(3000); // the network is away, or the server is being restarted
    }
    // A server that does not wait for us must not be asked in a tight loop.
    await pause(Math.max(0, SHORTEST_PAUSE_MS - (Date.now() - started)));
  }
}
