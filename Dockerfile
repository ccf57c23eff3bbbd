# Two images, made with BuildKit:
#   docker build --target service -t tap-analytics .        the service (also the default)
#   docker build --target envoy -t tap-analytics-envoy .    Envoy with its configuration

FROM node:24-bookworm-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts
COPY web ./
COPY proto ../proto
RUN npm run build

FROM rust:1-bookworm AS builder
WORKDIR /build
COPY . .
COPY --from=page /build/web/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin tap-analytics \
    && mkdir /out \
    && cp target/dist/tap-analytics /out/ \
    && /out/tap-analytics descriptors > /out/tap.binpb

FROM envoyproxy/envoy:v1.40-latest AS envoy
COPY envoy.yaml /etc/envoy/envoy.yaml
COPY --from=builder /out/tap.binpb /etc/envoy/tap.binpb
USER envoy
EXPOSE 3000
# Hot restart is for a program that replaces itself; a container is replaced whole.
CMD ["envoy", "-c", "/etc/envoy/envoy.yaml", "--disable-hot-restart"]

FROM gcr.io/distroless/cc-debian12:nonroot AS service
COPY --from=builder /out/tap-analytics /usr/local/bin/tap-analytics
# The sample data: tap-analytics seed --tags /data/tags.csv --taps /data/taps.csv --coupons /data/coupons.json --team 1
COPY data/*.csv data/coupons.json /data/
# Inside a container the network around it is the wall.
ENV TAP_HOST=0.0.0.0 TAP_LOG_FORMAT=json
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["/usr/local/bin/tap-analytics", "ready"]
ENTRYPOINT ["/usr/local/bin/tap-analytics"]
CMD ["serve"]
