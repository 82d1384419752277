# ssecast - one Makefile; `make help` lists what it does.
#
# A build folder for each set of sanitizers, so that objects never mix: build/ and, for example,
# build-address-undefined/ for `make SAN=address,undefined`.

comma := ,
SAN ?=
BUILD ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
VERSION := 0.1.0
PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)

# CROSS=aarch64-linux-gnu- names the tools for another processor, and RUN what runs its programs.
CROSS ?=
RUN ?=
ifdef CROSS
CC := $(CROSS)gcc
AR := $(CROSS)ar
endif
CC ?= cc
OBJCOPY ?= $(CROSS)objcopy
PKG_CONFIG ?= $(CROSS)pkg-config

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla
CFLAGS ?= -O2 -g

# What makes a bug in C harder to use: HARDEN= leaves it out. Not every processor has every flag;
# the sanitizers bring checks of their own.
HARDEN ?= yes
understood = $(foreach flag,$(1),$(shell $(CC) -Werror $(flag) -E -x c /dev/null >/dev/null 2>&1 && echo $(flag)))
optimized := $(filter -O1 -O2 -O3 -Os -Og,$(CFLAGS))
HARDEN_CPPFLAGS := \
    $(if $(HARDEN),$(if $(SAN),,$(if $(optimized),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)))
HARDEN_CFLAGS := $(if $(HARDEN),-fPIE -fstack-protector-strong $(call understood,-fstack-clash-protection -fcf-protection))
HARDEN_LDFLAGS := $(if $(HARDEN),-Wl$(comma)-z$(comma)relro -Wl$(comma)-z$(comma)now -Wl$(comma)-z$(comma)noexecstack)
PIE := $(if $(HARDEN),-pie)

# Sizes of files and times of 64 bits, also on a processor of 32 bits.
WIDE := $(if $(shell $(CC) -dM -E -x c /dev/null | grep __LP64__),,-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)

ALL_CPPFLAGS := -D_GNU_SOURCE $(WIDE) -DSSECAST_VERSION='"$(VERSION)"' -Icommon $(CPPFLAGS) \
    $(HARDEN_CPPFLAGS)
