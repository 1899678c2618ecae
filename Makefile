# polygond - one Makefile, no recursion. `make help` lists the targets.
VERSION := 0.1.0
MAKEFLAGS += --no-builtin-rules

V ?= release
O ?= build
B := $(O)/$(V)
CC ?= gcc
AR ?= ar
PKG_CONFIG ?= pkg-config
PYTHON ?= /usr/bin/python3
ifeq ($(origin CC),default)
CC := gcc
endif

# ------------------------------------------------------------------------------------------------------- flags
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror
BASE := -std=c17 -D_GNU_SOURCE -DPGD_VERSION='"$(VERSION)"' -fno-strict-aliasing -ffp-contract=off -fno-math-errno \
        -fPIC -fvisibility=hidden -fstack-protector-strong -MD -MP -g $(WARN)
OPT_release := -O2 -D_FORTIFY_SOURCE=2
OPT_debug   := -O0
OPT_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_tsan    := -O1 -fsanitize=thread -Wno-tsan
OPT_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_cross   := -O2
OPT := $(OPT_$(V))
ifeq ($(OPT),)
$(error unknown variant V=$(V): release debug asan tsan fuzz cross)
endif
ifeq ($(V),fuzz)
CC := clang
endif
ifneq ($(findstring clang,$(CC)),)
OPT := $(filter-out -Wno-tsan,$(OPT))
endif
LDOPT := $(filter -fsanitize=address% -fsanitize=thread,$(OPT))
ifeq ($(V),fuzz)
LDOPT := -fsanitize=address,undefined
endif
ifeq ($(V),cross)
CC := aarch64-linux-gnu-gcc
AR := aarch64-linux-gnu-ar
PKG_CONFIG := env PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig pkg-config
endif
LDFLAGS_ALL := $(LDOPT) -Wl,-z,relro,-z,now $(LDFLAGS)

pc = $(shell $(PKG_CONFIG) $(1) $(2) 2>/dev/null)
DAEMON_PKGS := libuv libcurl jansson libcyaml yaml-0.1 libsystemd libxxhash zlib
SIM_PKGS    := libuv jansson openssl zlib
# gzip bodies are inflated by ISA-L where there is one (ISAL= goes without), by zlib elsewhere; V=cross looks for the target's, which
# Debian cannot install beside the host's.
ISAL ?= $(shell $(PKG_CONFIG) --exists libisal 2>/dev/null && echo yes)
DAEMON_PKGS += $(if $(ISAL),libisal,zlib)
DAEMON_CF := $(if $(ISAL),-DHAVE_ISAL) $(call pc,--cflags,$(DAEMON_PKGS))
DAEMON_LD := $(call pc,--libs,$(DAEMON_PKGS))
SIM_CF    := $(call pc,--cflags,$(SIM_PKGS))
SIM_LD    := $(call pc,--libs,$(SIM_PKGS))

# Each folder is compiled with the includes of its layer and no other (tests/check/layers greps the .d files as well).
INC_shm     := -Ishm/include -Ishm
INC_kernels := -Ikernels/include -Ikernels -Ishm/include
INC_daemon  := -Idaemon -Ikernels/include -Ishm/include
INC_lib     := -Iclients/include -Iclients/lib -Ishm/include
INC_polyctl := -Iclients/include -Iclients/polyctl -Ikernels/include -Ishm/include
INC_tests   := -Itests -Idaemon -Ikernels/include -Ikernels -Iclients/include -Iclients/lib -Ishm/include -Ishm

