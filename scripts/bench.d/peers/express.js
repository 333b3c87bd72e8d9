// The peer of a poll: Express with node-postgres, one process, the same answer as the others'.
// NODE_PATH says where the packages are.

const crypto = require("crypto");
const express = require("express");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const app = express();
app.disable("x-powered-by");
app.set("etag", false);

// Named: prepared once a connection.
const FIND = {
    name: "find",
    text: "SELECT j.id, j.kind, j.state, j.progress, j.result, j.created_at, j.updated_at FROM jobs j"
        + " JOIN customers c ON c.id = j.owner WHERE j.id = $1 AND c.token_hash = $2",
};

app.get("/api/jobs/:id", async (request, response) => {
    const token = (request.get("authorization") || "").replace(/^Bearer /, "");
    const hash = crypto.createHash("sha256").update(token).digest("hex");
    const { rows: [job] } = await pool.query({ ...FIND, values: [request.params.id, hash] });
    if (!job) return response.sendStatus(404);
    const etag = `W/"${job.state}-${job.updated_at.getTime()}"`;
    response.set("ETag", etag);
    if (request.get("if-none-match") === etag) return response.status(304).end();
    response.json({
        id: job.id, kind: job.kind, status: job.state, progress: job.progress, result: job.result,
        created_at: job.created_at, updated_at: job.updated_at, links: { self: `/api/jobs/${job.id}` },
    });
});

const server = app.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("ready"));
process.on("SIGTERM", () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
