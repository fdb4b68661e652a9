/* Makes the n-th call that changes something below a folder fail, once or from then on. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static long at, calls, error_number;
static int for_good;

void failing_arm(const char *folder, long n, int error, int good) {
    strncpy(below, folder, sizeof below - 1);
    at = n;
    calls = 0;
    error_number = error;
    for_good = good;
}

long failing_calls(void) { return calls; }

static int fails(void) {
    calls++;
    if (at == 0 || (for_good ? calls < at : calls != at)) return 0;
    errno = (int)error_number;
    return 1;
}

static int path_fails(const char *path) {
    return below[0] && path && strncmp(path, below, strlen(below)) == 0 && fails();
}

static int fd_fails(int fd) {
    char link[64], path[PATH_MAX];
    if (!below[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return path_fails(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *b, size_t n) { return fd_fails(fd) ? -1 : REAL(write)(fd, b, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { return fd_fails(fd) ? -1 : REAL(writev)(fd, v, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { return fd_fails(fd) ? -1 : REAL(pwrite)(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { return fd_fails(fd) ? -1 : REAL(pwrite64)(fd, b, n, o); }
int ftruncate(int fd, off_t n) { return fd_fails(fd) ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return fd_fails(fd) ? -1 : REAL(ftruncate64)(fd, n); }
int fsync(int fd) { return fd_fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fd_fails(fd) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *a, const char *b) { return path_fails(b) ? -1 : REAL(rename)(a, b); }
int mkdir(const char *path, mode_t m) { return path_fails(path) ? -1 : REAL(mkdir)(path, m); }
int chmod(const char *path, mode_t m) { return path_fails(path) ? -1 : REAL(chmod)(path, m); }
int unlink(const char *path) { return path_fails(path) ? -1 : REAL(unlink)(path); }

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                     \
        if (flags & O_CREAT && path_fails(path)) return -1;               \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)