ALL_CFLAGS := -std=c17 $(WARNINGS) -fno-common $(HARDEN_CFLAGS) $(CFLAGS) \
    $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_LDFLAGS := $(LDFLAGS) $(HARDEN_LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

# ThreadSanitizer does not see into libzmq.
ifneq ($(filter thread,$(subst $(comma), ,$(SAN))),)
export TSAN_OPTIONS := suppressions=$(abspath tests/support/thread.supp)
endif

# A folder is a part; the folders in it are its rooms. `make layers` says which room may use which.
COMMON_SRC := $(wildcard common/*/*.c)
FCGI_SRC := $(filter-out fcgi/main.c,$(wildcard fcgi/*.c fcgi/*/*.c))
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c broker/*/*.c))
LIBRARY_SRC := $(wildcard client/lib/*.c) $(addprefix common/,base/backoff.c base/buf.c base/file.c base/folder.c base/hash.c base/json_out.c base/must.c base/name.c base/table.c \
    codec/json_lex.c codec/json_scan.c codec/sse.c codec/surrogate.c ops/curve_key.c \
    ops/endpoint.c ops/handshake.c ops/libcurl.c ops/zsock.c)
CLI_SRC := $(filter-out client/cli/main.c,$(wildcard client/cli/*.c))
CLIENT_SRC := $(wildcard client/lib/*.c) $(CLI_SRC)
FRAME_SRC := $(wildcard bridges/frame/*.c)
PGSQL_SRC := $(filter-out %/main.c,$(wildcard bridges/pgsql/*.c))
MQTT_SRC := $(filter-out %/main.c,$(wildcard bridges/mqtt/*.c))
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

BRIDGES := $(BUILD)/ssecast-pgsql $(BUILD)/ssecast-mqtt
PROGRAMS := $(BUILD)/ssecast-broker $(BUILD)/ssecast-fcgi $(BUILD)/ssecast $(BRIDGES)
LIBRARIES := $(BUILD)/libssecast.so.0 $(BUILD)/libssecast.a

.DEFAULT_GOAL := all
.SECONDARY: # objects stay: the next make would compile them again
.PHONY: all help deps deps-build deps-demo deps-test deps-lint deps-bench deps-coverage \
    deps-valgrind deps-deb demo test check check-again check-all coverage coverage-report valgrind \
    bench bench-build soak unit unit-build unit-sanitized fuzz fuzz-targets fuzz-build fuzz-check \
    fuzz-seeds e2e lint layers compdb format deb check-deb check-cross install uninstall clean

all: $(PROGRAMS) $(LIBRARIES) ## build the programs and libssecast into build/

# A file names what it includes by its room: its own part's rooms, and those of common/.
$(BUILD)/obj/broker/%.o: ALL_CPPFLAGS += -Ibroker
$(BUILD)/obj/fcgi/%.o: ALL_CPPFLAGS += -Ifcgi
$(BUILD)/obj/client/%.o $(BUILD)/pic/client/%.o: ALL_CPPFLAGS += -Iclient
# Bridges use libssecast, as any program may.
PGSQL_INCLUDE := $(addprefix -isystem ,$(shell $(PKG_CONFIG) --variable=includedir libpq))
$(BUILD)/obj/bridges/%.o: ALL_CPPFLAGS += -Ibridges -Iclient $(PGSQL_INCLUDE)
PARTS := -I. -Ibroker -Ifcgi -Iclient -Ibridges # for tests, which may use them all

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Into which the status page is put whole.
$(BUILD)/obj/fcgi/service/service_status.o: fcgi/service/status.html

# The library's objects once more, for any address, and with nothing to be seen from outside but
# ssecast.h. A static library is for any compiler, so its code is final: with -flto in CFLAGS objects
# would hold what only this compiler reads, and keep their names global.
$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fno-lto -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@
$(BUILD)/libssecast.so.0: $(patsubst %.c,$(BUILD)/pic/%.o,$(LIBRARY_SRC)) client/lib/ssecast.map
	$(CC) $(ALL_LDFLAGS) -shared $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-soname,$(@F) \
	    -Wl,--version-script=client/lib/ssecast.map -Wl,--as-needed $(filter %.o,$^) \
	    $(LIBRARY_LIBS) -o $@
	@ln -sf $(@F) $(BUILD)/libssecast.so
# Functions that the compiler adds to each object (x86 of 32 bits) become the library's own.
ONE_OBJECT := -Wl$(comma)--force-group-allocation
$(BUILD)/pic/libssecast.o: $(patsubst %.c,$(BUILD)/pic/%.o,$(LIBRARY_SRC))
	$(CC) $(CFLAGS) -fno-lto -r -nostdlib $(ONE_OBJECT) $^ -o $@
	@$(OBJCOPY) --localize-hidden $@
$(BUILD)/libssecast.a: $(BUILD)/pic/libssecast.o

$(BUILD)/libcommon.a: $(call object,$(COMMON_SRC))
$(BUILD)/libworker.a: $(call object,$(FCGI_SRC))
$(BUILD)/libbroker.a: $(call object,$(BROKER_SRC))
$(BUILD)/libclient.a: $(call object,$(CLIENT_SRC))
$(BUILD)/libbridges.a: $(call object,$(FRAME_SRC) $(PGSQL_SRC) $(MQTT_SRC))
$(BUILD)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

WORKER_LIBS := -lfcgi -lzmq -lcrypto -ljansson -lsodium -luring
BROKER_LIBS := -lzmq -ljansson -llmdb -lxxhash -lnats -lsodium
LIBRARY_LIBS := -lzmq -ljansson -lsodium
CLIENT_LIBS := $(LIBRARY_LIBS)
PGSQL_LIBS := $(CLIENT_LIBS) -lpq
MQTT_LIBS := $(CLIENT_LIBS) -lmosquitto

$(BUILD)/ssecast-broker: $(BUILD)/obj/broker/main.o $(BUILD)/libbroker.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $(PIE) $^ $(BROKER_LIBS) -o $@
$(BUILD)/ssecast-fcgi: $(BUILD)/obj/fcgi/main.o $(BUILD)/libworker.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $(PIE) $^ $(WORKER_LIBS) -o $@
$(BUILD)/ssecast: $(BUILD)/obj/client/cli/main.o $(call object,$(CLI_SRC)) $(BUILD)/libssecast.a \
    $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $(PIE) $^ $(CLIENT_LIBS) -o $@
$(BUILD)/ssecast-pgsql: $(BUILD)/obj/bridges/pgsql/main.o $(call object,$(FRAME_SRC) $(PGSQL_SRC)) \
    $(BUILD)/libssecast.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $(PIE) $^ $(PGSQL_LIBS) -o $@
$(BUILD)/ssecast-mqtt: $(BUILD)/obj/bridges/mqtt/main.o $(call object,$(FRAME_SRC) $(MQTT_SRC)) \
    $(BUILD)/libssecast.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $(PIE) $^ $(MQTT_LIBS) -o $@

# Unit tests: tests/unit/check_<module>.c, one program each, linked with the libraries they test.
FUZZ_OBJECTS := $(patsubst tests/fuzz/%.c,$(BUILD)/obj/tests/fuzz/%.o,$(wildcard tests/fuzz/fuzz_*.c)) # compiled along, so that they keep up
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/check_*.c))
# These programs are many: they are optimized less, and linked by the faster linker. Each test
# forks, which is slow with many libraries, so a program loads only those that it uses.
links = $(shell echo 'int main(void){return 0;}' | $(CC) $(1) -x c - -o /dev/null 2>/dev/null && echo $(1))
UNIT_LD = $(eval UNIT_LD := $(call links,-fuse-ld=lld))$(UNIT_LD)
CHECK_LIBS = $(eval CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check))$(CHECK_LIBS)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libworker.a $(BUILD)/libbroker.a \
    $(BUILD)/libbridges.a $(BUILD)/libclient.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $(UNIT_LD) -Wl,--as-needed $^ $(CHECK_LIBS) -ljwt $(WORKER_LIBS) \
	    $(BROKER_LIBS) $(PGSQL_LIBS) $(MQTT_LIBS) -o $@
$(BUILD)/obj/tests/unit/%.o: ALL_CPPFLAGS += $(PARTS) -Itests/unit
$(BUILD)/obj/tests/unit/%.o: ALL_CFLAGS += $(if $(optimized),-O1)

# Measurements are compiled along too.
BENCH_OBJECTS := \
    $(patsubst tests/bench/%.c,$(BUILD)/obj/tests/bench/%.o,$(wildcard tests/bench/*.c))
unit-build: $(UNIT) $(if $(findstring fuzzer,$(SAN)),,$(FUZZ_OBJECTS) $(BENCH_OBJECTS))
unit: $(UNIT) ## build and run the unit tests
	@CK_FORK=$(if $(SAN),no,yes) RUN='$(RUN)' tests/unit/run $(JOBS) $(UNIT)

# Fuzzing: tests/fuzz/fuzz_<module>.c, one program each, with libFuzzer and the sanitizers of clang
# in a build folder of their own.
# Their seeds, and every input that ever found something, are in tests/fuzz/corpus.
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libworker.a $(BUILD)/libbroker.a \
    $(BUILD)/libbridges.a $(BUILD)/libclient.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer $^ $(WORKER_LIBS) $(BROKER_LIBS) $(CLIENT_LIBS) -o $@
$(BUILD)/obj/tests/fuzz/%.o: ALL_CPPFLAGS += $(PARTS)

fuzz-targets: $(FUZZ)
FUZZ_BUILD ?= build-fuzz
FUZZ_FLAGS = BUILD=$(FUZZ_BUILD) CC=clang SAN=fuzzer-no-link,address,undefined \
    CFLAGS='-O1 -gline-tables-only' WARNINGS=
fuzz-build:
	@$(MAKE) --no-print-directory -j$(shell nproc) fuzz-targets $(FUZZ_FLAGS)

# Everything but the tests themselves is compiled for the fuzzers already.
unit-sanitized: ## run the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory -j$(shell nproc) unit $(FUZZ_FLAGS)

$(BUILD)/fuzz-seeds: $(BUILD)/obj/tests/fuzz/seeds.o $(BUILD)/obj/broker/presence/gossip.o \
    $(BUILD)/obj/broker/log/batch.o $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $^ -lsodium -o $@
fuzz-seeds: $(BUILD)/fuzz-seeds # what tests/fuzz/corpus has of binary formats, written anew
	$< tests/fuzz/corpus

FUZZ_SECONDS ?= 60
FUZZ_TARGET ?=
fuzz: deps fuzz-build ## feed made-up input to every decoder, FUZZ_SECONDS (60) each, and keep what is new (FUZZ_TARGET=wire: one of them)
	@$(PYTHON) tests/fuzz/run $(FUZZ_BUILD) --seconds $(FUZZ_SECONDS) \
	    $(addprefix --target ,$(FUZZ_TARGET))

fuzz-check: fuzz-build # for `make check`: every input that is kept, then a second of new ones
	@$(PYTHON) tests/fuzz/run $(FUZZ_BUILD) --seconds 1 --fresh

# Records what a broker writes, syncs and answers: tests/support/power.py preloads it.
RECORDER := $(BUILD)/power-recorder.so
$(RECORDER): tests/power/recorder.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -Wall -Wextra $(CFLAGS) -fPIC -shared $< -ldl -o $@

# Starts each program of the end-to-end tests: tests/support/processes.py.
STARTER := $(BUILD)/starter
$(STARTER): tests/support/starter.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -Wall -Wextra $(CFLAGS) $< -o $@

# End-to-end tests: real web servers, ZeroMQ clients and a browser.
# E2E="tests/e2e/test_20_resume.py -k gap" runs some.
# All of them run in several processes side by side, five for each core, because they mostly wait.
E2E ?= tests/e2e
SIDE_BY_SIDE := $(shell echo $$((5 * $(JOBS))))
E2E_JOBS ?= $(if $(filter-out tests/e2e,$(E2E)),0,$(SIDE_BY_SIDE))
PYTEST = SSECAST_BUILD=$(BUILD) SSECAST_PATIENCE=$(if $(SAN),8,3) PYTHONPATH=tests \
    PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(abspath $(BUILD))/pycache \
    $(PYTHON) -m pytest -q -o cache_dir=$(abspath $(BUILD))/pytest --dist loadgroup

# Compiled once: each process of the tests would do it for itself, for five seconds.
COMPILED_TESTS := $(BUILD)/pycache/compiled
$(COMPILED_TESTS): $(wildcard tests/e2e/*.py tests/support/*.py)
	@mkdir -p $(@D)
	@$(PYTEST) --collect-only tests/e2e >$@ || { cat $@; rm $@; exit 1; }

e2e: all bench-build $(RECORDER) $(STARTER) $(COMPILED_TESTS) ## run the end-to-end tests (E2E="tests/e2e/test_20_resume.py -k gap": some of them)
	$(PYTEST) -n $(E2E_JOBS) --durations=10 --durations-min=1 $(E2E)

# Lines that the tests run, in a build folder of its own.
# COVERAGE_E2E="tests/e2e/test_10_publish.py ...": fewer end-to-end tests.
COVERAGE := build-coverage
COVERAGE_E2E ?= tests/e2e --deselect=tests/e2e/test_61_library.py::test_the_static_one_links_too
coverage: deps-coverage ## run the tests and say which lines they reach: build-coverage/report/index.html
	@find $(COVERAGE) -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory -j$(shell nproc) all unit-build $(COVERAGE_FLAGS)
	@$(MAKE) --no-print-directory unit $(COVERAGE_FLAGS)
	@$(MAKE) --no-print-directory e2e $(COVERAGE_FLAGS) E2E='$(COVERAGE_E2E)' \
	    || echo "some end-to-end tests failed; what they reached counts"
	@$(MAKE) --no-print-directory coverage-report
COVERAGE_FLAGS = BUILD=$(COVERAGE) HARDEN= CFLAGS='-O0 -g' \
    CPPFLAGS='--coverage -fprofile-update=atomic' LDFLAGS=--coverage

coverage-report: # of what was run last; it fails below 90 % of the lines
	@mkdir -p $(COVERAGE)/report
	gcovr --root . --object-directory $(COVERAGE) --filter common/ --filter fcgi/ \
	    --filter broker/ --filter client/ --filter bridges/ \
	    --exclude-unreachable-branches --sort-percentage \
	    --html-details $(COVERAGE)/report/index.html --txt $(COVERAGE)/report/lines.txt \
	    --print-summary --fail-under-line 90 $(COVERAGE)
	@tail -4 $(COVERAGE)/report/lines.txt

# Memcheck. For the end-to-end tests a build folder holds programs that start the real ones under
# it.
MEMCHECK := valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,indirect \
    --error-exitcode=99
VALGRIND_E2E ?= tests/e2e/test_10_publish.py tests/e2e/test_12_questions.py \
    tests/e2e/test_20_resume.py
valgrind: deps-valgrind ## run the unit tests and some end-to-end tests (VALGRIND_E2E) under valgrind
	@$(MAKE) --no-print-directory -j$(shell nproc) all unit-build
	@set -e; for t in $(UNIT); do CK_FORK=no CK_DEFAULT_TIMEOUT=600 $(MEMCHECK) $$t; done
	@rm -rf $(BUILD)-valgrind && mkdir -p $(BUILD)-valgrind && for p in $(PROGRAMS); do \
	    printf '#!/bin/sh\nexec $(MEMCHECK) $(abspath .)/%s "$$@"\n' $$p \
	    > $(BUILD)-valgrind/$${p##*/}; chmod +x $(BUILD)-valgrind/$${p##*/}; done
	SSECAST_BUILD=$(BUILD)-valgrind SSECAST_PATIENCE=6 PYTHONPATH=tests \
	    PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -o cache_dir=$(abspath $(BUILD))/pytest $(VALGRIND_E2E)

# For every day: what nearly every change could break, in about a minute.
CORE := $(wildcard $(foreach theme,02 10 11 12 20 21 41 50 51 52 60,tests/e2e/test_$(theme)_*.py))
test: ## run the unit tests and the core of the end-to-end tests: about a minute
	@$(MAKE) --no-print-directory -j$(JOBS) all unit-build
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e E2E='$(CORE)' E2E_JOBS=$(SIDE_BY_SIDE)

# In steps of their own, because what is installed first decides how the rest is built.
check: ## install what is missing, build, and run every test (SAN=address,undefined: with sanitizers)
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(shell nproc) all unit-build
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory fuzz-check
	@$(MAKE) --no-print-directory e2e

RUNS ?= 10
check-again: all $(RECORDER) $(STARTER) ## run the end-to-end tests RUNS times (10) beside a busy core: none may fail
	@tests/again $(RUNS) $(MAKE) --no-print-directory e2e

check-all: deps-deb ## run all tests with gcc and clang, with each sanitizer, and in Debian 12 and 13: hours, the latter as root
	@tests/all $(ALL)

SOAK ?= 10
LOAD ?= $(SOAK)
POWER ?= 10000
soak: ## faults for SOAK minutes (10), POWER power failures (10000), 8,900 streams for LOAD minutes (10). SEED=n repeats
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j$(shell nproc) bench-build $(RECORDER) $(STARTER)
	@SSECAST_BUILD=$(BUILD) SSECAST_PATIENCE=$(if $(SAN),4,1) PYTHONPATH=tests \
	    PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m soak --faults $(SOAK) --power $(POWER) --load $(LOAD)

demo: ## install what is missing, build, and show it on http://127.0.0.1:8080/ (DEMO_PORT and DEMO_HOST change that)
	@$(MAKE) --no-print-directory deps-demo
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@BUILD=$(BUILD) $(PYTHON) demo/run

# Packages: what packages.txt lists and dpkg does not have is installed; apt is not touched when
# nothing is missing. The web servers are for our own use: meanwhile a policy-rc.d (unless the
# machine has one) keeps their services from starting.
packages = $(shell awk -v want=' $(1) ' '/^\[/ { on = index(want, " " substr($$1, 2, length($$1) - 2) " ") } on && /^[a-z0-9]/ { print $$1 }' packages.txt)

deps: deps-test ## install the Debian packages that are missing (deps-build, deps-demo: fewer; deps-lint, deps-bench: those of lint, bench)
deps-build: SECTIONS := build
deps-demo: SECTIONS := build demo
deps-test: SECTIONS := build demo test
deps-lint: SECTIONS := build test lint
deps-deb: SECTIONS := build deb
deps-bench: SECTIONS := build demo bench
deps-coverage: SECTIONS := build demo test coverage
deps-valgrind: SECTIONS := build demo test valgrind
deps-build deps-demo deps-test deps-lint deps-bench deps-coverage deps-valgrind deps-deb:
	@command -v dpkg-query >/dev/null \
	    || { echo "not a Debian: see to the packages in packages.txt yourself"; exit 0; }; \
	missing=; for package in $(call packages,$(SECTIONS)); do \
	    [ $$package != npm ] || ! command -v npm >/dev/null || continue; \
	    dpkg-query -W -f '$${Status}\n' $$package 2>/dev/null | grep -q ' installed$$' \
	        || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	echo "installing$$missing"; \
	root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	[ -z "$$root" ] || command -v sudo >/dev/null \
	    || { echo "as root, please: apt-get install$$missing" >&2; exit 1; }; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then \
	    trap "$$root rm -f $$policy" EXIT; trap 'exit 130' INT TERM; \
	    printf '#!/bin/sh\nexit 101\n' | $$root install -m 755 /dev/stdin $$policy; \
	fi; \
	$$root apt-get -q update && $$root env DEBIAN_FRONTEND=noninteractive \
	    apt-get -q -y --no-install-recommends install $$missing

# Measurements: tests/bench/run starts ssecast, the peers it finds and its own load, C programs of
# one file each.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/libworker.a $(BUILD)/libbroker.a \
    $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(WORKER_LIBS) $(BROKER_LIBS) -lssl -o $@
$(BUILD)/obj/tests/bench/%.o: ALL_CPPFLAGS += $(PARTS)

bench-build: all $(BENCH)
bench: ## measure ssecast and its peers (QUICK=1: under two minutes; BENCH_ARGS="--help" says what else)
	@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory -j$(shell nproc) bench-build
	@SSECAST_BUILD=$(BUILD) PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) tests/bench/run $(if $(QUICK),--quick) $(BENCH_ARGS)

