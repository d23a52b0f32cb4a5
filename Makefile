# Needs Python 3.11 or newer, g++, make and perl; everything else comes from the package index into .venv.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find bnnhw -name '*.py') pyproject.toml constraints.txt

.PHONY: demo test lint slow bench methods clean

demo: .venv/.run
	rm -rf build/bnn_cifar10
	$(BIN)/bnnhw generate --net bnn_cifar10.yaml --out build/bnn_cifar10
	$(BIN)/bnnhw verify build/bnn_cifar10 --frames 1
	@echo
	@echo "Next: build/bnn_cifar10/rtl/bnn_cifar10.v is the top, report.json the figures; README.md, 'Use', goes on from here."

test: .venv/.test lint
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The large numbers: whole test sets, thousands of random networks. Hours on two cores.
slow: .venv/.test
	$(BIN)/python -m pytest -m slow

bench: .venv/.test
	$(BIN)/python benchmarks/figures.py

# Trains and synthesises every method and rewrites the table of docs/methods.md: about an hour; needs MNIST and Yosys.
methods: .venv/.test
	$(BIN)/python benchmarks/methods.py

clean:
	rm -rf .venv build

.venv/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

.venv/.test: .venv/.run
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[train,test,qonnx,brevitas]'
	$(BIN)/pip install -q -c constraints.txt --no-deps hls4ml  # of which only the headers of ap_int.h are used
	touch $@
