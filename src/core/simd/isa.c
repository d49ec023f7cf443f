#include "core/simd/isa.h"

#include <stdlib.h>
#include <string.h>

atomic_uchar vv_isa_now = VV_ISA_COUNT;

/* One function per name that meson may list. __builtin_cpu_supports also asks whether the operating system
 * saves the registers. Any CPU with BMI2 has LZCNT. A build may list fewer names. */
#if defined(__x86_64__) || defined(__i386__)
#define SUPPORTS(feature) __builtin_cpu_supports(feature)
#else
#define SUPPORTS(feature) 0
#endif

static inline __attribute__((unused)) int
runs_base(void)
{
    return 1;
}

static inline __attribute__((unused)) int
runs_avx2(void)
{
    return SUPPORTS("avx2") && SUPPORTS("bmi") && SUPPORTS("bmi2") && SUPPORTS("popcnt");
}

static inline __attribute__((unused)) int
runs_avx512(void)
{
    return runs_avx2() && SUPPORTS("avx512f") && SUPPORTS("avx512bw") && SUPPORTS("avx512vl") && SUPPORTS("avx512vbmi");
}

int
vv_isa_runs(vv_isa isa)
{
    switch (isa) {
#define X(name)                                                                                                        \
    case VV_ISA_##name:                                                                                                \
        return runs_##name();
        VV_ISA_LIST(X)
#undef X
    case VV_ISA_COUNT:
        break;
    }
    return 0;
}

vv_isa
vv_isa_best(void)
{
    int isa = VV_ISA_COUNT - 1;
    while (isa > 0 && !vv_isa_runs((vv_isa)isa))
        isa--;
    return (vv_isa)isa;
}

const char *
vv_isa_name(vv_isa isa)
{
    switch (isa) {
#define X(name)                                                                                                        \
    case VV_ISA_##name:                                                                                                \
        return #name;
        VV_ISA_LIST(X)
#undef X
    case VV_ISA_COUNT:
        break;
    }
    return "unknown";
}

/* The one that the environment asks for, if it can be had. */
static vv_isa
wanted(void)
{
    const char *name = getenv("VIVACE_SIMD");
    for (int isa = 0; name != NULL && isa < VV_ISA_COUNT; isa++)
        if (strcmp(name, vv_isa_name((vv_isa)isa)) == 0 && vv_isa_runs((vv_isa)isa))
            return (vv_isa)isa;
    return vv_isa_best();
}

vv_isa
vv_isa_chosen(void)
{
    unsigned isa = vv_isa_index();
    if (isa == VV_ISA_COUNT) {
        isa = wanted();
        atomic_store_explicit(&vv_isa_now, (unsigned char)isa, memory_order_relaxed);
    }
    return (vv_isa)isa;
}

int
vv_isa_force(vv_isa isa)
{
    if (!vv_isa_runs(isa))
        return 0;
    atomic_store_explicit(&vv_isa_now, (unsigned char)isa, memory_order_relaxed);
    return 1;
}
