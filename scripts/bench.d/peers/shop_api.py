"""The peer of web: FastAPI with a pool of psycopg connections, and Celery behind it."""

import hashlib
import os
import uuid
from contextlib import asynccontextmanager

import tasks
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from pydantic import BaseModel, Field

URL = os.environ["DATABASE_URL"]
CONNECTIONS = int(os.environ.get("CONNECTIONS", "20"))


@asynccontextmanager
async def lifespan(app):
    # Celery blocks, so an order is placed on a thread; a poll needs none.
    app.state.blocking = ConnectionPool(URL, min_size=CONNECTIONS, max_size=CONNECTIONS, open=True)
    app.state.waiting = AsyncConnectionPool(URL, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False,
                                            kwargs={"autocommit": True})
    await app.state.waiting.open(wait=True, timeout=60)
    app.state.blocking.wait(timeout=60)
    yield
    app.state.blocking.close()
    await app.state.waiting.close()


app = FastAPI(lifespan=lifespan)


class Line(BaseModel):
    photo_id: uuid.UUID
    product: str
    quantity: int = Field(ge=1, le=100)


class Order(BaseModel):
    email: str
    payment_token: str
    lines: list[Line] = Field(min_length=1, max_length=50)


def hash_of(authorization):
    return hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()


@app.post("/api/orders", status_code=202)
def place(request: Request, order: Order, authorization: str = Header(), idempotency_key: str = Header()):
    order_id, job_id = uuid.uuid4(), uuid.uuid4()
    fingerprint = hashlib.sha256(order.model_dump_json().encode()).hexdigest()
    with request.app.state.blocking.connection() as c:
        row = c.execute("SELECT id FROM customers WHERE token_hash = %s", [hash_of(authorization)]).fetchone()
        if row is None:
            raise HTTPException(401)
        customer = row[0]
        new = c.execute("INSERT INTO idempotency_keys (customer_id, key, request_hash) VALUES (%s, %s, %s)"
                        " ON CONFLICT DO NOTHING", [customer, idempotency_key, fingerprint])
        if new.rowcount == 0:
            known = c.execute(
                "SELECT body FROM idempotency_keys WHERE customer_id = %s AND key = %s AND request_hash = %s",
                [customer, idempotency_key, fingerprint]).fetchone()
            if known is None:
                raise HTTPException(422)
            return Response(known[0], 202, media_type="application/json")
        photos = c.execute("SELECT id FROM photos WHERE customer_id = %s AND id = ANY(%s) FOR SHARE",
                           [customer, [line.photo_id for line in order.lines]]).fetchall()
        names = [line.product for line in order.lines]
        products = {row[0]: row for row in c.execute(
            "SELECT id, name, price_cents FROM products WHERE id = ANY(%s)", [names])}
        if len(photos) < len({line.photo_id for line in order.lines}) or not set(names) <= set(products):
            raise HTTPException(422)
        total = sum(products[line.product][2] * line.quantity for line in order.lines)
        c.execute("INSERT INTO jobs (id, kind, owner, args, state) VALUES (%s, 'fulfil_order', %s, %s, 'queued')",
                  [job_id, customer, Jsonb({"order_id": str(order_id)})])
        created = c.execute(
            "INSERT INTO orders (id, customer_id, job_id, email, status, total_cents, payment_token)"
            " VALUES (%s, %s, %s, %s, 'received', %s, %s) RETURNING created_at",
            [order_id, customer, job_id, order.email, total, order.payment_token]).fetchone()[0]
        for position, line in enumerate(order.lines):
            c.execute("INSERT INTO order_lines VALUES (%s, %s, %s, %s, %s, %s)",
                      [order_id, position, line.photo_id, line.product, line.quantity, products[line.product][2]])
        c.execute("INSERT INTO order_events (order_id, event) VALUES (%s, 'received')", [order_id])
        answer = JSONResponse({
            "order": {
                "id": str(order_id), "status": "received", "total_cents": total, "created_at": created.isoformat(),
                "lines": [{
                    "photo_id": str(line.photo_id), "product": line.product, "name": products[line.product][1],
                    "quantity": line.quantity, "price_cents": products[line.product][2],
                } for line in order.lines],
                "timeline": [{"at": created.isoformat(), "event": "received"}],
            },
            "job": {"id": str(job_id), "status": "queued", "links": {"self": f"/api/jobs/{job_id}"}},
        }, 202)
        c.execute("UPDATE idempotency_keys SET body = %s WHERE customer_id = %s AND key = %s",
                  [answer.body.decode(), customer, idempotency_key])
    # After the commit: a worker may be quick. A crash here loses the message, which ours does not.
    tasks.start_order(str(order_id))
    return answer


@app.get("/api/jobs/{job_id}")
async def job(request: Request, job_id: uuid.UUID, authorization: str = Header(), if_none_match: str = Header("")):
    async with request.app.state.waiting.connection() as c:
        row = await (await c.execute(
            "SELECT j.id, j.kind, j.state, j.progress, j.result, j.created_at, j.updated_at FROM jobs j"
            " JOIN customers c ON c.id = j.owner WHERE j.id = %s AND c.token_hash = %s",
            [job_id, hash_of(authorization)])).fetchone()
    if row is None:
        raise HTTPException(404)
    etag = f'W/"{row[2]}-{row[6].timestamp()}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return JSONResponse({
        "id": str(row[0]), "kind": row[1], "status": row[2], "progress": row[3], "result": row[4],
        "created_at": row[5].isoformat(), "updated_at": row[6].isoformat(), "links": {"self": f"/api/jobs/{row[0]}"},
    }, headers={"ETag": etag})
