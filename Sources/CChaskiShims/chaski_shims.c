#define _GNU_SOURCE
#include "chaski_shims.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

// Reflected polynomial of CRC-32C.
#define POLYNOMIAL 0x82f63b78u

static uint32_t crc_software(uint32_t crc, const unsigned char *p, size_t n) {
    while (n--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1u)));
        }
    }
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(
    uint32_t crc, const unsigned char *p, size_t n) {
    uint64_t wide = crc;
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
        p += 8;
        n -= 8;
    }
    crc = (uint32_t)wide;
    while (n--) {
        crc = _mm_crc32_u8(crc, *p++);
    }
    return crc;
}

static int has_crc_instruction(void) { return __builtin_cpu_supports("sse4.2"); }
#else
static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t n) {
    return crc_software(crc, p, n);
}

static int has_crc_instruction(void) { return 0; }
#endif

uint32_t chaski_crc32c(uint32_t crc, const void *bytes, size_t length) {
    if (length == 0) {
        return crc;
    }
    crc = ~crc;
    crc = has_crc_instruction() ? crc_hardware(crc, bytes, length)
                                : crc_software(crc, bytes, length);
    return ~crc;
}

int chaski_deflate_init_raw(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
}

int chaski_inflate_init_raw(z_stream *stream) { return inflateInit2(stream, -15); }

static int64_t nanos(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t chaski_clock_wall_nanos(void) { return nanos(CLOCK_REALTIME); }

int64_t chaski_clock_boot_nanos(void) { return nanos(CLOCK_BOOTTIME); }

int chaski_allocate(int fd, int64_t offset, int64_t length) {
    int result;
    do {
        result = fallocate(fd, 0, offset, length);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

int chaski_lock_exclusive(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; }

int chaski_space(const char *path, uint64_t *free_bytes, uint64_t *total_bytes) {
    struct statvfs s;
    if (statvfs(path, &s) != 0) {
        return errno;
    }
    *free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
    *total_bytes = (uint64_t)s.f_blocks * s.f_frsize;
    return 0;
}
