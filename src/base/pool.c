/* pool.c: the team. Work is published as one atomic word, generation << 32 | pieces left; whoever brings the
 * second half down by one owns that piece. The invariant that makes this safe: while pieces are left of a
 * generation its job (work, arg, pieces) does not change, so a claim that succeeds has read the right job.
 * Idle threads spin briefly, since the next job is usually microseconds away, and then sleep. */
#include "pool.h"

#include "cpu.h"
#include "err.h"
#include "mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { SLOTS = 4, MOST_THREADS = 1024, SPINS = 2000 };

typedef void (*piece_function)(void *arg, int64_t piece, int thread);

typedef struct scratch {
    void *p;
    size_t bytes;
} scratch;

typedef struct member {
    pool *pool;
    int index;
    pthread_t thread;
    scratch scratch[SLOTS];
} member;

struct pool {
    int size, started, spins;
    void *attached;
    _Atomic uint64_t state;       /* generation << 32 | pieces left */
    _Atomic(piece_function) work; /* the job; atomic because a late thread may read it while it changes */
    _Atomic(void *) arg;
    atomic_int_least64_t pieces;
    atomic_int_least64_t done; /* pieces finished */
    atomic_int sleepers;       /* threads waiting for work */
    atomic_bool waiting;       /* the caller waits for the last piece */
    atomic_bool stop, failed;
    pthread_mutex_t mutex;
    pthread_cond_t work_there, all_done;
    member members[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static bool has_work(const pool *p)
{
    return (uint32_t)atomic_load(&p->state) != 0;
}

/* Takes pieces until none is left and adds them to `done`; the last of all wakes the caller. */
static void work_through(pool *p, int thread)
{
    int64_t finished = 0, pieces = 0;
    uint64_t state = atomic_load(&p->state);

    while ((uint32_t)state != 0) {
        piece_function work = atomic_load_explicit(&p->work, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        int64_t total = atomic_load_explicit(&p->pieces, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&p->state, &state, state - 1))
            continue;
        pieces = total;
        work(arg, pieces - (int64_t)(uint32_t)state, thread);
        finished++;
        state = atomic_load(&p->state);
    }
    if (finished == 0 || atomic_fetch_add(&p->done, finished) + finished != pieces)
        return;
    if (atomic_load(&p->waiting)) {
        pthread_mutex_lock(&p->mutex);
        pthread_cond_signal(&p->all_done);
        pthread_mutex_unlock(&p->mutex);
    }
}

static void wait_for_work(pool *p)
{
    for (int i = 0; i < p->spins; i++) {
        if (has_work(p) || atomic_load(&p->stop))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleepers, 1);
    while (!has_work(p) && !atomic_load(&p->stop))
        pthread_cond_wait(&p->work_there, &p->mutex);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void *serve(void *arg)
{
    member *me = arg;

    while (!atomic_load(&me->pool->stop)) {
        wait_for_work(me->pool);
        work_through(me->pool, me->index);
    }
    return NULL;
}

static void wake_all(pool *p)
{
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->work_there);
    pthread_mutex_unlock(&p->mutex);
}

/* The new threads block all signals, so that the program's handlers run in the program's threads. */
static int start_threads(pool *p)
{
    sigset_t all, before;
    int status = LORAC_OK;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (p->started = 1; p->started < p->size; p->started++) {
        member *m = &p->members[p->started];
        if (pthread_create(&m->thread, NULL, serve, m) != 0) {
            status = fail(LORAC_ERROR_RUNTIME, "cannot start thread %d of %d", p->started + 1, p->size);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

int pool_new(pool **out, int threads)
{
    int available = cpu_threads();
    int status;
    pool *p;

    *out = NULL;
    if (threads < 0 || threads > MOST_THREADS)
        return fail(LORAC_ERROR_USAGE, "%d threads: expected 0 (all) to %d", threads, MOST_THREADS);
    if (threads == 0)
        threads = available < MOST_THREADS ? available : MOST_THREADS;
    p = mem_new(sizeof *p + (size_t)threads * sizeof p->members[0], 1);
    if (!p)
        return fail_memory();
    p->size = threads;
    p->spins = threads <= available ? SPINS : 0; /* more threads than processors: spinning takes from the worker */
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work_there, NULL);
    pthread_cond_init(&p->all_done, NULL);
    for (int i = 0; i < threads; i++)
        p->members[i] = (member){ .pool = p, .index = i };
    status = start_threads(p);
    if (status != LORAC_OK) {
        pool_free(p);
        return status;
    }
    *out = p;
    return LORAC_OK;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake_all(p);
    for (int i = 1; i < p->started; i++)
        pthread_join(p->members[i].thread, NULL);
    for (int i = 0; i < p->size; i++) {
        for (int slot = 0; slot < SLOTS; slot++)
            mem_pages_free(p->members[i].scratch[slot].p, p->members[i].scratch[slot].bytes);
    }
    pthread_cond_destroy(&p->all_done);
    pthread_cond_destroy(&p->work_there);
    pthread_mutex_destroy(&p->mutex);
    mem_free(p);
}

int pool_size(const pool *p)
{
    return p->size;
}

static void wait_until_done(pool *p, int64_t pieces)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load(&p->done) == pieces)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->done) != pieces)
        pthread_cond_wait(&p->all_done, &p->mutex);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->mutex);
}

void pool_run(pool *p, int64_t pieces, piece_function work, void *arg)
{
    uint64_t generation = atomic_load(&p->state) >> 32;

    assert(pieces <= UINT32_MAX && !has_work(p));
    if (p->size == 1 || pieces <= 1) {
        for (int64_t piece = 0; piece < pieces; piece++)
            work(arg, piece, 0);
        return;
    }
    atomic_store_explicit(&p->work, work, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->pieces, pieces, memory_order_relaxed);
    atomic_store(&p->done, 0);
    atomic_store(&p->state, (generation + 1) << 32 | (uint64_t)pieces);
    wake_all(p);
    work_through(p, 0);
    wait_until_done(p, pieces);
}

typedef struct trial {
    int (*work)(void *arg, int64_t piece);
    void *arg;
    int *status;
} trial;

static void try_piece(void *arg, int64_t piece, int thread)
{
    trial *t = arg;

    (void)thread;
    t->status[piece] = t->work(t->arg, piece);
}

int pool_try(pool *p, int64_t pieces, int (*work)(void *arg, int64_t piece), void *arg)
{
    trial t = { work, arg, mem_new((size_t)pieces, sizeof *t.status) };
    int status = LORAC_OK;

    if (!t.status)
        return fail_memory();
    pool_run(p, pieces, try_piece, &t);
    for (int64_t i = 0; i < pieces && status == LORAC_OK; i++)
        if (t.status[i] != LORAC_OK)
            status = work(arg, i);
    mem_free(t.status);
    return status;
}

void *pool_scratch(pool *p, int thread, int slot, size_t bytes)
{
    scratch *s;

    assert(thread >= 0 && thread < p->size && slot >= 0 && slot < SLOTS);
    s = &p->members[thread].scratch[slot];
    if (s->p && s->bytes >= bytes)
        return s->p;
    mem_pages_free(s->p, s->bytes);
    s->p = mem_pages(bytes);
    s->bytes = s->p ? bytes : 0;
    if (!s->p)
        atomic_store(&p->failed, true);
    return s->p;
}

void pool_attach(pool *p, void *attached)
{
    p->attached = attached;
}

void *pool_attached(const pool *p)
{
    return p->attached;
}

int pool_failed(const pool *p)
{
    return atomic_load(&p->failed);
}
