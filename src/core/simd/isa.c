/* being written */ typedef int vv_stub_simd_isa;
