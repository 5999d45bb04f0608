// Timers: a binary heap by due time.
#include "upstream.h"
#include <stdlib.h>

static timer **heap;
static int heap_count, heap_capacity;

static void place(int index, timer *t) {
    heap[index] = t;
    t->place = index + 1;
}

static void up(int index) {
    timer *t = heap[index];
    while (index > 0 && heap[(index - 1) / 2]->due_us > t->due_us) {
        place(index, heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(index, t);
}

static void down(int index) {
    timer *t = heap[index];
    for (int child; (child = 2 * index + 1) < heap_count; index = child) {
        if (child + 1 < heap_count && heap[child + 1]->due_us < heap[child]->due_us) child++;
        if (heap[child]->due_us >= t->due_us) break;
        place(index, heap[child]);
    }
    place(index, t);
}

bool timer_is_set(const timer *t) { return t->place > 0; }

void timer_clear(timer *t) {
    if (!timer_is_set(t)) return;
    int index = t->place - 1;
    t->place = 0;
    timer *last = heap[--heap_count];
    if (last == t) return;
    place(index, last);
    up(index);
    down(last->place - 1);
}

void timer_set(timer *t, int64_t due_us) {
    timer_clear(t);
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity * 2 + 64;
        heap = realloc(heap, (size_t)heap_capacity * sizeof *heap);
    }
    t->due_us = due_us;
    heap[heap_count] = t;
    up(heap_count++);
}

timer *timer_next(void) { return heap_count ? heap[0] : NULL; }
