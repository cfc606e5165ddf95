# Two commands on a fresh Debian or Ubuntu machine: `make demo`, `make test`.
# Each installs what is missing first (as root; else it says what to install).

RUST = sh .ci/rust
DEMO = target/release/tidegate demo
# Private items are documented too, so links to them lead somewhere.
DOCFLAGS = -D warnings -A rustdoc::private_intra_doc_links

.PHONY: help demo demo-stop test ci lint-deps bench doc setup clean

help:
	@echo 'make demo       the whole story on real containers, told and checked'
	@echo 'make demo-stop  ends the demo and removes what it made'
	@echo 'make test       every test, real engines, registries and git servers included'
	@echo 'make ci         what continuous integration runs: fmt, clippy, doc, test'
	@echo 'make lint-deps  licences and advisories, unused crates, typing errors (builds three tools)'
	@echo 'make bench      us, docker-compose, crane and skopeo on the same work: docs/benchmarks.md'
	@echo 'make doc        the documentation of the code, in target/doc'
	@echo 'make setup      installs what building, testing and the demo need'
	@echo 'make clean      removes what was built'

demo:
	@sh .ci/setup demo
	@$(RUST) cargo build --release --quiet
	@$(DEMO)

demo-stop:
	@test -x target/release/tidegate || { echo 'no demo was built here'; exit 1; }
	@$(DEMO) --stop

# nextest gives each test its own process; without it the standard runner does, one binary at a time.
test:
	@sh .ci/setup test
	@if $(RUST) cargo nextest --version >/dev/null 2>&1; then \
	    $(RUST) cargo nextest run --no-fail-fast; \
	else \
	    $(RUST) cargo test --no-fail-fast --lib --bins --test it; \
	fi

ci:
	@sh .ci/setup test lint
	$(RUST) cargo fmt --check
	$(RUST) cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='$(DOCFLAGS)' $(RUST) cargo doc --locked --no-deps --document-private-items
	$(MAKE) --no-print-directory test

# Each tool takes minutes to build from the registry, so `make ci` leaves this to the workflow's own
# job. Advisories are fetched from the network.
lint-deps:
	@sh .ci/setup
	@for tool in cargo-deny cargo-machete typos-cli; do \
	    command -v $${tool%-cli} >/dev/null 2>&1 || \
	        $(RUST) cargo install --locked --quiet --root target/tools $$tool || exit 1; \
	done
	PATH="$$PWD/target/tools/bin:$$PATH" $(RUST) cargo deny --config .deny.toml check
	PATH="$$PWD/target/tools/bin:$$PATH" $(RUST) cargo machete
	PATH="$$PWD/target/tools/bin:$$PATH" typos

bench:
	@sh .ci/setup demo
	@$(RUST) cargo build --release --quiet
	@bash benches/compare.sh
	@bash benches/copy.sh
	@bash benches/comply.sh

doc:
	@sh .ci/setup
	RUSTDOCFLAGS='$(DOCFLAGS)' $(RUST) cargo doc --no-deps --document-private-items

setup:
	@sh .ci/setup demo test lint

clean:
	$(RUST) cargo clean