# ------------------------------------------------------------------------------------------------------ sources
SHM_SRC     := $(wildcard shm/*.c)
KERNELS_SRC := $(filter-out kernels/simd.c,$(wildcard kernels/*.c kernels/cuda/*.c))
DAEMON_SRC  := $(wildcard daemon/*.c)
LIB_SRC     := $(wildcard clients/lib/*.c)
CTL_SRC     := $(wildcard clients/polyctl/*.c)
SIM_SRC     := $(wildcard tests/polysim/*.c)
obj = $(patsubst %.c,$(B)/%.o,$(1))

LIBSHM     := $(B)/libshm.a
LIBKERNELS := $(B)/libkernels.a
LIBDAEMON  := $(B)/libdaemon.a
LIBCLIENT  := $(B)/libpolygond.a
LIBSO      := $(B)/libpolygond.so.1
LIBSIM     := $(B)/libpolysim.a
LIBREF     := $(B)/libreference.a
REF_SRC    := $(wildcard tests/reference/*.c)

PROGRAMS := $(B)/polygond $(B)/polyctl $(B)/polysim
.PHONY: all
all: $(PROGRAMS) $(LIBCLIENT) $(LIBSO)
	@$(if $(CUDA_LINE),echo '$(CUDA_LINE)')
CUDA_LINE = $(if $(GENERAL),cuda: nvcc found: the general kernel is carried precompiled,cuda: no kernel is precompiled: a GPU needs NVRTC where polygond runs)

$(B)/shm/%.o: shm/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_shm) -c $< -o $@
# The inner loops of the CPU engine, once for each instruction set; which one runs is decided at run time.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ISAS := base
ISA_base := -DPGK_LANES=2
ifneq ($(filter x86_64%,$(MACHINE)),)
ISAS += avx2 avx512
ISA_avx2 := -DPGK_LANES=4 -mavx2
ISA_avx512 := -DPGK_LANES=8 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mprefer-vector-width=512
endif
SIMD_OBJ := $(patsubst %,$(B)/kernels/simd_%.o,$(ISAS))
$(SIMD_OBJ): $(B)/kernels/simd_%.o: kernels/simd.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(if $(filter -O2,$(OPT)),-O3 -funroll-loops) $(CFLAGS) $(INC_kernels) -DPGK_ISA=$* $(ISA_$*) -c $< -o $@
$(B)/kernels/%.o: kernels/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_kernels) -c $< -o $@
$(B)/daemon/%.o: daemon/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_daemon) $(DAEMON_CF) -c $< -o $@
$(B)/clients/lib/%.o: clients/lib/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_lib) -c $< -o $@
$(B)/clients/polyctl/%.o: clients/polyctl/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_polyctl) -c $< -o $@
$(B)/tests/polysim/%.o: tests/polysim/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) -Itests/polysim -Ikernels/include -Ishm/include $(SIM_CF) -c $< -o $@
$(B)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_tests) $(DAEMON_CF) -c $< -o $@

define archive
	@rm -f $@
	$(AR) rcs $@ $^
endef
$(LIBSHM): $(call obj,$(SHM_SRC))
	$(archive)
$(LIBKERNELS): $(call obj,$(KERNELS_SRC)) $(SIMD_OBJ) $(B)/kernels/cuda/texts.o
	$(archive)
$(LIBDAEMON): $(call obj,$(filter-out daemon/main.c,$(DAEMON_SRC)))
	$(archive)
# The installable library carries shm's read side inside.
$(LIBCLIENT): $(call obj,$(LIB_SRC)) $(call obj,$(SHM_SRC))
	$(archive)
$(LIBSO): $(call obj,$(LIB_SRC)) $(call obj,$(SHM_SRC)) clients/lib/polygond.map
	$(CC) -shared -Wl,-soname,libpolygond.so.1 -Wl,--version-script=clients/lib/polygond.map $(filter %.o,$^) $(LDFLAGS_ALL) -o $@
	@ln -sf libpolygond.so.1 $(B)/libpolygond.so
$(LIBSIM): $(call obj,$(filter-out tests/polysim/main.c,$(SIM_SRC)))
	$(archive)
$(LIBREF): $(call obj,$(REF_SRC))
	$(archive)

# cuda: what NVRTC compiles at run time is carried in the binary, and, when nvcc is here, the general kernel (`make NVCC=` builds without).
CUDA_TEXT := $(sort $(wildcard kernels/cuda/std/*.h kernels/cuda/*.cuh kernels/step/*.h) kernels/indicators.def kernels/cuda/world.h kernels/cuda/general.cu shm/include/polygond/abi.h)
CUDA_OUT  ?= $(O)/cuda
NVCC      ?= $(shell command -v nvcc || ls $(CUDA_HOME)/bin/nvcc $(CUDA_PATH)/bin/nvcc 2>/dev/null | head -n 1)
NVCCFLAGS := -std=c++17 -fmad=false -ftz=false -prec-div=true -prec-sqrt=true -Werror all-warnings -Ikernels -Ikernels/include -Ishm/include
CUDA_ARCH := 80 90 100 120
GENERAL   := $(if $(NVCC),$(wildcard kernels/cuda/general.cu))
FATBIN    := $(CUDA_OUT)/$(if $(GENERAL),general,none).fatbin
$(CUDA_OUT)/general.fatbin: $(GENERAL) $(CUDA_TEXT)
	@mkdir -p $(@D)
	$(NVCC) -fatbin $(NVCCFLAGS) -gencode arch=compute_90,code=compute_90 $$($(NVCC) --list-gpu-code | sed -n \
	  '$(foreach a,$(CUDA_ARCH),s/^sm_$(a)$$/-gencode arch=compute_$(a),code=sm_$(a)/p;)') $(GENERAL) -o $@.$$$$ && mv $@.$$$$ $@
$(CUDA_OUT)/none.fatbin:
	@mkdir -p $(@D) && : >$@
$(B)/kernels/cuda/texts.c: kernels/cuda/embed Makefile $(CUDA_TEXT) $(FATBIN)
	@mkdir -p $(@D)
	kernels/cuda/embed $@ $(FATBIN) $(CUDA_TEXT)
$(B)/kernels/cuda/texts.o: $(B)/kernels/cuda/texts.c
	$(CC) $(BASE) $(OPT) $(CFLAGS) $(INC_kernels) -c $< -o $@

$(B)/polygond: $(B)/daemon/main.o $(LIBDAEMON) $(LIBKERNELS) $(LIBSHM)
	$(CC) $^ $(LDFLAGS_ALL) $(DAEMON_LD) -ldl -lm -lpthread -o $@
$(B)/polyctl: $(call obj,$(CTL_SRC)) $(LIBKERNELS) $(LIBCLIENT)
	$(CC) $^ $(LDFLAGS_ALL) -ldl -lm -lpthread -o $@
$(B)/polysim: $(B)/tests/polysim/main.o $(LIBSIM) $(LIBKERNELS)
	$(CC) $^ $(LDFLAGS_ALL) $(SIM_LD) -ldl -lm -lpthread -o $@

# -------------------------------------------------------------------------------------------------------- tests
# tests/<kind>/{test,prop}_x.c: one cmocka program each. tests/bench/bench_x.c: prints JSON lines. tests/fuzz/fuzz_x.c: a
# LLVMFuzzerTestOneInput, linked with replay.c outside V=fuzz.
TEST_SRC  := $(wildcard tests/unit/test_*.c tests/property/prop_*.c)
TEST_BIN  := $(patsubst %.c,$(B)/%,$(TEST_SRC))
BENCH_BIN := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN  := $(patsubst %.c,$(B)/%,$(FUZZ_SRC))
HELPER_BIN := $(patsubst %.c,$(B)/%,$(wildcard tests/*/helper_*.c))
TEST_LIBS := $(LIBSIM) $(LIBDAEMON) $(LIBCLIENT) $(LIBKERNELS) $(LIBSHM) $(if $(REF_SRC),$(LIBREF))
TEST_LD   := $(DAEMON_LD) $(SIM_LD) -lcmocka -ldl -lm -lpthread

