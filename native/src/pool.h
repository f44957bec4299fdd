/* A fixed number of threads that work through the blocks of one job at a time. */
#ifndef KIF_POOL_H
#define KIF_POOL_H

#include <stdint.h>

typedef struct kif_pool kif_pool;

/* Works on the elements [begin, end); worker is below the number of threads of the pool. */
typedef void kif_task(void *argument, int worker, int64_t begin, int64_t end);

/* Returns a status of kif.h; threads counts the calling one. */
int32_t kif_pool_create(int32_t threads, kif_pool **pool);
void kif_pool_destroy(kif_pool *pool);
int32_t kif_pool_threads(const kif_pool *pool);

/*
 * Runs the task over [0, n) in blocks that begin at multiples of block, each once, in any order and
 * on any thread, under default floating-point modes; returns when all are done. One job at a time.
 */
void kif_pool_run(kif_pool *pool, kif_task *task, void *argument, int64_t n, int64_t block);

#endif
