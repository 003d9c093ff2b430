// The fuzzer has one thread; the counts need no lock.
#include "heap.h"

#include <stddef.h>
#include <sys/resource.h>

extern int __sanitizer_install_malloc_and_free_hooks(
    void (*allocated)(const volatile void *, size_t), void (*freed)(const volatile void *))
    __attribute__((weak));
extern size_t __sanitizer_get_allocated_size(const volatile void *) __attribute__((weak));
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int64_t held, peak;

static void allocated(const volatile void *pointer, size_t size) {
    (void)pointer;
    held += (int64_t)size;
    if (held > peak) peak = held;
}

static void freed(const volatile void *pointer) {
    if (pointer) held -= (int64_t)__sanitizer_get_allocated_size(pointer);
}

int chaski_heap_watch(void) {
    if (!__sanitizer_install_malloc_and_free_hooks) return 0;
    return __sanitizer_install_malloc_and_free_hooks(allocated, freed);
}

int64_t chaski_heap_bytes(void) { return held; }

void chaski_heap_reset_peak(void) { peak = held; }

int64_t chaski_heap_peak(void) { return peak; }

int chaski_heap_leaks(void) {
    return __lsan_do_recoverable_leak_check ? __lsan_do_recoverable_leak_check() : 0;
}

int64_t chaski_heap_largest_resident(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}
