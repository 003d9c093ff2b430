// For LD_PRELOAD: syncs that return at once and promise what they do not keep. A broker that runs
// with it is a broker whose sync was removed; the power-cut test must catch it.
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/types.h>

int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, off_t offset, off_t count, unsigned flags) {
    (void)fd; (void)offset; (void)count; (void)flags;
    return 0;
}
int syncfs(int fd) { (void)fd; return 0; }
