#include "journal_ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "ws.h"

#define BLOCKS    8u
#define BYTES_MAX (4u << 20) /* of a block: a larger one is not worth eight times its memory */

struct journal_ahead {
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work;  /* for the thread: room, a file, the end */
    pthread_cond_t done;  /* for the reader: a block, or none to come */
    struct journal_ahead_block blocks[BLOCKS];
    unsigned first, count; /* read and not taken */
    int fd;                /* -1: nothing to do */
    uint64_t next;         /* where the thread reads, or will */
    bool busy;             /* it reads, without the lock, into the block behind the last */
    bool end;
};

static bool read_whole(int fd, void *to, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void check_records(struct journal_ahead_block *b)
{
    bool text = true;
    b->sound = b->text = 0;
    for (uint32_t i = 0; i < b->head.records && b->sound < b->head.bytes; i++) {
        const struct journal_record *r = (const struct journal_record *)(const void *)(b->records + b->sound);
        if (journal_record_fault(r, b->head.bytes - b->sound))
            return;
        b->sound += journal_padded(r->size);
        text =
            text && (r->kind != JOURNAL_FRAME || ws_is_utf8((const uint8_t *)(r + 1), r->size - sizeof *r));
        if (text)
            b->text = b->sound;
    }
}

static bool read_block(struct journal_ahead_block *b, int fd, uint64_t offset)
{
    if (!read_whole(fd, &b->head, sizeof b->head, offset) || journal_block_fault(&b->head) ||
        b->head.bytes > BYTES_MAX)
        return false;
    if (b->head.bytes > b->room) {
        uint8_t *records = realloc(b->records, b->head.bytes);
        if (!records)
            return false;
        b->records = records;
        b->room = b->head.bytes;
    }
    if (!read_whole(fd, b->records, b->head.bytes, offset + sizeof b->head))
        return false;
    b->offset = offset;
    check_records(b);
    return true;
}

static void *run(void *user)
{
    struct journal_ahead *a = user;
    pthread_mutex_lock(&a->lock);
    while (!a->end) {
        if (a->fd < 0 || a->count == BLOCKS) {
            pthread_cond_wait(&a->work, &a->lock);
            continue;
        }
        struct journal_ahead_block *b = &a->blocks[(a->first + a->count) % BLOCKS];
        const int fd = a->fd;
        a->busy = true;
        pthread_mutex_unlock(&a->lock);
        bool ok = read_block(b, fd, a->next);
        pthread_mutex_lock(&a->lock);
        a->busy = false;
        if (a->fd < 0 || !ok) { /* stopped meanwhile, or here */
            a->fd = -1;
        } else {
            a->next += sizeof b->head + b->head.bytes;
            a->count++;
        }
        pthread_cond_signal(&a->done);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int journal_ahead_new(struct journal_ahead **ret)
{
    struct journal_ahead *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->fd = -1;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->done, NULL);
    int r = pthread_create(&a->thread, NULL, run, a);
    if (r != 0) {
        free(a);
        return -r;
    }
    *ret = a;
    return 0;
}

void journal_ahead_free(struct journal_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->end = true;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    for (unsigned i = 0; i < BLOCKS; i++)
        free(a->blocks[i].records);
    pthread_cond_destroy(&a->done);
    pthread_cond_destroy(&a->work);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* With the lock. What the thread is reading now becomes nothing. */
static void stop(struct journal_ahead *a)
{
    a->fd = -1;
    while (a->busy)
        pthread_cond_wait(&a->done, &a->lock);
    a->first = a->count = 0;
}

void journal_ahead_start(struct journal_ahead *a, int fd, uint64_t offset)
{
    pthread_mutex_lock(&a->lock);
    stop(a);
    a->fd = fd;
    a->next = offset;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void journal_ahead_stop(struct journal_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    stop(a);
    pthread_mutex_unlock(&a->lock);
}

bool journal_ahead_take(struct journal_ahead *a, uint64_t offset, struct journal_ahead_block *block)
{
    pthread_mutex_lock(&a->lock);
    while (a->count == 0 && a->fd >= 0 && a->next == offset)
        pthread_cond_wait(&a->done, &a->lock);
    struct journal_ahead_block *first = &a->blocks[a->first];
    bool there = a->count > 0 && first->offset == offset;
    if (there) {
        struct journal_ahead_block given = *block;
        *block = *first;
        *first = given;
        a->first = (a->first + 1) % BLOCKS;
        a->count--;
        if (a->count <= BLOCKS / 2) /* not at each: a wake is a system call */
            pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
    return there;
}