# A file's findings are shown whole; without any, clang-tidy only counts what it left out.
SOURCES := $(COMMON_SRC) \
    $(wildcard fcgi/*.c fcgi/*/*.c broker/*.c broker/*/*.c client/*/*.c bridges/*/*.c)
HEADERS := $(wildcard */*.h */*/*.h)
TEST_SOURCES := $(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c)
TIDY := \
    file=$$1; shift; found=$$(clang-tidy --quiet --warnings-as-errors="*" "$$file" -- "$$@" 2>&1) \
    || { echo "$$found"; exit 1; }
lint: deps-lint ## clang-tidy, cppcheck, layout, and the words of texts (.clang-tidy, tests/lint)
	@tests/lint/words
	@tests/lint/house --check
	@$(MAKE) --no-print-directory layers
	printf '%s\n' $(SOURCES) $(TEST_SOURCES) | xargs -P $(JOBS) -I{} sh -c '$(TIDY)' sh {} \
	    -std=c17 $(ALL_CPPFLAGS) $(PARTS) $(PGSQL_INCLUDE) -Itests/unit
	cppcheck --quiet '-DSLIST_FOREACH(v,h,f)=for((v)=(h)->slh_first;v;(v)=(v)->f.sle_next)' \
	    --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem -D_GNU_SOURCE -Icommon $(PARTS) $(SOURCES)
	clang-format --dry-run --Werror $(SOURCES) $(HEADERS) \
	    $(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c)

layers: ## check which room includes which (tests/lint/allowed-includes)
	@tests/lint/layers

compdb: ## write compile_commands.json, for editors and clangd
	@$(MAKE) --no-print-directory -nB all unit-build bench-build | awk -v folder='$(CURDIR)' ' \
	    match($$0, / -c [^ ]+\.c /) { \
	        file = substr($$0, RSTART + 4, RLENGTH - 5); gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); \
	        printf "%s{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s\"}", n++ ? ",\n" : "[\n", folder, file, $$0 } \
	    END { print n ? "\n]" : "[]" }' > compile_commands.json

format: ## lay the sources out as .clang-format says
	clang-format -i $(SOURCES) $(HEADERS) \
	    $(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c)

# Debian packages: built from a copy, so that nothing of it stays in the tree.
deb: deps-deb ## build the Debian packages into build/deb/, judged by lintian
	@rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/ssecast-$(VERSION)
	@{ git ls-files -z 2>/dev/null || find . -path './build*' -prune -o -type f -print0; } | \
	    tar -c --null -T - --ignore-failed-read | tar -x -C $(BUILD)/deb/ssecast-$(VERSION)
	cd $(BUILD)/deb/ssecast-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL \
	    dpkg-buildpackage -us -uc -b
	lintian --fail-on error,warning $(BUILD)/deb/*.changes

# Packages of another release than this machine's are built in a Debian of that release.
RELEASE ?= $(shell . /etc/os-release && echo $$VERSION_CODENAME)
check-deb: deps-deb ## the packages in a Debian that runs systemd: install, stream, upgrade, purge. As root. RELEASE=trixie: in that one
	@if [ $(RELEASE) = "$$(. /etc/os-release && echo $$VERSION_CODENAME)" ]; then \
	    $(MAKE) --no-print-directory deb; \
	else \
	    tests/in-debian $(RELEASE)-deb make deb && rm -rf $(BUILD)/deb && mkdir -p $(BUILD) && \
	    cp -a build-roots/$(RELEASE)-deb/ssecast/build/deb $(BUILD)/deb; \
	fi
	PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/deb/run $(BUILD) $(RELEASE)

# Another processor: qemu-user takes the place of a machine. Only the unit tests run there.
ARCH ?= arm64
check-cross: ## compile for ARCH (arm64, i386, s390x) and run the unit tests there, in a Debian of its own. As root
	@tests/in-debian bookworm-$(ARCH) tests/cross $(ARCH)

# Installation: `make install prefix=/usr DESTDIR=/some/root`. Rows of file:place (links:
# place:target), which uninstall reads too.
# Documents keep their places below docdir, so that their links work. Files name /usr/bin and
# /etc/ssecast, and are changed where these are elsewhere. Settings in /etc/ssecast are never
# overwritten.
prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
docdir ?= $(datadir)/doc/ssecast
sysconfdir ?= /etc
unitdir ?= $(prefix)/lib/systemd/system
lighttpddir ?= $(sysconfdir)/lighttpd/conf-available
apachedir ?= $(sysconfdir)/apache2/conf-available

into = $(foreach file,$(1),$(file):$(2)/$(notdir $(file)))
INSTALL_PROGRAMS := $(call into,$(PROGRAMS),$(bindir))
INSTALL_LIBS := $(call into,$(LIBRARIES),$(libdir))
INSTALL_LINKS := $(libdir)/libssecast.so:libssecast.so.0
INSTALL_DATA := \
    $(foreach page,$(wildcard docs/man/*.[1-9]),$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
    $(call into,README.md CHANGELOG.md SECURITY.md LICENSE systemd/handoff.conf,$(docdir)) \
    $(foreach page,$(wildcard docs/*.md docs/*.svg docs/adr/*.md docs/pictures/*.png) client/js/README.md,$(page):$(docdir)/$(page)) \
    client/lib/ssecast.h:$(includedir)/ssecast.h \
    client/lib/ssecast.pc.in:$(libdir)/pkgconfig/ssecast.pc \
    $(call into,$(filter-out %.json %.md,$(wildcard client/js/ssecast*)),$(datadir)/javascript/ssecast) \
    client/php/ssecast.php:$(datadir)/php/ssecast/ssecast.php \
    $(call into,$(wildcard monitoring/*),$(datadir)/ssecast/monitoring) \
    $(call into,$(wildcard systemd/ssecast*),$(unitdir)) \
    systemd/sysusers.conf:$(prefix)/lib/sysusers.d/ssecast.conf \
    systemd/tmpfiles.conf:$(prefix)/lib/tmpfiles.d/ssecast.conf \
    lighttpd/ssecast-limits.conf:$(lighttpddir)/40-ssecast-limits.conf \
    $(foreach name,ssecast ssecast-spawn ssecast-cgi,lighttpd/$(name).conf:$(lighttpddir)/50-$(name).conf) \
    lighttpd/ssecast-login.conf:$(lighttpddir)/60-ssecast-login.conf \
    $(call into,$(wildcard apache/*.conf),$(apachedir)) \
    completion/ssecast.bash:$(datadir)/bash-completion/completions/ssecast \
    completion/_ssecast:$(datadir)/zsh/site-functions/_ssecast
INSTALL_LINKS += $(foreach name,ssecast-broker ssecast-fcgi $(notdir $(BRIDGES)),$(datadir)/bash-completion/completions/$(name):ssecast)
INSTALL_EXAMPLES := \
    $(foreach file,$(wildcard examples/*.* examples/*/*.*),$(file):$(docdir)/$(file))
