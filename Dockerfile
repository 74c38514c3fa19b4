# One static binary and nothing else. Build: docker build -t millrace .
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# glibc, linked statically: the binary needs no file of any system. A target of its own keeps the flag from build scripts.
RUN target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile ship --locked --bin millrace --target "$target" \
    && install -D "target/$target/ship/millrace" /out/millrace \
    && install -d -m 0700 -o 65532 -g 65532 /out/data

FROM scratch
COPY --from=build /out/millrace /millrace
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
# Ports below 1024 need a capability that the container does not have.
ENV MILLRACE_DATA=/data \
    MILLRACE_LISTEN=0.0.0.0:4433 \
    MILLRACE_HTTP=0.0.0.0:8080 \
    MILLRACE_METRICS=0.0.0.0:9090 \
    MILLRACE_DEMO=false
VOLUME /data
EXPOSE 4433/udp 8080/tcp 9090/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/millrace", "ready"]
ENTRYPOINT ["/millrace"]
