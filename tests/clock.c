/* Preloaded: a wall clock that is OFFSET seconds ahead, in all that is started, whatever its
   environment; built without OFFSET, the file that CLOCK_OFFSET_FILE names says how many. Times of
   files are shifted alike; the monotonic clock is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef OFFSET
#define OFFSET offset()
static long offset(void) {
  const char *path = getenv("CLOCK_OFFSET_FILE");
  char text[32] = "";
  int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? atol(text) : 0;
}
#endif

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += OFFSET;
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  now->tv_sec = at.tv_sec;
  now->tv_usec = at.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (now) *now = at.tv_sec;
  return at.tv_sec;
}

static int shifted(int failed, struct stat *file) {
  if (!failed) {
    long ahead = OFFSET;
    file->st_atim.tv_sec += ahead;
    file->st_mtim.tv_sec += ahead;
    file->st_ctim.tv_sec += ahead;
  }
  return failed;
}

int fstatat(int folder, const char *path, struct stat *file, int flags) {
  return shifted(syscall(SYS_newfstatat, folder, path, file, flags), file);
}
int stat(const char *path, struct stat *file) { return fstatat(AT_FDCWD, path, file, 0); }
int lstat(const char *path, struct stat *file) {
  return fstatat(AT_FDCWD, path, file, AT_SYMLINK_NOFOLLOW);
}
int fstat(int number, struct stat *file) {
  return shifted(syscall(SYS_fstat, number, file), file);
}
int stat64(const char *, struct stat64 *) __attribute__((alias("stat")));
int lstat64(const char *, struct stat64 *) __attribute__((alias("lstat")));
int fstat64(int, struct stat64 *) __attribute__((alias("fstat")));
int fstatat64(int, const char *, struct stat64 *, int) __attribute__((alias("fstatat")));

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
  struct timespec real[2];
  if (times) {
    for (int n = 0; n < 2; n++) {
      real[n] = times[n];
      if (times[n].tv_nsec != UTIME_NOW && times[n].tv_nsec != UTIME_OMIT) real[n].tv_sec -= OFFSET;
    }
  }
  return syscall(SYS_utimensat, folder, path, times ? real : NULL, flags);
}
