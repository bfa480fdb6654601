# What a person types in a fresh clone: `make live` to see it run, `make test` before a change is handed in.
#
# Two environments, because they answer two questions. $(VENV) is what a robot's computer gets: the package and nothing
# for training, so `make live` shows every day that the live path needs no torch. $(DEV) holds everything else. An
# environment that already has it all can serve as the second one: make test DEV=.venv

PYTHON ?= python3
VENV   ?= .venv
DEV    ?= .venv-dev
ARGS   ?=

# Exact, so that everybody tests the same build, and given to the same pip call as everything else, so that no looser
# requirement chooses another. On a Linux machine whose pip only sees PyPI this may be the CUDA build: for a smaller
# download set PIP_EXTRA_INDEX_URL to your index of CPU builds, or TORCH to the requirement that you want.
TORCH  ?= torch==2.13.0

# mypy finds a package by its folder's name, and the folder of a clone may be called anything: this one is `skelstream`.
# It walks all below, the tests with it, and would walk a wheel's build/ too.
TYPED  = $(DEV)/package

.PHONY: live robot test lint lint-code lint-format lint-types format bench clean

## live: the whole pipeline on this machine: the webcam, or 60 s of a drawn actor. make live ARGS="--camera 0 --people 2"
live: $(VENV)/.installed-live
	$(VENV)/bin/skelstream live $(ARGS)

## robot: a simulated humanoid answers whom the camera, or the actor, shows. make robot ARGS="--policy greet.toml"
robot: $(VENV)/.installed-robot
	$(VENV)/bin/skelstream live robot $(ARGS)

## bench: the live path, measured. make bench ARGS="..."
bench: $(VENV)/.installed-live
	$(VENV)/bin/skelstream bench live $(ARGS)

## test: lint, then every fast test. One file: make test ARGS=tests/test_house.py; the slow ones: make test ARGS="-m slow"
test: lint
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest -n 2 --dist loadgroup $(ARGS)

## lint: style, layout and types; changes nothing
lint: lint-code lint-format lint-types

lint-code: $(DEV)/.installed-dev
	$(DEV)/bin/ruff check

lint-format: $(DEV)/.installed-dev
	$(DEV)/bin/ruff format --check

lint-types: $(DEV)/.installed-dev
	MYPYPATH=$(TYPED) $(DEV)/bin/mypy --exclude '/(build|dist|runs)/' -p skelstream

## format: what lint would complain about and a tool can mend
format: $(DEV)/.installed-dev
	$(DEV)/bin/ruff check --fix
	$(DEV)/bin/ruff format

## clean: what builds and tools leave behind; the environments and runs/ stay
clean:
	rm -rf build dist skelstream.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find encoder stream train launch tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml when nothing has to be installed. It is made last, so that an interrupted
# installation is taken up again. The imports are tried because pip cannot install the system's libraries.
$(VENV)/.installed-live: pyproject.toml | $(VENV)/bin/pip
	@echo "Installing into $(VENV): some minutes and 800 MB, the first time only"
	$(VENV)/bin/pip install --quiet --editable .
	@$(VENV)/bin/python -c "import cv2, mediapipe.tasks.python.vision" || { echo \
	"A system library is missing (see above). On Debian: apt install libgl1 libegl1 libgles2 libglib2.0-0" >&2; exit 1; }
	touch $@

$(VENV)/.installed-robot: $(VENV)/.installed-live
	$(VENV)/bin/pip install --quiet --editable '.[robot]'
	touch $@

$(DEV)/.installed-dev: pyproject.toml Makefile | $(DEV)/bin/pip
	@echo "Installing into $(DEV), with torch: some minutes, 2 GB or (with CUDA) more, the first time only"
	$(DEV)/bin/pip install --quiet '$(TORCH)' --editable '.[train,dev]'
	mkdir -p $(TYPED)
	ln -sfn '$(CURDIR)' $(TYPED)/skelstream
	touch $@

# pip, not python, is the target: Debian without python3-venv leaves an environment that has the one and lacks the other.
# The .gitignore keeps the environment, whatever it is called, out of git and of ruff.
%/bin/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo \
	"$(PYTHON) is older than 3.11. Name a newer one: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $* || { echo "No environment could be made. On Debian: apt install python3-venv" >&2; exit 1; }
	echo '*' > $*/.gitignore
