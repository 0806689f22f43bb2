/*
 * Preloaded, it puts the clock of a process off by SKEW_MS milliseconds. Its monotonic clocks stay right. Unlike libfaketime it needs
 * no memory of its own: jemalloc, which Redis has, asks for the time before it can give any.
 */
struct timespec { long tv_sec; long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };

extern char *getenv(const char *name);
extern long syscall(long number, ...);

#ifdef __aarch64__
#define SYS_CLOCK_GETTIME 113
#else
#define SYS_CLOCK_GETTIME 228
#endif
#define CLOCK_REALTIME 0
#define CLOCK_REALTIME_COARSE 5

static long skew_ms(void) {
  static long known = 0;
  static int is_known = 0;
  if (is_known) return known;
  const char *text = getenv("SKEW_MS");
  if (text == 0) return 0;
  long sign = 1, value = 0;
  if (*text == '-') { sign = -1; text++; }
  for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
  known = sign * value;
  is_known = 1;
  return known;
}

int clock_gettime(int clock, struct timespec *time) {
  long result = syscall(SYS_CLOCK_GETTIME, clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    long ms = skew_ms();
    time->tv_sec += ms / 1000;
    time->tv_nsec += ms % 1000 * 1000000;
    if (time->tv_nsec < 0) { time->tv_nsec += 1000000000; time->tv_sec--; }
    if (time->tv_nsec >= 1000000000) { time->tv_nsec -= 1000000000; time->tv_sec++; }
  }
  return (int)result;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

long time(long *seconds) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (seconds != 0) *seconds = now.tv_sec;
  return now.tv_sec;
}
