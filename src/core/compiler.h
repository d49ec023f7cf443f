/* What we ask of the compiler, and nothing else. GCC and clang both know every attribute here. */
#ifndef VV_CORE_COMPILER_H
#define VV_CORE_COMPILER_H

#define VV_NODISCARD   __attribute__((warn_unused_result))
#define VV_LIKELY(x)   __builtin_expect(!!(x), 1)
#define VV_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VV_INLINE      static inline __attribute__((always_inline))
#define VV_NOINLINE    __attribute__((noinline))
#define VV_COLD        __attribute__((cold, noinline))

#endif
