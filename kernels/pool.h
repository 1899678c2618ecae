/* pool.h - threads that share one piece of work at a time. */
#ifndef KERNELS_POOL_H
#define KERNELS_POOL_H

#include <stdint.h>

struct pgk_pool;

/* `threads` in all, the caller's included: 2 or more. */
int pgk_pool_new(struct pgk_pool **ret, uint32_t threads) __attribute__((warn_unused_result));
void pgk_pool_free(struct pgk_pool *pool);

/* Runs work(user, 0) here and work(user, 1...) on the others; returns when all are done. */
void pgk_pool_run(struct pgk_pool *pool, void (*work)(void *user, uint32_t thread), void *user);

#endif