$(TEST_BIN) $(BENCH_BIN) $(HELPER_BIN): $(B)/%: $(B)/%.o $(TEST_LIBS)
	$(CC) $< -Wl,--start-group $(TEST_LIBS) -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LD) -o $@
ifeq ($(V),fuzz)
$(FUZZ_BIN): $(B)/%: $(B)/%.o $(TEST_LIBS)
	$(CC) $< -Wl,--start-group $(TEST_LIBS) -Wl,--end-group -fsanitize=fuzzer,address,undefined $(TEST_LD) -o $@
else
$(FUZZ_BIN): $(B)/%: $(B)/%.o $(B)/tests/fuzz/replay.o $(TEST_LIBS)
	$(CC) $< $(B)/tests/fuzz/replay.o -Wl,--start-group $(TEST_LIBS) -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LD) -o $@
endif
# cuda: stand-ins for NVIDIA's libraries, under their names, loaded by tests at run time (tests/fake/fake.h).
FAKES := $(B)/tests/fake/libcuda.so.1 $(B)/tests/fake/libnvrtc.so.13
$(B)/tests/fake/libcuda.so.1: $(call obj,$(wildcard tests/fake/cuda*.c))
$(B)/tests/fake/libnvrtc.so.13: $(call obj,$(wildcard tests/fake/nvrtc*.c))
$(FAKES):
	$(CC) -shared -Wl,-soname,$(@F) $^ $(LDFLAGS_ALL) -ldl -lpthread -o $@
