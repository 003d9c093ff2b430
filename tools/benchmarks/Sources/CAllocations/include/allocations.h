#ifndef CHASKI_BENCH_ALLOCATIONS_H
#define CHASKI_BENCH_ALLOCATIONS_H
#include <stdint.h>

// How often this process asked for memory so far: malloc, calloc, realloc and the aligned ones.
uint64_t chaski_bench_allocations(void);
#endif
