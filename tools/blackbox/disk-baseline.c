// What a plain loop reaches: appends groups of bytes to a file, one fdatasync for each group.
// The yardstick beside Chaski's benchmarks: the same bytes in the same group sizes on the same disk.
//
//   disk-baseline DIRECTORY GROUP_BYTES SECONDS [MESSAGES_PER_GROUP [FILE_BYTES]]
//
// The file has FILE_BYTES (64 MiB unless told), set aside and written once before the clock runs, and
// is written over from its start when it is full: as a journal does with recycled files.
// Prints one JSON object.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_nanos(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void fail(const char *what) {
    fprintf(stderr, "disk-baseline: %s: %s\n", what, strerror(errno));
    exit(74);
}

static void write_all(int fd, const unsigned char *bytes, size_t count, off_t at) {
    while (count > 0) {
        ssize_t got = pwrite(fd, bytes, count, at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) fail("write");
        bytes += got;
        at += got;
        count -= (size_t)got;
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: disk-baseline DIRECTORY GROUP_BYTES SECONDS "
                        "[MESSAGES_PER_GROUP [FILE_BYTES]]\n");
        return 64;
    }
    size_t group = strtoull(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    double messages = argc > 4 ? strtod(argv[4], NULL) : 1;
    size_t file = argc > 5 ? strtoull(argv[5], NULL, 10) : (size_t)64 << 20;
    if (group == 0 || group > file || !(seconds > 0)) {
        fprintf(stderr, "disk-baseline: group and seconds must be above 0, the group within the file\n");
        return 64;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/disk-baseline.%d", argv[1], (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) fail(path);
    unlink(path);

    unsigned char *bytes = malloc(group);
    if (!bytes) fail("memory");
    uint64_t random = 88172645463325252ull;
    for (size_t i = 0; i < group; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bytes[i] = (unsigned char)random;
    }
    for (size_t at = 0; at < file; at += group)
        write_all(fd, bytes, group < file - at ? group : file - at, (off_t)at);
    if (fsync(fd) != 0) fail("fsync");

    size_t room = 1 << 22, count = 0;
    int64_t *times = malloc(room * sizeof *times);
    if (!times) fail("memory");
    off_t at = 0;
    int64_t start = now_nanos(), end = start + (int64_t)(seconds * 1e9), stopped = start;
    while (stopped < end && count < room) {
        if ((size_t)at + group > file) at = 0;
        memcpy(bytes, &count, sizeof count < group ? sizeof count : group);
        int64_t before = now_nanos();
        write_all(fd, bytes, group, at);
        if (fdatasync(fd) != 0) fail("fdatasync");
        stopped = now_nanos();
        times[count++] = stopped - before;
        at += (off_t)group;
    }
    double elapsed = (double)(stopped - start) / 1e9;
    qsort(times, count, sizeof *times, by_value);
    printf("{\"groupBytes\":%zu,\"groups\":%zu,\"seconds\":%.3f,\"syncsPerSecond\":%.1f,"
           "\"mebibytesPerSecond\":%.2f,\"messagesPerSecond\":%.0f,"
           "\"p50Nanos\":%lld,\"p99Nanos\":%lld,\"maxNanos\":%lld}\n",
           group, count, elapsed, (double)count / elapsed,
           (double)count * (double)group / elapsed / 1048576, (double)count * messages / elapsed,
           (long long)times[count / 2], (long long)times[count - 1 - count / 100],
           (long long)times[count - 1]);
    free(times);
    free(bytes);
    return 0;
}
