/* Which instruction set this CPU has, chosen once for the whole program.
 *
 * Meson compiles each *.isa.c once per instruction set and passes the list as VV_ISA_LIST(X), weakest first. A
 * dispatcher holds one table of variants and calls variants[vv_isa_index()]: one load and one indirect call.
 *
 * VIVACE_SIMD=base|avx2|avx512 in the environment asks for one; what this CPU or this build does not have is
 * not obeyed, the best available is taken instead.
 *
 * Threads     the choice is idempotent and stored atomically: any thread may be first.
 */
#ifndef VV_SIMD_ISA_H
#define VV_SIMD_ISA_H

#include <stdatomic.h>

#include "core/compiler.h"

#ifndef VV_ISA_LIST /* a build without meson: the portable variant alone */
#define VV_ISA_LIST(X) X(base)
#endif

typedef enum vv_isa {
#define X(name) VV_ISA_##name,
    VV_ISA_LIST(X)
#undef X
        VV_ISA_COUNT, /* as vv_isa_index(): not chosen yet */
} vv_isa;

/* The strongest instruction set that this build has a variant for and this CPU and operating system support. */
vv_isa vv_isa_best(void);

/* Whether this CPU runs it. */
int vv_isa_runs(vv_isa isa);

/* "base", "avx2" ...; "unknown" for anything else. Static. */
const char *vv_isa_name(vv_isa isa);

/* The one in use; chosen by the first call. */
vv_isa vv_isa_chosen(void);

/* For tests and benchmarks: use `isa` from now on. 0, and nothing changes, if this CPU does not run it. */
int vv_isa_force(vv_isa isa);

/* For vv_isa_index() alone. */
extern atomic_uchar vv_isa_now;

/* The one in use, VV_ISA_COUNT before the choice: a dispatcher's table has one entry more, which calls
 * vv_isa_chosen() and starts over. So the choice costs no branch afterwards. */
VV_INLINE unsigned
vv_isa_index(void)
{
    return atomic_load_explicit(&vv_isa_now, memory_order_relaxed);
}

#endif
