/* Stands before the system's allocator, and lets one allocation of a thread that is not the process's first one fail: those
 * of native threads, which are the only others of the process that loads it. glibc alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_int armed;
static atomic_long at, seen;

/* From now on allocations are counted anew, and the one of this number, from 0, fails; none where it is negative. */
int sdpy_test_fail_allocation(long number) {
    atomic_store(&armed, 0);
    atomic_store(&at, number);
    atomic_store(&seen, 0);
    atomic_store(&armed, 1);
    return 0;
}

long sdpy_test_allocations(void) { return atomic_load(&seen); }

static int refused(void) {
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || syscall(SYS_gettid) == getpid()) {
        return 0;
    }
    if (atomic_fetch_add(&seen, 1) != atomic_load(&at)) {
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return refused() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return refused() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return refused() ? NULL : __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { return refused() ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size) {
    void *got = memalign(alignment, size);
    if (got == NULL) {
        return ENOMEM;
    }
    *out = got;
    return 0;
}
