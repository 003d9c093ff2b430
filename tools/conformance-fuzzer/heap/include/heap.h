#ifndef CHASKI_FUZZER_HEAP_H
#define CHASKI_FUZZER_HEAP_H
#include <stdint.h>

// Begins to count; needs the address sanitizer. 0 when that is not there.
int chaski_heap_watch(void);
// Bytes that the heap holds.
int64_t chaski_heap_bytes(void);
// Forgets the peak: it begins again at what the heap holds.
void chaski_heap_reset_peak(void);
// The most that the heap held since the peak was reset.
int64_t chaski_heap_peak(void);
// Looks for leaks and prints them; not 0 when there are any.
int chaski_heap_leaks(void);
// The largest resident size of the process so far, in KiB.
int64_t chaski_heap_largest_resident(void);
#endif
