# What a newcomer and CI call. Everything installs by itself what it needs, into one cache
# directory; none of it needs root. Started by root it builds as root and runs as nobody.

FOR    ?=
SEED   ?=
ORDERS ?= 500000
SHOP   ?= mysql

LAB    := go run ./internal/lab/cmd/lab

.DEFAULT_GOAL := help
.PHONY: help build demo test check chaos bench servers

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## cdc, applier and spola into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

demo: ## a shop and an ERP, live, with a proof at the end; FOR=20s ends by itself, SHOP=mariadb
	@$(LAB) run ./cmd/spola demo --shop $(SHOP) $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED))

test: ## every test on real servers, with the race detector; PKG=./internal/... for some
	@$(LAB) test $(PKG)

check: ## format, vet, lint, import directions, generated files
	@.ci/check

chaos: ## kill -9 at random moments, then the same proof; FOR=60s SEED=1 SHOP=mariadb SHOPS=2 BROKERS=3 PIECES=3
	@$(LAB) run ./cmd/spola chaos --shop $(SHOP) $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) $(if $(SHOPS),--shops $(SHOPS)) $(if $(BROKERS),--brokers $(BROKERS)) $(if $(PIECES),--pieces $(PIECES) --rate 200 --clerk 20)

bench: ## the benchmark; ORDERS=50000 takes five minutes, BACK=1 measures the way back
	@$(LAB) run ./cmd/spola bench $(if $(BACK),--back,--orders $(ORDERS))

servers: ## real servers to develop against, until ctrl-C
	@$(LAB) servers
