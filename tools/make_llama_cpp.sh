#!/bin/bash
# Builds llama.cpp's llama-bench and, of its library, tools/peers/llama_cpp_tokenize.cpp into the cache (once, some 12
# minutes on two cores) if they are not there: from the source package of tools/llama-cpp-requirements.txt, which holds
# llama.cpp's tree. Optimised for this processor. Its published vocabularies and the source of its tokenizers are kept, too.
# Exits with 77 when that cannot be done here, and says why.
set -u
cd "$(dirname "$0")/.." || exit 1
kept=${XDG_CACHE_HOME:-$HOME/.cache}/lorac/llama.cpp
bench=$kept/bin/llama-bench
tokenize=$kept/bin/llama-tokenize-many
[ -x "$bench" ] && [ -x "$tokenize" ] && exit 0

skip() {
    echo "SKIPPED: $*"
    exit 77
}

for needed in python3 cmake ninja c++; do
    command -v "$needed" >/dev/null || skip "building llama.cpp needs $needed"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "building llama.cpp's llama-bench and tokenizer into ${bench%/*} (once, some 12 minutes)"
python3 -m venv "$work/python" || skip "python3 -m venv fails; the package python3-venv may be missing"
"$work/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
    --require-hashes -r tools/llama-cpp-requirements.txt -d "$work" ||
    skip "llama.cpp cannot be fetched; is there a network?"
tar -xf "$work"/llama_cpp_python-*.tar.gz -C "$work" || exit 1
tree=$(echo "$work"/llama_cpp_python-*/vendor/llama.cpp)
build() {
    cmake -S "$tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DGGML_NATIVE=ON -DGGML_CUDA=OFF -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF &&
        cmake --build "$work/build" --target llama-bench &&
        c++ -std=c++17 -O1 -I"$tree/include" -I"$tree/ggml/include" tools/peers/llama_cpp_tokenize.cpp \
            "$work/build/src/libllama.a" "$work/build/ggml/src/libggml.a" "$work/build/ggml/src/libggml-cpu.a" \
            "$work/build/ggml/src/libggml-base.a" -fopenmp -lpthread -ldl -o "$work/llama-tokenize-many"
}

if ! build >"$work/log" 2>&1; then
    tail -n 20 "$work/log"
    skip "llama.cpp does not build here"
fi
mkdir -p "$kept/bin" "$kept/vocabularies"
cp "$tree"/models/ggml-vocab-* "$tree/src/llama-vocab.cpp" "$kept/vocabularies/" &&
    cp "$work/build/bin/llama-bench" "$bench.new" && mv "$bench.new" "$bench" &&
    cp "$work/llama-tokenize-many" "$tokenize.new" && mv "$tokenize.new" "$tokenize"
