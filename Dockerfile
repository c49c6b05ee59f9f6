# A static binary and nothing else, run by nobody in particular.
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
