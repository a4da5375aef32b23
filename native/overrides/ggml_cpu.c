/* ggml's main file for the CPU, as it is but for three things. One is its barrier, where the threads of a graph wait for each
 * other after every node. ggml's own spins until the last thread is there. Where another program has that thread's core, the ones
 * that spin use up the time that the system would give to it, and every node takes a slice of the scheduler. Here a thread
 * spins for a moment and then sleeps. The other is that a graph which is told to stop does so within products and attention,
 * each of which may take seconds, and not only after them: no further chunk of their work is taken. The third is that the
 * threads of a pool have stacks of a size that suits our kernels, and not what `ulimit -s` happens to say.
 *
 * Compiled in place of ggml-cpu.c into each CPU module (cmake/ggml.cmake), without OpenMP: whose threads, how they wait and
 * which core they are bound to is up to the first package of the process that loads it, and to the environment of then.
 */
#include "ggml-cpu-impl.h" /* declares ggml_barrier, before the name is re-pointed */

/* The definition gets another name, and the calls, which say `params->threadpool` or `state->threadpool`, keep theirs. */
#define ggml_barrier(pool) SDPY_BARRIER_OF_##pool)
#define SDPY_BARRIER_OF_struct spinning_barrier(struct
#define SDPY_BARRIER_OF_params ggml_barrier(params
#define SDPY_BARRIER_OF_state ggml_barrier(state
static inline void spinning_barrier(struct ggml_threadpool *pool);
/* Likewise: the definition begins with "const struct", and the call with "params". */
#define ggml_compute_forward_mul_mat_one_chunk(first, ...) SDPY_CHUNK_OF_##first, __VA_ARGS__)
#define SDPY_CHUNK_OF_const multiply_chunk(const
#define SDPY_CHUNK_OF_params told_to_stop(params->threadpool) ? (void)0 : multiply_chunk(params
#define ggml_threadpool_chunk_add next_chunk
static int start_with_room(pthread_t *thread, void *(*run)(void *), void *argument);
#define pthread_create(thread, attributes, run, argument) start_with_room(thread, run, argument)
static bool told_to_stop(const struct ggml_threadpool *pool);
static int next_chunk(struct ggml_threadpool *pool, int count);
#include "ggml-cpu.c"
#undef ggml_barrier
#undef ggml_threadpool_chunk_add
#undef pthread_create

/* Of address space; memory is taken of it as it is used. */
enum { stack_bytes = 8 << 20 };

static int start_with_room(pthread_t *thread, void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    const int failure = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return failure;
}

/* The pool's own flag is set after the node alone. */
static bool told_to_stop(const struct ggml_threadpool *pool) {
    const struct ggml_cplan *plan = pool->cplan;
    return plan->abort_callback != NULL && plan->abort_callback(plan->abort_callback_data);
}

int ggml_threadpool_chunk_add(struct ggml_threadpool *pool, int count) {
    return told_to_stop(pool) ? INT_MAX / 2 : next_chunk(pool, count);
}

/* How long a thread spins before it sleeps. Not static, for benchmarks/busy_machine.py. */
int sdpy_spin_microseconds = 100;
/* Who waits for longer than this waits for a thread that has no core: other programs have them. */
enum { crowded_microseconds = 1000 };
/* For so long after that it sleeps at once: the system gives a core sooner to a thread that has not used up its time. */
enum { sleepy_microseconds = 100000 };
enum { looks_between_clocks = 16 };

/* Whether the last thread comes to the barrier, after `passed` others, before so many microseconds are over since `begin`. */
static bool left_soon(struct ggml_threadpool *pool, int passed, int64_t begin, int64_t longest) {
    do {
        for (int i = 0; i < looks_between_clocks; ++i) {
            if (atomic_load_explicit(&pool->n_barrier_passed, memory_order_acquire) != passed) {
                return true;
            }
            ggml_thread_cpu_relax();
        }
    } while (ggml_time_us() - begin < longest);
    return false;
}

static void wait_at_barrier(struct ggml_threadpool *pool, int passed) {
    /* Made with the thread: where there is no memory for it later, the dynamic linker ends the process. */
    static _Thread_local int64_t sleepy_until __attribute__((tls_model("initial-exec"))) = 0;
    const int64_t begin = ggml_time_us();
    if (left_soon(pool, passed, begin, begin < sleepy_until ? 0 : sdpy_spin_microseconds)) {
        return;
    }
    ggml_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->n_barrier_passed, memory_order_acquire) == passed) {
        ggml_cond_wait(&pool->cond, &pool->mutex);
    }
    ggml_mutex_unlock(&pool->mutex);
    const int64_t end = ggml_time_us();
    if (end - begin > crowded_microseconds) {
        sleepy_until = end + sleepy_microseconds;
    }
}

void ggml_barrier(struct ggml_threadpool *pool) {
    const int threads = atomic_load_explicit(&pool->n_graph, memory_order_relaxed) & GGML_THREADPOOL_N_THREADS_MASK;
    if (threads == 1) {
        return;
    }
    const int passed = atomic_load_explicit(&pool->n_barrier_passed, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->n_barrier, 1, memory_order_seq_cst) < threads - 1) {
        wait_at_barrier(pool, passed);
        return;
    }
    atomic_store_explicit(&pool->n_barrier, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->n_barrier_passed, 1, memory_order_seq_cst);
    /* Closes the race with a thread that has looked for the last time and does not sleep yet. */
    ggml_mutex_lock(&pool->mutex);
    ggml_mutex_unlock(&pool->mutex);
    ggml_cond_broadcast(&pool->cond);
}
