# Commands, each with everything it needs:
#
#   make sweep         train every variant on the built-in photographs and draw the figures
#   make test          run the tests
#   make test-lowest   run them with the lowest versions that pyproject.toml allows
#   make soak          kill, damage and disturb runs, and read 21,000 damaged files, for an hour or so
#   make docs          build the site of docs/ and of the docstrings, into site/
#
# The first use makes a virtual environment in .venv and installs into it from the package registry,
# about 1.3 GB; later ones start at once. Variables go on the command line:
#
#   PYTHON=python3.12             the interpreter to make .venv from; any of 3.11 and later
#   ARGS="--preset=smoke"         more arguments for the command that is run
#   CONSTRAINTS=constraints.txt   install the tested versions instead of the newest ones
#   VENV=.venv-other              another virtual environment

VENV := .venv
ARGS :=
CONSTRAINTS :=

python = $(VENV)/bin/python
is_new_enough := import sys; sys.exit(sys.version_info < (3, 11))
candidates := $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python)
version := import sys; print("%d.%d.%d" % sys.version_info[:3])

.PHONY: help sweep test test-lowest soak lint docs clean FORCE
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

sweep: $(VENV)/installed-experiments
	$(python) -m experiments.sweep --variant=all $(ARGS)

test: $(VENV)/installed-dev
	$(python) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# Of what is needed directly. Old packages may meet newer ones that deprecate what they use, and
# old wandb leaves a socket open.
test-lowest: VENV := .venv-lowest
test-lowest:
	@$(environment)
	$(python) -m pip install --no-input --disable-pip-version-check --quiet uv
	$(python) -m uv pip install --python $(python) --resolution lowest-direct --editable '.[dev]'
	$(python) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -W ignore::DeprecationWarning -W ignore::ResourceWarning $(ARGS)

soak: $(VENV)/installed-dev
	$(python) -m tests.soak $(ARGS)

lint: $(VENV)/installed-dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m pyright --pythonpath $(python)

docs: $(VENV)/installed-docs
	$(python) -m zensical build --clean --strict $(ARGS)

# Results of sweeps, in runs/, stay.
clean:
	rm -rf $(VENV) .venv-lowest build dist site .cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.*' -prune -exec rm -rf {} +

# What an install depends on beside pyproject.toml: where it points to and what constrained it.
# $(VENV)/installed-EXTRA holds it, and another value there means: install again. So does anything
# in $(VENV)/unfinished, which is there while an install runs.
installed := $(strip $(CURDIR) $(CONSTRAINTS))
stamp = $(shell cat $(VENV)/unfinished $(VENV)/installed-$(1) 2>/dev/null)

ifneq ($(call stamp,experiments),$(installed))
$(VENV)/installed-experiments: FORCE
endif
ifneq ($(call stamp,dev),$(installed))
$(VENV)/installed-dev: FORCE
endif
ifneq ($(call stamp,docs),$(installed))
$(VENV)/installed-docs: FORCE
endif

# An interrupted install may leave broken packages that look whole, so it is started over.
# `dev` contains `experiments`. What other extras asked for stays true, unless it was constrained
# otherwise.
extras := experiments dev docs
$(extras:%=$(VENV)/installed-%): $(VENV)/installed-%: pyproject.toml $(CONSTRAINTS)
	@$(environment)
	@echo unfinished > $(VENV)/unfinished
	$(python) -m pip install --no-input --disable-pip-version-check \
		$(if $(CONSTRAINTS),--constraint '$(CONSTRAINTS)') --editable '.[$*]'
	@for extra in $(extras); do \
		[ "$$(cat $(VENV)/installed-$$extra 2>/dev/null)" = '$(installed)' ] || rm -f $(VENV)/installed-$$extra; \
	done
	@for extra in $(if $(filter dev,$*),experiments) $*; do echo '$(installed)' > $(VENV)/installed-$$extra; done
	@rm -f $(VENV)/unfinished

# Keeps an environment that can be used, whoever made it; makes one where there is none.
define environment
set -e; \
if [ -e $(VENV)/unfinished ]; then \
	echo 'The last setup of $(VENV) was interrupted; starting over.'; \
elif $(python) -c '$(is_new_enough)' 2>/dev/null; then \
	$(python) -m pip --version >/dev/null 2>&1 || $(python) -m ensurepip; \
	exit 0; \
elif found=$$($(python) -c '$(version)' 2>/dev/null); then \
	echo 'make: expected Python 3.11 or later in $(VENV), got '"$$found"'; remove it with `make clean`' >&2; \
	exit 1; \
fi; \
found=; \
for candidate in $(candidates); do \
	number=$$("$$candidate" -c '$(version)' 2>/dev/null) || continue; \
	found="$$found$${found:+, }$$candidate $$number"; \
	if "$$candidate" -c '$(is_new_enough)'; then \
		echo "Making $(VENV) with $$candidate ($$number)."; \
		"$$candidate" -m venv --clear $(VENV); \
		exit 0; \
	fi; \
done; \
echo make: expected Python 3.11 or later, got "$${found:-none}, having tried" $(candidates)'; install one and name it: make PYTHON=/path/to/python3' >&2; \
exit 1
endef
