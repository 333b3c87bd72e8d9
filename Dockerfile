# Two images, each with one program and nothing of the other:
#
#   docker build --target web --tag print-shop-web .
#   docker build --target worker --tag print-shop-worker .
#
# BuildKit builds them (Docker's default since 23). The downloaded crates and the compiled dependencies live in cache
# mounts that both builds share: after a change only the workspace itself is compiled again. The programs lose their
# line numbers, four fifths of their size; a backtrace keeps the names.

FROM rust:1.95-slim-trixie AS source
WORKDIR /src
COPY . .

FROM source AS build-web
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --no-default-features --features web --bin web && \
    mkdir /out && strip --strip-debug -o /out/web target/release/web

FROM source AS build-worker
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --no-default-features --features worker --bin worker && \
    mkdir /out && strip --strip-debug -o /out/worker target/release/worker

# The same Debian as the one that compiled: a program wants at least the C library that it was linked with.
# Nothing is installed. TLS needs only the file with the authorities' certificates; the health check is the program
# itself, so neither curl nor a shell is missed.
FROM debian:trixie-slim AS runtime
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A new volume takes the owner of the folder that it is mounted on.
RUN install --directory --owner=10001 --group=10001 /blobs
# In numbers: Kubernetes can tell that it is not root (`runAsNonRoot`), and files on a volume keep their owner.
USER 10001:10001

FROM runtime AS web
COPY --from=build-web /out/web /usr/local/bin/web
# In a container, loopback would be out of everybody's reach.
ENV HTTP_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["web", "health"]
ENTRYPOINT ["web"]

FROM runtime AS worker
COPY --from=build-worker /out/worker /usr/local/bin/worker
ENV WORKER_HTTP_ADDR=0.0.0.0:8081
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["worker", "health"]
ENTRYPOINT ["worker"]
