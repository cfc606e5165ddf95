# Two commands on a fresh Debian or Ubuntu machine: `make demo`, `make test`.
.PHONY: test ci
test:
	cargo nextest run

ci:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	$(MAKE) test
