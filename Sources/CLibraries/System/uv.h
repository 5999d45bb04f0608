#pragma once
#include <pthread.h>
#include <uv.h>

/// Names the calling thread (at most 15 bytes). glibc declares it only for GNU sources.
static inline void junction_name_thread(const char *name) {
    extern int pthread_setname_np(pthread_t thread, const char *name);
    pthread_setname_np(pthread_self(), name);
}
