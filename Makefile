# ssecast - one Makefile; `make help` lists what it does.
#
# A build folder for each set of sanitizers, so that objects never mix: build/ and, for example,
# build-address-undefined/ for `make SAN=address,undefined`.

comma := ,
SAN ?=
BUILD ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
VERSION := 0.1.0
PYTHON ?= /usr/bin/python3
CC ?= cc

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS ?= -O2 -g
ALL_CPPFLAGS := -D_GNU_SOURCE -DSSECAST_VERSION='"$(VERSION)"' -Icommon $(CPPFLAGS)
ALL_CFLAGS := -std=c17 $(WARNINGS) -fno-common -fstack-protector-strong $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_LDFLAGS := $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

COMMON_SRC := $(wildcard common/*.c)
FCGI_SRC := $(filter-out fcgi/main.c,$(wildcard fcgi/*.c))
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c))
CLIENT_SRC := $(filter-out client/main.c,$(wildcard client/*.c))
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

PROGRAMS := $(BUILD)/ssecast-broker $(BUILD)/ssecast-fcgi $(BUILD)/ssecast

.DEFAULT_GOAL := all
.PHONY: all help deps clean unit e2e check lint format demo

all: $(PROGRAMS) ## build the three programs into build/

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/libcommon.a: $(call object,$(COMMON_SRC))
$(BUILD)/libworker.a: $(call object,$(FCGI_SRC))
$(BUILD)/libbroker.a: $(call object,$(BROKER_SRC))
$(BUILD)/libclient.a: $(call object,$(CLIENT_SRC))
$(BUILD)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

WORKER_LIBS := -lfcgi -lzmq -linih
BROKER_LIBS := -lzmq -ljansson -linih
CLIENT_LIBS := -lzmq -ljansson -lcurl -linih

$(BUILD)/ssecast-broker: $(BUILD)/obj/broker/main.o $(BUILD)/libbroker.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $^ $(BROKER_LIBS) -o $@
$(BUILD)/ssecast-fcgi: $(BUILD)/obj/fcgi/main.o $(BUILD)/libworker.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $^ $(WORKER_LIBS) -o $@
$(BUILD)/ssecast: $(BUILD)/obj/client/main.o $(BUILD)/libclient.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) $^ $(CLIENT_LIBS) -o $@

# Unit tests: tests/unit/check_<module>.c, one program each, linked with the libraries they test.
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/check_*.c))
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libworker.a $(BUILD)/libbroker.a $(BUILD)/libclient.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) $^ $(shell pkg-config --libs check) $(WORKER_LIBS) $(BROKER_LIBS) $(CLIENT_LIBS) -o $@
$(BUILD)/obj/tests/unit/%.o: ALL_CPPFLAGS += -I. -Itests/unit

unit: $(UNIT) ## build and run the unit tests
	@set -e; for t in $(UNIT); do CK_FORK=$(if $(SAN),no,yes) $$t; done

clean: ## remove everything that was built
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