$(TEST_BIN): | $(FAKES)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
.DELETE_ON_ERROR:

# ------------------------------------------------------------------------------------------------------ targets
.PHONY: help demo check check-run tests

help:
	@echo 'make            build/release: polygond polyctl polysim libpolygond'
	@echo 'make demo       live bars with indicators from a stand-in exchange; SECONDS=20 ends it'
	@echo 'make check      every test; installs what it needs as root, else prints the command'
	@echo 'make bench      figures as JSON lines; also bench-ring bench-feed bench-engine'
	@echo 'make cross      builds for aarch64 and runs the unit tests under qemu-user'
	@echo 'make install    DESTDIR= PREFIX=/usr/local'
	@echo 'make chaos cuts fuzz-long values-long   the long campaigns; see docs/testing.md'
	@echo 'V=release|debug|asan|tsan|fuzz  CC=gcc|clang  O=build'

demo:
	@tests/bootstrap demo
	@$(MAKE) --no-print-directory -s -j2 V=release all
	@tests/demo $(O)/release '$(SECONDS)' $(SYMBOLS)

# The parts of `make check`, one line each; results are summed up at the end. Packages come first, then a second make that sees them.
check:
	@tests/bootstrap check
	@$(MAKE) --no-print-directory check-run

TALLY := $(O)/tally
RUN := $(PYTHON) tests/run --tally $(TALLY)
SCRIPTS := $(wildcard tests/integration/test_*.py tests/integration/sim_*.py tests/integration/sim_*.sh tests/integration/net_*.py \
	tests/cli/test_*.py tests/cli/test_*.sh tests/abi/test_*.py tests/abi/test_*.sh tests/chaos/test_*.py)
CHECKS := tests/check/format tests/check/docs tests/check/cuda_api tests/model/run.sh tests/service/run.sh

check-run:
	@mkdir -p $(O) && rm -f $(TALLY)
	@echo '== build: gcc release, gcc asan, gcc tsan, clang debug'
	@$(MAKE) --no-print-directory -s -j2 V=release all tests
	@$(MAKE) --no-print-directory -s -j2 V=asan all tests
	@$(MAKE) --no-print-directory -s -j2 V=tsan tests-threads
	@$(MAKE) --no-print-directory -s -j2 V=debug CC=clang O=$(O)/clang CUDA_OUT=$(O)/cuda all tests
	@echo '== checks'
	@BUILD=$(O)/release $(RUN) --timeout 300 $(wildcard $(CHECKS)) tests/check/layers::$(O)/release
	@echo '== unit and property tests (address, undefined)'
	@$(RUN) -j 2 --timeout 300 --label asan: $(patsubst $(B)/%,$(O)/asan/%,$(TEST_BIN))
	@echo '== the engine over the fake GPU (address, undefined)'
	@TEST_ENGINE=cuda TEST_CUDA_STAY_US=2000 TEST_CUDA_RTC=$(if $(GENERAL),,$(O)/asan/tests/fake/libnvrtc.so.13) TEST_CUDA_DRIVER=$(O)/asan/tests/fake/libcuda.so.1 $(RUN) -j 2 --timeout 300 --label fake-gpu: \
	  $(patsubst %,$(O)/asan/tests/%,$(ENGINE_TESTS))
	@echo '== fuzz corpora (address, undefined)'
	@$(RUN) -j 2 --timeout 300 --label corpus: $(foreach f,$(FUZZ_SRC),$(patsubst %.c,$(O)/asan/%,$(f))::tests/fuzz/corpus/$(patsubst tests/fuzz/fuzz_%.c,%,$(f)))
	@echo '== threads (thread sanitizer)'
	@$(RUN) --timeout 300 --label tsan: $(patsubst $(B)/%,$(O)/tsan/%,$(THREAD_BIN))
	@echo '== whole programs (release)'
	@BUILD=$(O)/release $(RUN) --timeout 300 $(SCRIPTS)
	@echo
	@$(PYTHON) tests/run --sum $(TALLY)

