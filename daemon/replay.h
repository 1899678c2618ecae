/* daemon/replay.h - a journal served again: `polygond --replay` and `--journal-check`.
 *
 * The records are read in their order, the feed's clock is set to each record's time, and the same call is
 * made as when it was recorded; what a client sees is the bus, written by the same code. Main thread. */
#ifndef DAEMON_REPLAY_H
#define DAEMON_REPLAY_H

#include <uv.h>

#include "config.h"
#include "replay_apply.h"
#include "worker.h"

struct replay_options {
    char *const *paths; /* files and folders */
    size_t count;
    double speed;    /* of the original pace; 0: as fast as it goes */
    int64_t from_ns; /* INT64_MIN: from the start */
    int64_t to_ns;   /* INT64_MAX: to the end */
    bool warm;       /* what is before from_ns is served as well, at full speed; else it is passed over */
    bool stay;       /* go on serving at the end */
};

/* The configuration the first file was written with. On failure a line in err. */
int replay_config(struct config **ret, const struct replay_options *options, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* To the instance of that name with "-replay", so that what a replay serves is not taken for what is live,
 * and is not adopted by the next daemon. -ENOMEM. */
int replay_rename(struct config *config) __attribute__((warn_unused_result));

struct replay;

struct replay_hooks {
    void (*changed)(void *user, struct symbol *symbol); /* taken in or given up: its state is to be shown */
    void (*conn)(void *user, const struct pgd_conn *conn);
    /* All is served. ok: nothing was damaged or missing. Called once, unless options.stay. */
    void (*done)(void *user, bool ok);
    void *user;
};

/* Borrowed: loop, bus, symbols, feed, worker, options. On failure a line in err. */
int replay_new(struct replay **ret, uv_loop_t *loop, struct bus *bus, struct symbols *symbols,
               struct feed *feed, struct worker *worker, const struct replay_options *options,
               const struct replay_hooks *hooks, char *err, size_t err_size)
    __attribute__((warn_unused_result));
void replay_start(struct replay *replay);
void replay_stop(struct replay *replay); /* closes its timer */
void replay_free(struct replay *replay); /* after the loop has ended */

/* A time as a user writes it: 2026-11-25T14:30[:05[.25]][Z] (UTC), or a number since 1970 in s, ms, us or ns.
 * -EINVAL. */
int replay_time(int64_t *ret_ns, const char *text) __attribute__((warn_unused_result));
int replay_speed(double *ret, const char *text)
    __attribute__((warn_unused_result)); /* "max" or a number above 0. -EINVAL */

/* polygond --journal-check: a summary of each file on stdout, damage with its place on stderr. Returns the
 * exit code: 0, 1 when anything is damaged or missing. */
int replay_check(char *const *paths, size_t count);

#endif
