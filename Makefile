# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CODE := zoo plugins exporters tests benchmarks docs
RUNTIMES := tests/runtimes
LOWEST := .venv-lowest
LOWEST_TESTS := $(addprefix tests/test_,artifact.py cli.py cli_safety.py data.py files.py in_memory.py readers.py tables.py text.py writers.py untrusted.py) \
	plugins/torch/tests/test_export.py plugins/keras/tests/test_export.py
SOURCES := pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml exporters/*/pyproject.toml)

.PHONY: demo test lowest bench install presets clean

demo: install ## train, export, sample without a framework, and draw out/demo.png
	$(BIN)/zoo demo --out out --force

test: install $(RUNTIMES)/node_modules/.package-lock.json ## lint, types and tests
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lowest: ## tests with the lowest versions of all dependencies, in an environment of their own
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install -q packaging
	$(LOWEST)/bin/python tests/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install -q -c constraints.txt -c $(LOWEST)/constraints.txt -e '.[cpu,names,testing]' hypothesis \
		-e plugins/torch -e plugins/keras -e plugins/data -e plugins/pretrained -e exporters/onnx
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest $(LOWEST_TESTS)

# ONLY="flows loops" runs a part, ONLY=--resume goes on with a run that was broken off
bench: install ## side by side with what people would use instead (about an hour): writes benchmarks/results
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/pip install -q --no-deps denoising-diffusion-pytorch==2.3.4
	$(BIN)/python -m benchmarks $(ONLY)

presets: install ## train and export all presets anew (about an hour on two cores)
	$(BIN)/python plugins/pretrained/make.py

install: $(VENV)/.installed

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	@echo "installing genzoo, PyTorch, Keras and onnxruntime into $(VENV): this takes some minutes"
	$(BIN)/pip install -q -c constraints.txt -e '.[cpu,test]' -e plugins/torch -e plugins/keras \
		-e plugins/data -e plugins/pretrained -e exporters/onnx
	touch $@

$(RUNTIMES)/node_modules/.package-lock.json: $(RUNTIMES)/package-lock.json
	@if command -v npm > /dev/null; then npm ci --silent --prefix $(RUNTIMES) && touch $@; \
		else echo "npm is not installed: tests of JavaScript runtimes are skipped"; fi

clean:
	rm -rf $(VENV) $(LOWEST) $(RUNTIMES)/node_modules out runs
