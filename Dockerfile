# One image with the three programs; the command chooses (`producer-api`, `audit-consumer`, `scheduler`).
#
# Cached by dependencies: the stage `dependencies` sees manifests and the lock file alone, so its layer, which
# holds nearly all of the build time, is made anew only when one of them changes. Layers were chosen over
# cache mounts because a registry can carry them to another machine, and because any builder can make them.

FROM rust:1.95-bookworm AS dependencies
WORKDIR /warren
COPY Cargo.toml Cargo.lock ./
COPY shared/Cargo.toml shared/
COPY producer-api/Cargo.toml producer-api/
COPY audit-consumer/Cargo.toml audit-consumer/
COPY scheduler/Cargo.toml scheduler/
# Never built here, but members of the workspace: without their manifests the lock file would not fit.
COPY xtask/Cargo.toml xtask/
COPY test-support/Cargo.toml test-support/
# The lints hold for the stand-ins, too, so they say what they are.
RUN set -eu; \
    for crate in shared producer-api audit-consumer scheduler xtask test-support; do \
        mkdir -p "$crate/src"; \
        echo '//! Stands in for the source.' > "$crate/src/lib.rs"; \
    done; \
    for program in producer-api audit-consumer scheduler xtask; do \
        printf '//! Stands in for the source.\nfn main() {}\n' > "$program/src/main.rs"; \
    done; \
    cargo build --release --locked -p producer-api -p audit-consumer -p scheduler

FROM dependencies AS build
# The queries were checked when they were recorded; no database is needed here.
ENV SQLX_OFFLINE=true
COPY .sqlx .sqlx
COPY migrations migrations
COPY shared shared
COPY producer-api producer-api
COPY audit-consumer audit-consumer
COPY scheduler scheduler
# Files keep their time of change when copied; without `touch` cargo would take them for older than the
# stand-ins it has just compiled.
RUN set -eu; \
    find shared producer-api audit-consumer scheduler -name '*.rs' -exec touch {} +; \
    cargo build --release --locked -p producer-api -p audit-consumer -p scheduler; \
    mkdir /programs; \
    cp target/release/producer-api target/release/audit-consumer target/release/scheduler /programs/

FROM debian:bookworm-slim AS programs
# For TLS to a database or broker elsewhere; copied, so that this stage downloads nothing.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /programs/ /usr/local/bin/
# By number, so that an orchestrator can see that it isn't root.
USER 10001:10001
EXPOSE 8000 8001 8002
CMD ["producer-api"]
