# A thin front of CMake: `make help` lists what there is. The work is done by CMakeLists.txt and by scripts in tools/.
PREFIX ?= /usr/local
TIME ?= 60
.DEFAULT_GOAL := build
.PHONY: build test test-fast test-threads test-peers bench demo install lint format fuzz clean help

build: ## build the program, build/lorac (installs missing Debian packages)
	@tools/install-packages.sh build
	cmake --preset release -DLORAC_TESTS=OFF
	cmake --build build --target lorac

test: ## build with -Werror and run every test, optimised (gcc) and with sanitizers (clang)
	@tools/install-packages.sh build test
	@tools/test.sh release asan

test-fast: ## the optimised tests only
	@tools/install-packages.sh build test
	@tools/test.sh release

test-threads: ## the tests under ThreadSanitizer
	@tools/install-packages.sh build test
	@tools/test.sh tsan

test-peers: build ## compare with transformers, PEFT, tokenizers and gguf (a 6 GB Python environment, made once)
	@tools/install-packages.sh peers
	cmake --build build --target lorac-shared
	tools/test_peers.sh

bench: build ## lorac beside PEFT and llama.cpp: speed and memory; ROUNDS=3 LINES=training,merge PEERS=peft
	@tools/install-packages.sh peers bench
	bench/run.sh

demo: build ## fine-tune a real model on the example data, in under ten minutes
	@tools/install-packages.sh demo
	tools/demo.sh

install: ## install program, libraries, header and completion; PREFIX=/usr/local, DESTDIR
	@tools/install-packages.sh build
	cmake --preset release -DLORAC_TESTS=OFF -DCMAKE_INSTALL_PREFIX="$(PREFIX)"
	cmake --build build
	cmake --install build

lint: ## clang-format, clang-tidy, cppcheck and shellcheck
	@tools/install-packages.sh build test lint
	tools/lint.sh

format: ## format the C code in place
	@tools/install-packages.sh lint
	git ls-files '*.c' '*.h' | xargs clang-format -i

fuzz: ## run every fuzz target for TIME=60 seconds
	@tools/install-packages.sh build test
	tools/fuzz.sh $(TIME)

clean: ## remove the build folders
	rm -rf build build-asan build-tsan build-fuzz

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
	    while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done
