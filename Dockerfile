# A static binary and nothing else, run by nobody in particular. Mount a folder with airfield.yaml at /data. Airfield
# listens on loopback unless told otherwise, which nobody outside of the container reaches: say so with
# AIRFIELD_SERVER_LISTEN=0.0.0.0:8080, and put TLS in front of it or into server.tls.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build && mkdir -p /empty/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/airfield /airfield
COPY --from=build --chown=65532:65532 /empty/data /data
USER 65532:65532
WORKDIR /data
ENV TMPDIR=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/airfield"]
CMD ["serve", "--config", "/data/airfield.yaml"]
