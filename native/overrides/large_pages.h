/* Forced into ggml's own main file: memory for weights and graphs is made of large pages where the system has them. Each
 * first touch of a page costs what reading some kilobytes does, and a model of gigabytes has a million small ones. */
#ifndef SDPY_LARGE_PAGES_H
#define SDPY_LARGE_PAGES_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SDPY_LARGE_PAGE ((size_t)2 << 20)

/* Whole large pages within what was asked for, so that no more memory is taken than that. What is small stays as it is. */
static inline int sdpy_memory_of_large_pages(void **memory, size_t alignment, size_t size) {
    if (size < 4 * SDPY_LARGE_PAGE) {
        return posix_memalign(memory, alignment, size);
    }
    const int failure = posix_memalign(memory, SDPY_LARGE_PAGE, size);
    if (failure == 0) {
        madvise(*memory, size / SDPY_LARGE_PAGE * SDPY_LARGE_PAGE, MADV_HUGEPAGE); /* or not, where it refuses */
    }
    return failure;
}

#define posix_memalign sdpy_memory_of_large_pages

#endif
