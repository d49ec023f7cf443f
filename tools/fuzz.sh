#!/bin/sh
# Runs every fuzz target for $SECONDS_EACH seconds: tests/fuzz/fuzz_router.c with tests/fuzz/router.dict, where there is
# one, from the corpus tests/fuzz/corpus/router. That is only read; what is found goes to build/fuzz/corpus/router.
set -eu

if [ -z "${CLANG-}" ]; then
    echo "fuzzing needs clang: please install it, or say CLANG=..."
    exit
fi
# -Db_lundef=false: the sanitizers' symbols are found when the program starts, not when it is linked.
[ -f build/fuzz/build.ninja ] || CC=$CLANG meson setup build/fuzz -Dpython=false -Dfuzzing=true \
    --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
meson compile -C build/fuzz

for target in build/fuzz/tests/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=$(basename "$target" | sed 's/^fuzz_//')
    found=build/fuzz/corpus/$name
    mkdir -p "$found"
    echo "=== $name, $SECONDS_EACH s"
    set -- "$found"
    [ -d "tests/fuzz/corpus/$name" ] && set -- "$@" "tests/fuzz/corpus/$name"
    [ -f "tests/fuzz/$name.dict" ] && set -- "$@" "-dict=tests/fuzz/$name.dict"
    "$target" -max_total_time="$SECONDS_EACH" -timeout=10 -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" "$@"
done
