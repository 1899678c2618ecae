/* daemon/journal_read.h - journal files read: one, or several as if they were one.
 *
 * Any bytes are safe input: every length is checked before it is used, memory is taken by what the file
 * really holds, and what is damaged is skipped to the next whole block and told, with its place. */
#ifndef DAEMON_JOURNAL_READ_H
#define DAEMON_JOURNAL_READ_H

#include "journal_format.h"

/* ---------------------------------------------------------------------------------------------- one file */

struct journal_reader;

struct journal_item {
    const struct journal_record *head; /* valid until the next call */
    const uint8_t *data;
    size_t size;
    uint64_t seq;
    uint64_t offset; /* in the file */
    bool text;       /* it was looked at already: if it is a frame, it is UTF-8 */
};

/* Bytes that cannot be used, or records that are not there. Called from within journal_reader_next. */
struct journal_damage {
    const char *file;
    uint64_t offset;
    uint64_t bytes;
    uint64_t records; /* at least so many; 0: not known */
    const char *what;
    bool tail; /* the file ends in the middle of something: what a crash leaves, or a file being written */
};
typedef void journal_damaged(void *user, const struct journal_damage *damage);

/* On failure a line in err that names the file. -EPROTO: no journal, or its header is damaged. `damaged` may
 * be NULL. */
int journal_reader_open(struct journal_reader **ret, const char *path, journal_damaged *damaged, void *user,
                        char *err, size_t err_size) __attribute__((warn_unused_result));
/* The same for an open file, which is taken over in any case. */
int journal_reader_fd(struct journal_reader **ret, int fd, const char *name, journal_damaged *damaged,
                      void *user, char *err, size_t err_size) __attribute__((warn_unused_result));
void journal_reader_close(struct journal_reader *reader);

const struct journal_file *journal_reader_file(const struct journal_reader *reader);
const char *journal_reader_name(const struct journal_reader *reader);
uint64_t journal_reader_size(const struct journal_reader *reader);
/* The number of the record after those handed out or passed over. */
uint64_t journal_reader_seq(const struct journal_reader *reader);

/* 1: a record; 0: the end; -EIO, -ENOMEM, with a line in err. */
int journal_reader_next(struct journal_reader *reader, struct journal_item *ret, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* From here on, blocks that hold nothing but frames from before `t_ns` are passed over by their headers. */
void journal_reader_skip(struct journal_reader *reader, int64_t t_ns);

/* Reads on in the thread of `ahead`, which outlives the reader. */
struct journal_ahead;
void journal_reader_ahead(struct journal_reader *reader, struct journal_ahead *ahead);

/* Where a file that was torn must be cut, and the header of its last block as it is to be then. 1: torn; 0:
 * it ends well, or in a way no crash explains, which is left alone; negative: cannot be read. */
struct journal_tail {
    uint64_t end;
    uint64_t torn; /* bytes behind it */
    uint64_t block_at;
    struct journal_block block; /* bytes 0: none is to be written */
};
int journal_tail(int fd, const char *name, struct journal_tail *ret, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* -------------------------------------------------------------------------------------------- several files
 */

struct journal_set;

/* Files, and folders for all the .pgj in them, of one instance; read in the order they were written. -EINVAL:
 * nothing there, or files of several instances. */
int journal_set_open(struct journal_set **ret, char *const *paths, size_t count, journal_damaged *damaged,
                     void *user, char *err, size_t err_size) __attribute__((warn_unused_result));
void journal_set_close(struct journal_set *set);
void journal_set_skip(struct journal_set *set, int64_t t_ns);
/* Blocks are read and checked in a thread from here on; without one when it cannot be had. */
void journal_set_ahead(struct journal_set *set);

/* Goes to the next file, whatever is left of this one. 1; 0: that was the last. */
int journal_set_next_file(struct journal_set *set, const struct journal_reader **ret_reader, char *err,
                          size_t err_size) __attribute__((warn_unused_result));
/* The next record of this file. */
int journal_set_next_in(struct journal_set *set, struct journal_item *ret, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* As journal_reader_next; ret_reader, if not NULL: the file the record is of. A file missing between two of a
 * run is damage. */
int journal_set_next(struct journal_set *set, struct journal_item *ret,
                     const struct journal_reader **ret_reader, char *err, size_t err_size)
    __attribute__((warn_unused_result));
size_t journal_set_files(const struct journal_set *set);

#endif
