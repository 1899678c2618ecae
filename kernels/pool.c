#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

struct helper {
    struct pgk_pool *pool;
    uint32_t number;
    pthread_t thread;
};

struct pgk_pool {
    pthread_mutex_t mutex;
    pthread_cond_t start;
    pthread_cond_t end;
    void (*work)(void *user, uint32_t thread);
    void *user;
    uint64_t round;
    uint32_t busy;
    bool stop;
    uint32_t helpers;
    struct helper helper[];
};

static void *help(void *arg)
{
    struct helper *self = arg;
    struct pgk_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->round == seen && !pool->stop)
            pthread_cond_wait(&pool->start, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->mutex);
        pool->work(pool->user, self->number);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->end);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

int pgk_pool_new(struct pgk_pool **ret, uint32_t threads)
{
    struct pgk_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->helper[0]);
    if (pool == NULL)
        return -ENOMEM;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->end, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    while (rc == 0 && pool->helpers + 1 < threads) {
        struct helper *it = &pool->helper[pool->helpers];
        it->pool = pool;
        it->number = pool->helpers + 1;
        rc = pthread_create(&it->thread, NULL, help, it);
        if (rc == 0)
            pool->helpers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        pgk_pool_free(pool);
        return -rc;
    }
    *ret = pool;
    return 0;
}

void pgk_pool_free(struct pgk_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->helpers; i++)
        pthread_join(pool->helper[i].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->end);
    free(pool);
}

void pgk_pool_run(struct pgk_pool *pool, void (*work)(void *user, uint32_t thread), void *user)
{
    pthread_mutex_lock(&pool->mutex);
    pool->work = work;
    pool->user = user;
    pool->busy = pool->helpers;
    pool->round++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    work(user, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->end, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
