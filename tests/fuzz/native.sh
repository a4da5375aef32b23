#!/bin/sh
# Fuzzes the engine's readers of model files with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer. Needs clang.
#
#   tests/fuzz/native.sh FOLDER -max_total_time=60
#
# FOLDER gets the program, the seeds and what is found; what follows it goes to libFuzzer. The engine's source must be there
# (a build fetches it), and the library built.
#
# The engine is used as it is, and is handed nothing that this library's own reader refuses. So the fuzzing goes on behind a
# finding, and at the end all inputs that made one, and the others that were kept, are shown to the library: those that it accepts
# must be read without a finding.
set -eu

cd "$(dirname "$0")/../.."
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
engine=${SDCPP_SOURCE_DIR:-vendor/stable-diffusion.cpp}
# Numbers that no enumeration has are looked at by the readers before they use them; only reading them is undefined.
checks="-fsanitize=fuzzer,address,undefined -fno-sanitize=enum -fexceptions -g1 -O1 -w -D_GNU_SOURCE"
places="-I$engine/src -I$engine/include -I$engine/thirdparty -I$engine/ggml/include -I$engine/ggml/src -I$engine"
versions='-DGGML_VERSION="0" -DGGML_COMMIT="0"'

# With ccache, where there is one, only what has changed is compiled.
cache=$(command -v ccache || true)
compiled() { # compiler source
    # shellcheck disable=SC2086  # lists
    $cache $1 $checks $places $versions -c "$2" -o "$folder/$(basename "$2").o"
}

for source in ggml.c ggml-quants.c; do
    compiled clang "$engine/ggml/src/$source"
done
for source in "$engine/src/model_io/gguf_io.cpp" "$engine/src/model_io/safetensors_io.cpp" \
    "$engine/ggml/src/gguf.cpp" "$engine/ggml/src/ggml-threading.cpp" tests/fuzz/native_readers.cpp; do
    compiled "clang++ -std=c++17" "$source"
done
# shellcheck disable=SC2086
clang++ $checks -o "$folder/native_readers" "$folder"/*.o
python -m tests.fuzz.seeds "$folder/seeds"
mkdir -p "$folder/corpus" "$folder/found"
# Memory of the program's own "new" (native_readers.cpp) would be a mismatch where libFuzzer frees it.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0:alloc_dealloc_mismatch=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
readers="$folder/native_readers"
# It ends with a failure where the last input made a finding.
"$readers" -fork=1 -ignore_crashes=1 -ignore_ooms=1 -ignore_timeouts=1 -rss_limit_mb=0 -max_len=4096 \
    -artifact_prefix="$folder/found/" "$@" "$folder/corpus" "$folder/seeds/models" || true
test -n "$(ls "$folder/corpus")"
python -m tests.fuzz.accepted "$folder/accepted" "$folder/corpus" "$folder/found" "$folder/seeds/models"
"$readers" -runs=0 -rss_limit_mb=0 -timeout=60 "$folder/accepted"
