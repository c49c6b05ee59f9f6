# Airfield. `make help` lists what there is.
SHELL        := /bin/bash
.DEFAULT_GOAL := help
export CGO_ENABLED := 0
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS      := -s -w -X airfield/internal/cli.version=$(VERSION)
TOOL         := go tool -modfile=tools/go.mod

.PHONY: help build demo test sdk check fmt vet lint generate generated bench bench-index quality soak fuzz clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/airfield
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/airfield ./cmd/airfield

demo: build ## documents in, cited answers out, with calls, costs and a trace
	bin/airfield demo

test: sdk ## every test, on every engine; installs the servers it needs (PostgreSQL, Redis: on Debian; S3 and GCS: with Go)
	for server in s3server gcsserver; do (cd test/$$server && go build -o /dev/null .) || exit 1; done # their packages, so that no test waits for them
	AIRFIELD_REQUIRE_SERVERS=1 scripts/postgres.sh run scripts/redis.sh run go test -timeout 14m ./...

sdk: build ## the official packages of OpenAI and Anthropic from npm against the real binary
	cd test/sdk && npm ci --no-audit --no-fund --silent
	cd test/sdk && node --test

check: fmt vet lint generated test ## everything CI does

fmt:
	@out=$$(gofmt -l cmd internal docs test examples); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi

vet:
	go vet ./...
	for server in s3server gcsserver; do (cd test/$$server && go vet .) || exit 1; done

lint: ## staticcheck, at the version pinned in tools/go.mod
	$(TOOL) staticcheck ./...

generate: ## write docs/reference and db/schema.sql from the code
	go run ./docs/generate

generated: ## fail if a generated file is not current
	go run ./docs/generate -check

bench: build ## the gateway beside a bare reverse proxy, in one run; writes bench.json and a CPU profile
	go run ./test/load -airfield bin/airfield -out bench.json -profile bench.pprof
	@echo; echo "Where the processor's time goes under load (bench.pprof):"
	@go tool pprof -top -cum -nodecount=40 bin/airfield bench.pprof 2>/dev/null | tail -n +6

bench-index: ## the embedded index and the one in PostgreSQL side by side: latency and recall behind filters
	scripts/postgres.sh run go run ./test/index

quality: build ## retrieval quality over a folder of Cranfield's shape: make quality DATA=…
	@if [ -z "$(DATA)" ]; then echo "usage: make quality DATA=a folder with corpus.jsonl, queries.tsv, qrels.tsv"; exit 2; fi
	go run ./test/quality/run -airfield bin/airfield -data "$(DATA)"

soak: ## what takes minutes: a second sync of 10,000 files, and of 10,000 objects in S3; 200 damaged files; a change of model over 5,000 documents; the database away for long; ten minutes of load with faults (AIRFIELD_SOAK=60s for less)
	AIRFIELD_LONG=1 go test -count=1 -timeout 20m -v -run 'SecondSync|DamagedFiles' ./test/crash
	AIRFIELD_LONG=1 go test -count=1 -timeout 40m -v -run UnchangedBucket ./test/cloud
	AIRFIELD_LONG=1 scripts/postgres.sh run scripts/redis.sh run go test -count=1 -timeout 20m -v -run TheDatabase ./test/scale
	AIRFIELD_LONG=1 scripts/postgres.sh run go test -count=1 -timeout 40m -v -run AModelChanges ./test/scale
	AIRFIELD_LONG=1 go test -count=1 -timeout 90m -v -run Soak ./test/fault

fuzz: ## every fuzz target, ten minutes in all (FUZZ_TIME=60 for a minute)
	scripts/fuzz.sh

clean: ## remove what was built
	rm -rf bin bench.json bench.pprof
