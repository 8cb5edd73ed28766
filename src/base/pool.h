/* pool.h: a team of threads for loops over numbers. Work is cut into pieces whose number does not depend on
 * the team's size, so that results do not either; threads take pieces as they come free.
 * A pool belongs to one context and is used by one thread at a time. */
#ifndef LORAC_POOL_H
#define LORAC_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct pool pool;

/* Makes a team of `threads` (0: as many as this process may run on), the caller being one of it. */
int pool_new(pool **out, int threads);
void pool_free(pool *p);
int pool_size(const pool *p);
/* Calls work(arg, piece, thread) for every piece in 0..pieces-1 and returns when all are done;
 * 0 <= thread < pool_size. `work` may not call pool_run. */
void pool_run(pool *p, int64_t pieces, void (*work)(void *arg, int64_t piece, int thread), void *arg);
/* The same for work that can fail: the status of the first piece that did. Every piece runs; a piece that failed runs
 * once more in the calling thread, because the sentence about a failure belongs to the thread that met it. */
int pool_try(pool *p, int64_t pieces, int (*work)(void *arg, int64_t piece), void *arg);
/* A buffer of at least `bytes` for one thread of the team, kept until the pool goes; 64-byte aligned. Content is not
 * kept between pool_run calls. NULL when out of memory: pool_failed then says so. Slot 0..3 are separate buffers. */
void *pool_scratch(pool *p, int thread, int slot, size_t bytes);
/* A pointer that the owner may hang on the pool for the work that runs on it; NULL at first. */
void pool_attach(pool *p, void *attached);
void *pool_attached(const pool *p);
/* True when a scratch allocation ever failed; the results since are worthless. */
int pool_failed(const pool *p);

#endif