THREAD_BIN := $(filter $(B)/tests/unit/test_tape $(B)/tests/unit/test_series $(B)/tests/unit/test_board $(B)/tests/unit/test_worker $(B)/tests/unit/test_fake_cuda \
	$(B)/tests/unit/test_cache_store $(B)/tests/unit/test_warm $(B)/tests/unit/test_pipeline $(B)/tests/unit/test_journal \
	$(B)/tests/property/prop_tape $(B)/tests/property/prop_series $(B)/tests/unit/test_client $(B)/tests/unit/test_client_sub,$(TEST_BIN))
.PHONY: tests-threads
tests-threads: $(THREAD_BIN)
tests: $(TEST_BIN) $(FUZZ_BIN) $(HELPER_BIN) $(FAKES)

# What only a GPU can show: the engine's tests, its bits against the CPU's, its speed, and the sanitizer, on this machine's GPU.
ENGINE_TESTS := unit/test_indicators unit/test_values unit/test_engine unit/test_engine_recover unit/test_engine_edges unit/test_engine_race property/prop_engine property/prop_bits
.PHONY: check-gpu
check-gpu:
	@$(MAKE) --no-print-directory -s -j2 V=release tests $(O)/release/tests/bench/bench_gpu
	@rm -f $(TALLY)-gpu
	@TEST_ENGINE=cuda $(PYTHON) tests/run --tally $(TALLY)-gpu --timeout 900 --label gpu-launched: $(patsubst %,$(O)/release/tests/%,$(ENGINE_TESTS))
	@TEST_ENGINE=cuda TEST_CUDA_STAY_US=20000 $(PYTHON) tests/run --tally $(TALLY)-gpu --timeout 900 --label gpu: $(patsubst %,$(O)/release/tests/%,$(ENGINE_TESTS))
	@ROUNDS=8 $(O)/release/tests/bench/bench_gpu
	@! command -v compute-sanitizer >/dev/null || $(PYTHON) tests/run --tally $(TALLY)-gpu --timeout 900 --label gpu: \
	  $(foreach t,memcheck racecheck,compute-sanitizer::--tool::$(t)::--error-exitcode::1::$(O)/release/tests/bench/bench_gpu::small)
	@$(PYTHON) tests/run --sum $(TALLY)-gpu

# Ours, the reference of the same run, and the ratio, as JSON lines on stdout; what the compiler says goes to stderr.
.PHONY: bench bench-build bench-ring bench-engine bench-parse bench-attach bench-feed bench-cache bench-rest bench-fetch bench-journal
bench: bench-ring bench-engine bench-feed bench-parse bench-attach bench-cache bench-rest bench-fetch bench-journal
bench-build:
	@tests/bootstrap bench >&2
	@$(MAKE) --no-print-directory -s -j2 all $(BENCH_BIN) $(HELPER_BIN) >&2
bench-ring bench-parse bench-attach: bench-%: bench-build
	@$(B)/tests/bench/bench_$*
bench-engine: bench-build
	@$(B)/polyctl bench engine --json
bench-fetch: bench-build
	@BUILD=$(B) $(PYTHON) tests/bench/fetch.py
bench-cache: bench-build
	@$(B)/tests/bench/bench_cache
	@BUILD=$(B) $(PYTHON) tests/bench/cache.py