INSTALL_SETTINGS := $(call into,$(wildcard conf/*.conf),$(sysconfdir)/ssecast)
INSTALL_EDIT := -e 's|/usr/bin/ssecast|$(bindir)/ssecast|g' \
    -e 's|/etc/ssecast/|$(sysconfdir)/ssecast/|g' -e 's|/etc/lighttpd/|$(sysconfdir)/lighttpd/|g' \
    -e 's|@prefix@|$(prefix)|;s|@libdir@|$(libdir)|;s|@includedir@|$(includedir)|;s|@version@|$(VERSION)|'

# Shell functions over a row, "$$1".
ROW := from() { echo "$${1%%:*}"; }; to() { printf '%s' '$(DESTDIR)'"$${1\#*:}"; }; \
    edited() { sed $(INSTALL_EDIT) "$$(from $$1)"; }

install: all ## install below prefix (/usr/local): programs, man pages, units, configurations. DESTDIR=folder packs it there
	@set -e; $(ROW); \
	for row in $(INSTALL_PROGRAMS); do \
	    install -D -m 755 "$$(from $$row)" "$$(to $$row)"; done; \
	for row in $(INSTALL_LIBS); do install -D -m 644 "$$(from $$row)" "$$(to $$row)"; done; \
	for row in $(INSTALL_DATA); do \
	    edited $$row | install -D -m 644 /dev/stdin "$$(to $$row)"; done; \
	for row in $(INSTALL_EXAMPLES); do \
	    mode=644; [ ! -x "$$(from $$row)" ] || mode=755; \
	    edited $$row | install -D -m $$mode /dev/stdin "$$(to $$row)"; \
	done; \
	for row in $(INSTALL_LINKS); do ln -sfn "$${row#*:}" '$(DESTDIR)'"$$(from $$row)"; done; \
	for row in $(INSTALL_SETTINGS); do \
	    if [ -e "$$(to $$row)" ]; then echo "kept: $$(to $$row)"; \
	    else edited $$row | install -D -m 644 /dev/stdin "$$(to $$row)"; fi; \
	done

uninstall: ## remove what install put there; settings that were changed, and the history, stay
	@$(ROW); \
	for row in $(INSTALL_PROGRAMS) $(INSTALL_LIBS) $(INSTALL_DATA) $(INSTALL_EXAMPLES); do \
	    rm -f "$$(to $$row)"; done; \
	for row in $(INSTALL_LINKS); do rm -f '$(DESTDIR)'"$$(from $$row)"; done; \
	for row in $(INSTALL_SETTINGS); do \
	    if edited $$row | cmp -s - "$$(to $$row)"; then rm -f "$$(to $$row)"; \
	    elif [ -e "$$(to $$row)" ]; then echo "kept: $$(to $$row)"; fi; \
	done; \
	rmdir '$(DESTDIR)$(datadir)/ssecast/monitoring' '$(DESTDIR)$(datadir)/ssecast' $(foreach folder,$(patsubst %,/%,$(sort $(dir $(wildcard examples/*/*.*)))) /examples /docs/adr /docs/pictures /docs /client/js /client /,'$(DESTDIR)$(docdir)$(folder)') '$(DESTDIR)$(sysconfdir)/ssecast' 2>/dev/null || true

clean: ## remove everything that was built
	rm -rf build build-*

-include $(shell find $(BUILD)/obj $(BUILD)/pic -name '*.d' 2>/dev/null)
