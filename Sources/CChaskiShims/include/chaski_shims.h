// What Swift cannot reach: macros of zlib, variadic system calls, and the CRC instruction.
#ifndef CHASKI_SHIMS_H
#define CHASKI_SHIMS_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `crc`
/// (0 to begin). Uses the SSE 4.2 instruction where the processor has it.
uint32_t chaski_crc32c(uint32_t crc, const void *bytes, size_t length);

/// `deflateInit2` with raw deflate (no zlib header), 32 KiB window. Returns zlib's code.
int chaski_deflate_init_raw(z_stream *stream, int level);

/// `inflateInit2` with raw deflate, 32 KiB window. Returns zlib's code.
int chaski_inflate_init_raw(z_stream *stream);

/// Nanoseconds of CLOCK_REALTIME since 1970.
int64_t chaski_clock_wall_nanos(void);

/// Nanoseconds of CLOCK_BOOTTIME: monotonic, counts suspend, starts at boot.
int64_t chaski_clock_boot_nanos(void);

/// `fallocate(fd, 0, offset, length)`: 0, or the errno.
int chaski_allocate(int fd, int64_t offset, int64_t length);

/// Exclusive, non-blocking `flock`: 0, or the errno (EWOULDBLOCK when somebody holds it).
int chaski_lock_exclusive(int fd);

/// Free bytes of the file system that holds `path`, and its size; 0, or the errno.
int chaski_space(const char *path, uint64_t *free_bytes, uint64_t *total_bytes);

#endif
