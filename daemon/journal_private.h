/* daemon/journal_private.h - what the files of the journal share: journal.c (the ring, main thread),
 * journal_write.c (blocks, the writer's thread), journal_files.c (names, retention, repair). */
#ifndef DAEMON_JOURNAL_PRIVATE_H
#define DAEMON_JOURNAL_PRIVATE_H

#include "journal.h"

#include <pthread.h>
#include <semaphore.h>

#define JOURNAL_NAME_MAX 80

/* Of a symbol, as the last SYMBOL record said: what a new file begins with. */
struct journal_known {
    struct journal_record head; /* size 0: never seen */
    char name[PGD_SYMBOL_MAX];
};

/* Records left out, until a LOST record can say so. */
struct journal_hole {
    uint64_t records;
    uint64_t bytes;
    int64_t first_ns;
    int64_t last_ns;
    uint8_t flags;
};

struct journal {
    struct journal_options options;
    char *directory;
    char *config;
    char instance[32];
    int directory_fd;
    int64_t run_ns;

    /* The ring: mapped twice in a row, so that no record is ever in two pieces. head: written by the main
     * thread; tail: by the writer. Both only grow. What lies between them is the writer's. */
    uint8_t *ring;
    uint64_t size;
    uint64_t tail_seen; /* main thread's copy */
    uint64_t looked;    /* main thread's: head when the writer was last looked at */
    bool patient;
    struct journal_hole hole; /* main thread's */
    uint64_t records, lost;   /* main thread's */
    _Alignas(64) uint64_t head;
    _Alignas(64) uint64_t tail;
    uint32_t asleep; /* the writer may be woken by `wake` */
    uint32_t stop;
    sem_t wake;
    pthread_t thread;
    bool started;

    /* The writer's. */
    int fd; /* -1: no file */
    char name[JOURNAL_NAME_MAX];
    uint64_t number;   /* of the file, or of the last one */
    uint64_t good;     /* bytes of whole blocks in it */
    uint64_t seq;      /* of the next record */
    int64_t opened_ns; /* CLOCK_MONOTONIC */
    int64_t retry_ns;  /* CLOCK_MONOTONIC; 0: no fault */
    struct journal_hole disk_hole;
    struct journal_known *known;
    uint64_t bytes, files, removed, faults,
        disk_lost;      /* relaxed atomics: counted here, read by the main thread */
    uint64_t cut_bytes; /* before the thread starts */
};

/* journal_write.c */
void *journal_writer(void *journal);
int journal_begin(struct journal *journal); /* a file: header, CONFIG, SYMBOLs */

/* journal_files.c */
int journal_make_directory(const char *path);
void journal_name(char ret[JOURNAL_NAME_MAX], const char *instance, uint64_t number);
/* The number in a file's name, 0: it is none of the instance's. */
uint64_t journal_number(const char *name, const char *instance);
/* Sets journal->number to the newest file's and cuts a tail that a crash tore. */
int journal_repair(struct journal *journal);
void journal_retain(struct journal *journal); /* removes what is too old or too much */

#endif
