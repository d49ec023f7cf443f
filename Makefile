# Everything a person runs here. The work is done by meson, by pip and by the scripts in tools/.
# PYTHON=python3.12 chooses the Python of .venv; `make test` finds the CPythons it tests on by itself.
export PYTHON
PYTHON_OF_VENV = $$(tools/system_packages.sh --python)
VENV := .venv/bin
IN_VENV = PATH="$(CURDIR)/$(VENV):$$PATH"
EXTRAS := standard test dev
FUZZ_SECONDS ?= 60
CLANG ?= $(shell for name in clang clang-19 clang-18 clang-16 clang-14; do command -v $$name && break; done)

.DEFAULT_GOAL := help
.PHONY: help hello setup build test sanitize lint bench pages budget fuzz clean tools

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

hello: ## build vivace and serve examples/hello.py on 127.0.0.1:8080 until Ctrl-C
	@tools/system_packages.sh
	@$(PYTHON_OF_VENV) tools/environment.py .venv
	$(VENV)/python examples/hello.py

setup: build ## make .venv with vivace and every tool, and build the engine with its tests

build: tools ## build what changed: the engine in build/core, the package in .venv
	@[ -f build/core/build.ninja ] || $(IN_VENV) meson setup build/core -Dpython=false --buildtype=release
	@$(IN_VENV) meson compile -C build/core
	@$(VENV)/python tools/environment.py .venv $(EXTRAS)

test: tools ## run every test, on every CPython found; the last line is "N passed, N failed"
	@$(VENV)/python tools/run_tests.py

sanitize: tools ## run the C and the Python tests under the address and undefined behaviour sanitizers
	@$(VENV)/python tools/run_tests.py core-sanitized python-sanitized

lint: tools ## check format, style, types and the floor plan
	@failed=; \
	git ls-files -z '*.c' '*.h' | xargs -0 $(VENV)/clang-format --dry-run -Werror || failed=1; \
	$(VENV)/ruff check || failed=1; \
	$(VENV)/ruff format --check || failed=1; \
	$(VENV)/mypy || failed=1; \
	$(VENV)/python tools/check_layers.py || failed=1; \
	[ -z "$$failed" ]

bench: build ## measure the kernels, then the server
	@for kernel in $$(find build/core/benchmarks/kernels -maxdepth 1 -type f -executable | sort); do \
	    echo "=== $$kernel"; $$kernel || exit 1; \
	done
	@$(VENV)/python benchmarks/http/run.py --output build/results.md

pages: ## measure everything for docs/benchmarks; the machine should be quiet for a quarter of an hour
	@tools/system_packages.sh
	@python=$(PYTHON_OF_VENV); for part in kernels profile http; do $$python benchmarks/$$part/run.py || exit 1; done

budget: tools ## count instructions a request on every CPython found, and write them into the budget
	@$(VENV)/python tools/run_tests.py update-budget

fuzz: tools ## run each fuzz target for FUZZ_SECONDS (60), where there is a clang
	@CLANG='$(CLANG)' SECONDS_EACH='$(FUZZ_SECONDS)' $(IN_VENV) tools/fuzz.sh

clean: ## remove .venv and everything built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache

# .venv with the tools that the other targets call, but without vivace.
tools:
	@tools/system_packages.sh tests
	@$(PYTHON_OF_VENV) tools/environment.py --only-requirements .venv $(EXTRAS)
