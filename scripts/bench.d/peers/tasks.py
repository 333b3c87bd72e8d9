"""The peer of worker: Celery on the same RabbitMQ, with what makes its promises those of ours: persistent messages in a
quorum queue, publisher confirms, and an acknowledgement when the work is done."""

import io
import os
import sys
import time
import uuid
from pathlib import Path

import psycopg
from celery import Celery, chain
from celery.signals import worker_process_shutdown, worker_ready
from kombu import Queue
from PIL import Image

RESULTS = os.environ.get("RESULTS")
FOLDER = Path(os.environ.get("FOLDER", "/nowhere"))

app = Celery("peer", broker=os.environ["AMQP_URL"], backend=RESULTS)
app.conf.update(
    task_queues=[Queue("peer", routing_key="peer", queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="peer",
    task_acks_late=True,
    task_ignore_result=RESULTS is None,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "8")),
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    # Others' signs of life would only be in the way.
    worker_send_task_events=False,
)

_connection = None
_done = 0


def database():
    """One connection a process, as each process works on one task at a time."""
    global _connection
    if _connection is None:
        _connection = psycopg.connect(os.environ["DATABASE_URL"])
    return _connection


def move(c, order, status):
    c.execute("UPDATE orders SET status = %s WHERE id = %s", [status, order])
    c.execute("INSERT INTO order_events (order_id, event) VALUES (%s, %s)", [order, status])
    c.execute("UPDATE jobs SET state = 'running', progress = jsonb_build_object('message', %s::text), updated_at = now()"
              " WHERE id = (SELECT job_id FROM orders WHERE id = %s)", [status, order])


# The names are given, as they would be others where this file is the program.
@app.task(name="noop")
def noop():
    global _done
    _done += 1


@worker_ready.connect
def say_ready(**_):
    print("ready to work", file=sys.__stdout__, flush=True)


@worker_process_shutdown.connect
def say_done(**_):
    """So that nobody takes a message that was thrown away for a task that was done."""
    print(f"did {_done} at the end", file=sys.__stdout__, flush=True)


@app.task(name="reserve")
def reserve(order):
    with database().transaction():
        c = database()
        move(c, order, "reserved")
        lines = c.execute("SELECT product_id, quantity FROM order_lines WHERE order_id = %s ORDER BY product_id", [order])
        for product, quantity in lines.fetchall():
            c.execute("INSERT INTO stock_moves VALUES (%s, %s, %s)", [order, product, quantity])
            c.execute("UPDATE products SET stock = stock - %s WHERE id = %s", [quantity, product])


@app.task(name="charge")
def charge(order):
    with database().transaction():
        database().execute("INSERT INTO payments SELECT id, 'charged', total_cents FROM orders WHERE id = %s", [order])
    with database().transaction():
        move(database(), order, "paid")


@app.task(name="render")
def render(order):
    with database().transaction():
        move(database(), order, "rendering")
        lines = database().execute("SELECT position FROM order_lines WHERE order_id = %s", [order]).fetchall()
    for position, in lines:
        with Image.open(FOLDER / "original.jpg") as original:
            made = io.BytesIO()
            original.resize((43, 28)).save(made, "JPEG", quality=92)
        keep(FOLDER / "prints" / f"{order}-{position}", made.getvalue())


@app.task(name="confirm")
def confirm(order):
    with database().transaction():
        c = database()
        move(c, order, "confirmed")
        c.execute("UPDATE jobs SET state = 'succeeded', result = '{\"order_status\": \"confirmed\"}', updated_at = now()"
                  " WHERE id = (SELECT job_id FROM orders WHERE id = %s)", [order])
        to = c.execute("SELECT email FROM orders WHERE id = %s", [order]).fetchone()[0]
    send.delay(to)


@app.task(name="send")
def send(to):
    keep(FOLDER / "mail" / str(uuid.uuid4()), f"To: {to}\r\nSubject: Confirmed\r\n\r\nIt is on its way.\r\n".encode())


def keep(path, content):
    """Ours flushes its files as well."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())


def start_order(order):
    chain(reserve.si(order), charge.si(order), render.si(order), confirm.si(order)).apply_async()


def enqueue(count):
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            noop.apply_async(producer=producer)


def offer(rate, seconds):
    """So many tasks a second, evenly. The id of each begins with the time."""
    begun = time.time()
    with app.producer_or_acquire() as producer:
        for number in range(int(rate * seconds)):
            time.sleep(max(0, begun + number / rate - time.time()))
            noop.apply_async(producer=producer, task_id=f"{time.time():.6f}-{uuid.uuid4()}")


def drained():
    """Waits until no message is ready, and says when that was."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        print("watching", flush=True)
        while channel.queue_declare("peer", passive=True).message_count:
            time.sleep(0.02)
    print(time.time(), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["enqueue", count]:
            enqueue(int(count))
        case ["offer", rate, seconds]:
            offer(float(rate), float(seconds))
        case ["drained"]:
            drained()
