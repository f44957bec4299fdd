#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "kif.h"
#include "modes.h"

typedef struct {
  kif_task *task;
  void *argument;
  int64_t n, block;
} job;

typedef struct {
  kif_pool *pool;
  int index;
  pthread_t thread;
} worker;

struct kif_pool {
  int32_t threads;
  worker *workers; /* threads - 1: the caller is worker 0 */
  pthread_mutex_t lock;
  pthread_cond_t begun, ended;
  atomic_uint_least64_t jobs; /* begun so far; changed under the lock */
  atomic_int_least32_t busy;  /* workers in the job; changed under the lock */
  int open;                   /* whether workers may still join the job */
  int closing;
  job job;
  _Alignas(64) atomic_int_least64_t next; /* first element that nobody has taken */
};

/*
 * Jobs follow each other within a millisecond, and to sleep and be woken takes a good part of that.
 * So whoever waits looks for a while, one or two tenths of a millisecond, before it sleeps.
 */
enum { LOOKS = 1 << 12 };

static void pause_briefly(void) {
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static void work(kif_pool *pool, int index) {
  job j = pool->job;
  kif_modes before = kif_use_default_modes();
  for (;;) {
    int64_t begin = atomic_fetch_add_explicit(&pool->next, j.block, memory_order_relaxed);
    if (begin >= j.n) {
      break;
    }
    j.task(j.argument, index, begin, j.n - begin < j.block ? j.n : begin + j.block);
  }
  kif_restore_modes(before);
}

static void *serve(void *argument) {
  worker *self = argument;
  kif_pool *pool = self->pool;
  uint64_t done = 0;
  pthread_mutex_lock(&pool->lock);
  while (!pool->closing) {
    if (pool->jobs == done) {
      pthread_cond_wait(&pool->begun, &pool->lock);
      continue;
    }
    done = pool->jobs;
    if (!pool->open) {
      continue; /* woken too late: the others have done it */
    }
    pool->busy++;
    pthread_mutex_unlock(&pool->lock);
    work(pool, self->index);
    pthread_mutex_lock(&pool->lock);
    if (--pool->busy == 0) {
      pthread_cond_signal(&pool->ended);
    }
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < LOOKS && pool->jobs == done; i++) {
      pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

static void close_pool(kif_pool *pool, int32_t started) {
  pthread_mutex_lock(&pool->lock);
  pool->closing = 1;
  pthread_cond_broadcast(&pool->begun);
  pthread_mutex_unlock(&pool->lock);
  for (int32_t i = 0; i < started; i++) {
    pthread_join(pool->workers[i].thread, NULL);
  }
  pthread_cond_destroy(&pool->ended);
  pthread_cond_destroy(&pool->begun);
  pthread_mutex_destroy(&pool->lock);
  free(pool->workers);
  free(pool);
}

int32_t kif_pool_create(int32_t threads, kif_pool **result) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, sizeof(kif_pool)) != 0) {
    return KIF_OUT_OF_MEMORY;
  }
  kif_pool *pool = memory;
  *pool = (kif_pool){.threads = threads};
  pool->workers = calloc((size_t)threads, sizeof(worker));
  if (pool->workers == NULL) {
    free(pool);
    return KIF_OUT_OF_MEMORY;
  }
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->begun, NULL);
  pthread_cond_init(&pool->ended, NULL);

  /* Signals for the process are for the host's own threads; faults stay where they happen. */
  sigset_t held, before;
  sigfillset(&held);
  sigdelset(&held, SIGSEGV);
  sigdelset(&held, SIGBUS);
  sigdelset(&held, SIGFPE);
  sigdelset(&held, SIGILL);
  pthread_sigmask(SIG_SETMASK, &held, &before);
  int32_t started = 0;
  while (started < threads - 1) {
    worker *next = &pool->workers[started];
    next->pool = pool;
    next->index = started + 1;
    if (pthread_create(&next->thread, NULL, serve, next) != 0) {
      break;
    }
    started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started < threads - 1) {
    close_pool(pool, started);
    return KIF_NO_THREADS;
  }
  *result = pool;
  return KIF_OK;
}

void kif_pool_destroy(kif_pool *pool) { close_pool(pool, pool->threads - 1); }

int32_t kif_pool_threads(const kif_pool *pool) { return pool->threads; }

/* What no other thread is needed for; an operation on a cache line takes no longer than the locks
 * that are left out here. */
static void work_alone(kif_task *task, void *argument, int64_t n, int64_t block) {
  kif_modes before = kif_use_default_modes();
  for (int64_t begin = 0; begin < n; begin += block) {
    task(argument, 0, begin, n - begin < block ? n : begin + block);
  }
  kif_restore_modes(before);
}

void kif_pool_run(kif_pool *pool, kif_task *task, void *argument, int64_t n, int64_t block) {
  if (pool->threads == 1 || n <= block) {
    work_alone(task, argument, n, block);
    return;
  }
  pool->job = (job){task, argument, n, block};
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  pthread_mutex_lock(&pool->lock);
  pool->open = 1;
  pool->jobs++;
  pthread_cond_broadcast(&pool->begun);
  pthread_mutex_unlock(&pool->lock);
  work(pool, 0);
  pthread_mutex_lock(&pool->lock);
  pool->open = 0; /* nothing is left for those who have not come yet: do not wait for them */
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < LOOKS && pool->busy > 0; i++) {
    pause_briefly();
  }
  pthread_mutex_lock(&pool->lock);
  while (pool->busy > 0) {
    pthread_cond_wait(&pool->ended, &pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
}
