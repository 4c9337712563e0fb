# Two commands need nothing before them but Python 3.11+, git and make:  make demo  and  make test
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types imports wheel docs check clean

demo: .venv/ready
	$(BIN)/medvision demo --out demo

test: .venv/ready
	$(BIN)/pytest --numprocesses auto

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

imports: .venv/ready
	$(BIN)/lint-imports

# The tests once more, outside the tree, on the wheel that users would install.
wheel: .venv/ready
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --no-isolation
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	.ci/test_wheel

docs: .venv/ready
	$(BIN)/python docs/generate.py --check
	$(BIN)/mkdocs build --strict --quiet

check: lint types imports test docs wheel

clean:
	rm -rf .venv .venv-wheel dist site demo

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
