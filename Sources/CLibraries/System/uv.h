#pragma once
#include <pthread.h>
#include <sys/timerfd.h>
#include <uv.h>

/// Names the calling thread (at most 15 bytes). glibc declares it only for GNU sources.
static inline void junction_name_thread(const char *name) {
    extern int pthread_setname_np(pthread_t thread, const char *name);
    pthread_setname_np(pthread_self(), name);
}

/// A descriptor that becomes readable at a set time: libuv's own timers count whole milliseconds.
static inline int junction_alarm_open(void) {
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

/// Has it become readable after so many nanoseconds, at least one.
static inline void junction_alarm_set(int descriptor, int64_t nanoseconds) {
    struct itimerspec time = {
        .it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};
    timerfd_settime(descriptor, 0, &time, 0);
}
