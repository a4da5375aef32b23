#!/bin/sh
# Fuzzes the engine's readers of model files with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer. Needs clang.
#
#   tests/fuzz/native.sh FOLDER -max_total_time=60
#
# FOLDER gets the program, the seeds and what is found; what follows it goes to libFuzzer. The engine's source must be there
# (a build fetches it).
set -eu

cd "$(dirname "$0")/../.."
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
engine=${SDCPP_SOURCE_DIR:-vendor/stable-diffusion.cpp}
checks="-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -g1 -O1 -w -D_GNU_SOURCE"
places="-I$engine/src -I$engine/include -I$engine/thirdparty -I$engine/ggml/include -I$engine/ggml/src -I$engine"
versions='-DGGML_VERSION="0" -DGGML_COMMIT="0"'

for source in ggml.c ggml-quants.c; do
    # shellcheck disable=SC2086  # lists
    clang $checks $places $versions -c "$engine/ggml/src/$source" -o "$folder/$source.o"
done
# shellcheck disable=SC2086
clang++ -std=c++17 $checks $places -o "$folder/native_readers" tests/fuzz/native_readers.cpp \
    "$engine/src/model_io/gguf_io.cpp" "$engine/src/model_io/safetensors_io.cpp" \
    "$engine/ggml/src/gguf.cpp" "$engine/ggml/src/ggml-threading.cpp" "$folder"/ggml*.o
python -m tests.fuzz.seeds "$folder/seeds"
mkdir -p "$folder/corpus"
cd "$folder"
ASAN_OPTIONS=allocator_may_return_null=1 exec ./native_readers -rss_limit_mb=0 -max_len=4096 "$@" corpus seeds/models