bench-rest: bench-build
	@BUILD=$(B) $(PYTHON) tests/bench/rest.py
bench-feed: bench-build
	@$(B)/tests/bench/bench_path
	@BUILD=$(B) $(PYTHON) tests/bench/feed.py
bench-journal: bench-build
	@$(B)/tests/bench/bench_journal
	@BUILD=$(B) $(PYTHON) tests/bench/journal.py

# The long campaigns.
.PHONY: chaos cuts fuzz-long values-long cross format install clean
cuts: all
	ALL=1 BUILD=$(B) $(PYTHON) tests/integration/test_cuts.py

chaos: all tests
	BUILD=$(B) ROUNDS=$(or $(ROUNDS),200) $(PYTHON) tests/chaos/test_kill.py

values-long: $(B)/tests/unit/test_values
	ROWS=$(or $(ROWS),10000000) $<

FUZZ_SECONDS ?= 3600
fuzz-long:
	@$(MAKE) --no-print-directory -s -j2 V=fuzz tests
	@mkdir -p $(O)/fuzz-corpus; for f in $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC)); do \
	  mkdir -p $(O)/fuzz-corpus/$$f; \
	  $(O)/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=$(O)/fuzz-$$f- \
	    $(O)/fuzz-corpus/$$f tests/fuzz/corpus/$$f >$(O)/fuzz-$$f.log 2>&1 & done; wait
	@grep -H -E 'Done|SUMMARY|ERROR' $(O)/fuzz-*.log

# Everything is built for aarch64; the tests that neither fork nor start threads are run (qemu-user hangs in both).
CROSS_NOT = $(addprefix tests/unit/test_,$(addsuffix .c,cuda cuda_faults cuda_image fake_cuda import journal pipeline sheet warm))
CROSS_RUN = $(filter-out $(CROSS_NOT),$(shell grep -LE 'fork\(\)|pthread_create|fixture_bus.h|peer.h' $(TEST_SRC)))
cross:
	@tests/bootstrap cross
	@$(MAKE) --no-print-directory -s -j2 V=cross all tests
	@rm -f $(TALLY)-cross
	@TEST_ONE_THREAD=1 $(PYTHON) tests/run --tally $(TALLY)-cross -j 2 --timeout 900 --label aarch64: \
	  $(patsubst %.c,qemu-aarch64-static::-L::/usr/aarch64-linux-gnu::$(O)/cross/%,$(CROSS_RUN))
	@$(PYTHON) tests/run --sum $(TALLY)-cross

format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cpp')

PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/polygond
	install -m 755 $(B)/polygond $(B)/polyctl $(DESTDIR)$(PREFIX)/bin/
	install -m 644 shm/include/polygond/abi.h clients/include/polygond/polygond.h $(DESTDIR)$(PREFIX)/include/polygond/
	install -m 755 $(LIBSO) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libpolygond.so.1 $(DESTDIR)$(PREFIX)/lib/libpolygond.so
	install -m 644 $(LIBCLIENT) $(DESTDIR)$(PREFIX)/lib/
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' clients/lib/polygond.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/libpolygond.pc
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions polygond/python man/man1 man/man5 man/man8)
	install -m 644 clients/completions/polyctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/polyctl
	install -m 644 clients/completions/_polyctl $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 clients/python/polygond.py $(DESTDIR)$(PREFIX)/share/polygond/python/
	@if command -v scdoc >/dev/null; then for f in polyctl.1 polygond.yaml.5 polygond.8; do \
	  scdoc <docs/man/$$f.scd >$(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$$f || exit 1; done; \
	else echo 'scdoc not found: no man pages'; fi
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/polygond.service >$(B)/polygond.service
	install -D -m 644 $(B)/polygond.service $(DESTDIR)$(PREFIX)/lib/systemd/system/polygond.service
	install -D -m 644 systemd/sysusers.d/polygond.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/polygond.conf
	install -D -m 644 config/polygond.yaml $(DESTDIR)$(PREFIX)/share/polygond/polygond.yaml

clean:
	rm -rf $(O)
